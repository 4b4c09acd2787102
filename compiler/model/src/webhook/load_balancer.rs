//! What the webhook refuses of load balancing, but for localities.

use super::{Judge, durations, localities};
use crate::{
    Spanned,
    istio::destination_rule::{ConsistentHashLb, HttpCookie, LoadBalancerSettings, MagLev},
    rules::{DUPLICATE_ITEM, EXCLUSIVE_FIELDS, MISSING_FIELD, OUT_OF_RANGE},
};
use malha_syntax::{Finding, Span};
use std::{collections::HashMap, fmt};

/// The least size of a Maglev table that is too large.
const TABLE_TOO_LARGE: u64 = 5_000_011;

/// Judges the settings at `path`.
pub(super) fn check(balancer: &LoadBalancerSettings, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    if let Some(hash) = &balancer.consistent_hash {
        check_hash(hash, format_args!("{path}.consistentHash"), judge);
    }
    if let (Some(locality), Some(zone)) = (&balancer.locality_lb_setting, &balancer.zone_aware_lb_setting) {
        let message =
            "`zoneAwareLbSetting` and `localityLbSetting` cannot stand together: both say which endpoints are near";
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(zone.key), message)
            .field(format!("{path}.zoneAwareLbSetting"))
            .related(judge.reader.location(locality.key), "`localityLbSetting` is here")
            .help("keep one of them");
        judge.report(finding);
    }
    if let Some(setting) = &balancer.locality_lb_setting {
        localities::check_setting(setting, format_args!("{path}.localityLbSetting"), judge);
    }
    if let Some(setting) = &balancer.zone_aware_lb_setting {
        localities::check_zone_setting(setting, format_args!("{path}.zoneAwareLbSetting"), judge);
    }
    if let Some(warmup) = &balancer.warmup {
        durations::check_duration(warmup.duration.as_ref(), format_args!("{path}.warmup.duration"), judge);
        if let Some(aggression) = warmup.aggression.as_ref().filter(|aggression| aggression.value <= 0.0) {
            judge.refuse(
                &OUT_OF_RANGE,
                format!("{path}.warmup.aggression"),
                aggression.span,
                "`aggression` must be more than 0: with 0 a new endpoint would stay where it begins",
                "write 1 to grow evenly, or more to grow faster at first",
            );
        }
    }
}

fn check_hash(hash: &ConsistentHashLb, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    if let Some(cookie) = &hash.http_cookie {
        check_cookie(cookie, format_args!("{path}.httpCookie"), judge);
    }
    if let Some(maglev) = &hash.maglev {
        check_maglev(maglev, format_args!("{path}.maglev"), judge);
    }
    let ring = hash.ring_hash.as_ref().map(|ring| ("ringHash", ring.key));
    let algorithm = ring.or(hash.maglev.as_ref().map(|maglev| ("maglev", maglev.key)));
    let size = hash.minimum_ring_size.as_ref().filter(|size| size.value != 0);
    if let (Some((name, key)), Some(size)) = (algorithm, size) {
        let message = format!("`minimumRingSize` and `{name}` cannot stand together");
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(size.key), message)
            .field(format!("{path}.minimumRingSize"))
            .related(judge.reader.location(key), format!("`{name}` is here"))
            .help("remove it; its successor is `ringHash.minimumRingSize`");
        judge.report(finding);
    }
}

fn check_cookie(cookie: &HttpCookie, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    if let Some(name) = cookie.name.as_ref().filter(|name| name.is_empty()) {
        judge.refuse(
            &MISSING_FIELD,
            format!("{path}.name"),
            name.span,
            "the name of the cookie is empty, so no client can send it",
            "name the cookie",
        );
    }
    let mut known: HashMap<&str, Span> = HashMap::new();
    for (index, attribute) in cookie.attributes.iter().enumerate() {
        let Some(name) = &attribute.name else { continue };
        let field = || format!("{path}.attributes[{index}].name");
        if name.is_empty() {
            let message = "the name of the attribute is empty";
            judge.refuse(&MISSING_FIELD, field(), name.span, message, "name the attribute, as `SameSite`");
        } else if let Some(first) = known.insert(name.as_str(), name.span) {
            let message = format!("the cookie has an attribute `{}` already", name.value);
            let finding = Finding::new(&DUPLICATE_ITEM, judge.reader.location(name.span), message)
                .field(field())
                .related(judge.reader.location(first), "the first one is here")
                .help("keep one of them");
            judge.report(finding);
        }
    }
}

fn check_maglev(maglev: &Spanned<MagLev>, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let field = || format!("{path}.tableSize");
    let size = maglev.table_size.as_ref();
    let Some(size) = size.filter(|size| size.value != 0) else {
        let span = size.map_or_else(|| Judge::head(maglev), |size| size.span);
        let message = "a Maglev table without a size holds nothing";
        judge.refuse(&MISSING_FIELD, field(), span, message, "add `tableSize`, a prime number, as 65537");
        return;
    };
    let message = if size.value >= TABLE_TOO_LARGE {
        format!("a Maglev table of {} is too large: its size must be less than {TABLE_TOO_LARGE}", size.value)
    } else if !is_prime(size.value) {
        format!("{} is no prime number, and the size of a Maglev table must be one", size.value)
    } else {
        return;
    };
    judge.refuse(&OUT_OF_RANGE, field(), size.span, message, "write a prime number, as 65537");
}

/// Whether `number` is prime as Envoy has it, for which 1 is. The caller sees to it that it is not large.
fn is_prime(number: u64) -> bool {
    number < 4 || (2..number).take_while(|it| it * it <= number).all(|it| !number.is_multiple_of(it))
}
