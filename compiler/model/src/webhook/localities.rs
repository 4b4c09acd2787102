//! What the webhook refuses of load balancing by locality.

use super::Judge;
use crate::{
    Spanned,
    istio::destination_rule::{Distribute, Failover, LocalityLoadBalancerSetting, ZoneAwareLbSetting},
    read::{push_key, shorten},
    rules::{EXCLUSIVE_FIELDS, INVALID_TEXT, OUT_OF_RANGE},
};
use malha_syntax::{Finding, Span};
use smol_str::SmolStr;
use std::fmt;

/// The labels that say where a node is.
const TOPOLOGY_LABELS: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

const LOCALITY_HELP: &str =
    "write `region`, `region/zone` or `region/zone/subzone`; `*` may stand at the end for all that is left";

/// Judges the setting at `path`.
pub(super) fn check_setting(
    setting: &LocalityLoadBalancerSetting,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    if let (Some(distribute), Some(failover)) = (setting.distribute.first(), setting.failover.first()) {
        let message = "`failover` and `distribute` cannot stand together: both say where requests go";
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(failover.span), message)
            .field(format!("{path}.failover"))
            .related(judge.reader.location(distribute.span), "`distribute` is here")
            .help("keep one of them");
        judge.report(finding);
        return;
    }
    for (index, distribute) in setting.distribute.iter().enumerate() {
        check_distribute(distribute, format_args!("{path}.distribute[{index}]"), judge);
    }
    check_sources(&setting.distribute, path, judge);
    check_failover(&setting.failover, path, judge);
    if !setting.failover.is_empty() {
        check_priority(&setting.failover_priority, "together with `failover`", path, judge);
    }
}

/// Judges the setting for the own zone at `path`.
pub(super) fn check_zone_setting(setting: &ZoneAwareLbSetting, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    check_failover(&setting.failover, path, judge);
    check_priority(&setting.failover_priority, "where zones are told apart anyway", path, judge);
}

fn check_failover(failover: &[Spanned<Failover>], path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    for (index, failover) in failover.iter().enumerate() {
        let path = format_args!("{path}.failover[{index}]");
        let mut are_regions = true;
        for (name, region) in [("from", &failover.from), ("to", &failover.to)] {
            let Some(region) = region.as_ref().filter(|region| region.contains(['/', '*'])) else { continue };
            are_regions = false;
            judge.refuse(
                &INVALID_TEXT,
                format!("{path}.{name}"),
                region.span,
                format!(
                    "`{}` is no region: one region stands in for another, not parts of them or all",
                    shorten(region)
                ),
                "write the name of a region alone, as `us-east`",
            );
        }
        let region = text_of(failover.from.as_ref());
        if are_regions && region == text_of(failover.to.as_ref()) {
            let message = format!("the region `{region}` cannot stand in for itself");
            let span = failover.to.as_ref().map_or(failover.span, |to| to.span);
            judge.refuse(&EXCLUSIVE_FIELDS, format!("{path}.to"), span, message, "name two different regions");
        }
    }
}

fn text_of(region: Option<&Spanned<SmolStr>>) -> &str {
    region.map_or("", |region| region.as_str())
}

fn check_priority(
    labels: &[Spanned<SmolStr>],
    circumstance: &str,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    for (index, label) in labels.iter().enumerate().filter(|(_, label)| TOPOLOGY_LABELS.contains(&label.as_str())) {
        judge.refuse(
            &EXCLUSIVE_FIELDS,
            format!("{path}.failoverPriority[{index}]"),
            label.span,
            format!("`{}` says where a node is, and cannot be a priority {circumstance}", label.value),
            "remove it; other labels may stay",
        );
    }
}

fn check_distribute(distribute: &Spanned<Distribute>, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let field = |locality: &str| {
        let mut field = format!("{path}.to");
        push_key(&mut field, locality);
        field
    };
    let mut good = true;
    let mut earlier: Vec<(Locality<'_>, Span)> = Vec::new();
    for (name, weight) in &distribute.to {
        if !(1..=100).contains(&weight.value) {
            good = false;
            let message =
                format!("the weight of `{}` is {}, but must lie between 1 and 100", shorten(name), weight.value);
            judge.refuse(
                &OUT_OF_RANGE,
                field(name),
                weight.span,
                message,
                "leave a locality out that shall get nothing",
            );
        }
        let locality = match Locality::parse(name) {
            Ok(locality) => locality,
            Err(problem) => {
                let message = format!("`{}` is no locality: {problem}", shorten(name));
                judge.refuse(&INVALID_TEXT, field(name), name.span, message, LOCALITY_HELP);
                continue;
            }
        };
        // Which of the two Istio sees first is up to chance, and so is then whether it refuses them.
        let clash = earlier.iter().find(|(other, _)| other.hides(&locality) || locality.hides(other));
        if let Some((_, first)) = clash {
            refuse_overlap(name, field(name), *first, judge);
        } else {
            earlier.push((locality, name.span));
        }
    }
    let sum: u64 = distribute.to.values().map(|weight| u64::from(weight.value)).sum();
    if good && sum != 100 {
        let span = distribute.to.keys().next().map_or(distribute.span, |key| key.span);
        let message = format!("the weights sum up to {sum}, but must to 100: they are percentages of the requests");
        judge.refuse(&OUT_OF_RANGE, format!("{path}.to"), span, message, "make them 100 in all");
    }
}

/// The localities that requests come from are looked up in order.
fn check_sources(distribute: &[Spanned<Distribute>], path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let mut earlier: Vec<(Locality<'_>, Span)> = Vec::new();
    for (index, distribute) in distribute.iter().enumerate() {
        let field = || format!("{path}.distribute[{index}].from");
        let Some(from) = &distribute.from else {
            let message = "`from` is missing: nobody is told where the requests come from";
            judge.refuse(&INVALID_TEXT, field(), Judge::head(distribute), message, LOCALITY_HELP);
            continue;
        };
        match Locality::parse(from) {
            Err(problem) => {
                let message = format!("`{}` is no locality: {problem}", shorten(from));
                judge.refuse(&INVALID_TEXT, field(), from.span, message, LOCALITY_HELP);
            }
            Ok(locality) => {
                if let Some((_, first)) = earlier.iter().find(|(other, _)| other.hides(&locality)) {
                    refuse_overlap(from, field(), *first, judge);
                } else {
                    earlier.push((locality, from.span));
                }
            }
        }
    }
}

fn refuse_overlap(locality: &Spanned<SmolStr>, field: String, first: Span, judge: &mut Judge<'_, '_>) {
    let message = format!("`{}` is covered by another locality of the same list", shorten(locality));
    let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(locality.span), message)
        .field(field)
        .related(judge.reader.location(first), "the other one is here")
        .help("keep the wider one, or write out what the wider one has besides");
    judge.report(finding);
}

/// A locality: a region, perhaps a zone of it, perhaps a part of that zone.
struct Locality<'a> {
    region: &'a str,
    zone: Option<&'a str>,
    subzone: Option<&'a str>,
}

impl<'a> Locality<'a> {
    fn parse(text: &'a str) -> Result<Self, &'static str> {
        match text.matches('*').count() {
            0 => {}
            1 if text.ends_with('*') => {}
            _ => return Err("`*` may stand once, and only at the end"),
        }
        let mut parts = text.splitn(3, '/');
        let locality = Locality { region: parts.next().unwrap_or_default(), zone: parts.next(), subzone: parts.next() };
        if locality.region.is_empty() || locality.zone == Some("") || locality.subzone == Some("") {
            return Err("one of its parts is empty");
        }
        Ok(locality)
    }

    /// Whether Istio finds that `later` overlaps with this one, which it saw before. It is not the same both ways:
    /// `us/*` hides a `us/a` after it, and not one before it.
    fn hides(&self, later: &Locality<'_>) -> bool {
        if self.region == "*" {
            return true;
        }
        if self.region != later.region {
            return false;
        }
        let (Some(zone), Some(later_zone)) = (self.zone, later.zone) else { return true };
        if zone == "*" {
            return true;
        }
        if zone != later_zone {
            return false;
        }
        let (Some(subzone), Some(later_subzone)) = (self.subzone, later.subzone) else { return true };
        subzone == "*" || subzone == later_subzone
    }
}

#[cfg(test)]
mod tests {
    use super::Locality;

    fn hides(first: &str, later: &str) -> bool {
        let parse = |text| Locality::parse(text).ok();
        parse(first).zip(parse(later)).is_some_and(|(first, later)| first.hides(&later))
    }

    #[test]
    fn overlaps_depend_on_the_order() {
        for (first, later) in
            [("*", "us"), ("us", "us/a"), ("us/a", "us"), ("us/*", "us/a"), ("us/a/b", "us/a"), ("us/a", "us/a/b")]
        {
            assert!(hides(first, later), "{first} {later}");
        }
        for (first, later) in [("us", "*"), ("us/a", "us/*"), ("us", "eu"), ("us/a", "us/b"), ("us/a/b", "us/a/*")] {
            assert!(!hides(first, later), "{first} {later}");
        }
    }
}
