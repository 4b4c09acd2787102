//! Filter chains against each other: those that forward bytes, how TLS ends, and where requests are to be compared.

use super::{
    ANY_CONNECTION, Class, Detail, Difference, Frame, Side, Sides,
    effect::Effect,
    hosts::HostPairs,
    listeners::egress_proxy,
    sorts::{Sort, Sorts, Speaks},
};
use crate::program::{Fallback, Filter, FilterChain, Listener, Role, Termination};
use malha_table::{Address, Protocol, Request, Tls};
use std::collections::BTreeMap;

/// What is done with connections.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Treatment {
    /// Their bytes are forwarded; else they are requests, which are compared host by host.
    forwards: bool,
    /// How TLS ends.
    termination: String,
    effect: Effect,
}

/// The sorts of connections that change in one way: how, what was done, what is.
type Found<'p> = BTreeMap<(Class, Option<Treatment>, Option<Treatment>), Vec<Sort<'p>>>;

pub(super) fn compare(sides: &Sides<'_>, old: Option<&Listener>, new: Option<&Listener>, frame: &mut Frame<'_>) {
    let sorts = Sorts::of(old, new);
    let mut found: Found<'_> = BTreeMap::new();
    let mut hosts = HostPairs::new(sides);
    // Of connections by name nobody chooses the address.
    let is_asked = |sort: &&Sort<'_>| sorts.can_be_named(**sort) && (frame.name.is_none() || sort.range.is_none());
    let asked: Vec<Sort<'_>> = sorts.all.iter().filter(is_asked).copied().collect();
    for sort in asked {
        let is_by_name = frame.name.is_some();
        let (before, after) = (sorts.taker(sort, old, is_by_name), sorts.taker(sort, new, is_by_name));
        let is_http = |chain: Option<&FilterChain>| chain.is_some_and(|chain| matches!(chain.filter, Filter::Http(_)));
        // The requests of those are told of connections by any address.
        if frame.name.is_some() && (is_http(before) || is_http(after)) {
            continue;
        }
        let is_absent = old.is_none() || new.is_none();
        // Requests are compared host by host.
        if (is_http(before) && is_http(after)) || (is_absent && (is_http(before) || is_http(after))) {
            hosts.compare(&sorts, sort, before, after, frame);
        }
        if is_absent && (is_http(before) || is_http(after)) {
            continue;
        }
        let (one, other) = (treatment(sides.old, old, before), treatment(sides.new, new, after));
        let class = match (&one, &other) {
            (one, other) if one == other => continue,
            (Some(one), Some(other)) if one.forwards != other.forwards => Class::Rerouted,
            (one, other) => {
                let effect = |side: &'_ Option<Treatment>| side.as_ref().map(|side| side.effect.clone());
                Effect::class(effect(one).as_ref(), effect(other).as_ref())
            }
        };
        found.entry((class, one, other)).or_default().push(sort);
    }
    for ((class, one, other), changed) in found {
        // What is told by name is no request.
        let sort = changed.iter().find(|sort| frame.name.is_none() || sort.speaks != Speaks::Http);
        let Some(&sort) = sort.or(changed.first()) else { continue };
        let details = details(one.as_ref(), other.as_ref());
        // The range's own address, else the listener's.
        let address = sorts.address(sort).map(|ip| ip.to_string());
        let address = address.or_else(|| Some(frame.address()?.ip));
        let address = address.filter(|_| frame.name.is_none());
        let is_tls = sort.speaks == Speaks::Tls;
        // A request of plain HTTP names some host.
        let authority =
            (sort.speaks == Speaks::Http).then(|| address.clone().unwrap_or_else(|| "example.com".to_owned()));
        let request = Request {
            authority: authority.or_else(|| frame.authority()),
            via: Some(if frame.role == Role::Sidecar { "mesh" } else { "gateway" }.to_owned()),
            proxy: Some(frame.proxy.clone()),
            port: Some(frame.listener.port),
            destination: address.map(|ip| Address { ip }),
            protocol: Some(match sort.speaks {
                Speaks::Tls => Protocol::Tls,
                Speaks::Http => Protocol::Http,
                Speaks::Other => Protocol::Tcp,
            }),
            tls: is_tls.then(|| Tls { sni: sorts.server_name(sort), alpn: Vec::new() }),
            ..Request::default()
        };
        let host = sort.name.or(sort.range).unwrap_or(ANY_CONNECTION).to_owned();
        let text = |side: Option<Treatment>| side.map(|side| (side.termination, side.effect.text()));
        let effects = format!("{:?} {:?}", text(one), text(other));
        frame.tell(class, Difference { host, region: words(&changed), request: Some(request), details, effects });
    }
}

fn words(changed: &[Sort<'_>]) -> String {
    const SHOWN: usize = 6;
    let one = |sort: &Sort<'_>| match (sort.name, sort.range) {
        (Some(name), Some(range)) => format!("for server name {name} to {range}"),
        (Some(name), None) => format!("for server name {name}"),
        (None, range) => {
            let what = match sort.speaks {
                Speaks::Tls => "of TLS",
                Speaks::Http => "of plain HTTP",
                Speaks::Other => "of other protocols",
            };
            range.map_or_else(|| what.to_owned(), |range| format!("{what} to {range}"))
        }
    };
    let mut words: Vec<String> = changed.iter().take(SHOWN).map(one).collect();
    if changed.len() > SHOWN {
        words.push(format!("and {} more", changed.len() - SHOWN));
    }
    format!("connections {}", words.join(", "))
}

/// What is done with connections that a chain has, or that none has; none: they are closed.
fn treatment(side: Side<'_>, listener: Option<&Listener>, chain: Option<&FilterChain>) -> Option<Treatment> {
    let mut effect = Effect::default();
    let Some(chain) = chain else {
        let fallback = match (listener, side.proxy) {
            (Some(listener), _) => listener.fallback,
            (None, Some(proxy)) => proxy.program.fallback,
            (None, None) => Fallback::Close,
        };
        effect.target = match fallback {
            Fallback::Close => return None,
            Fallback::Passthrough => "passed on".to_owned(),
            Fallback::Blackhole => "refused".to_owned(),
            Fallback::EgressProxy => egress_proxy(side, &mut effect),
        };
        return Some(Treatment { forwards: true, termination: NOT_HERE.to_owned(), effect });
    };
    let mut forwards = false;
    if let Filter::Tcp(route) = &chain.filter {
        forwards = true;
        let to: Vec<String> = route.destinations.iter().map(|to| effect.destination(side, to)).collect();
        let weights: Vec<u32> = route.destinations.iter().map(|to| to.weight).collect();
        effect.target = format!("{to:?}");
        effect.whole = format!("{weights:?}");
    }
    let termination = chain.termination.as_ref().map_or_else(|| NOT_HERE.to_owned(), termination_words);
    Some(Treatment { forwards, termination, effect })
}

/// Where no TLS ends.
const NOT_HERE: &str = "not here";

/// Everything about how TLS ends.
fn termination_words(ends: &Termination) -> String {
    let Termination { mode, min_version, max_version, .. } = ends;
    let mut words = vec![mode.to_string()];
    let lists = [
        ("credential", &ends.credentials),
        ("cipher suite", &ends.cipher_suites),
        ("subject name", &ends.subject_alt_names),
        ("key hash", &ends.key_hashes),
        ("certificate hash", &ends.certificate_hashes),
    ];
    for (what, list) in lists {
        words.extend(list.iter().map(|item| format!("{what} {item}")));
    }
    words.extend(ends.certificates.iter().map(|(file, key)| format!("certificate {file}, key {key}")));
    if ends.insecure_skip_verify {
        words.push("clients are not verified".to_owned());
    }
    let single = [
        ("CA", &ends.ca_certificates),
        ("CA credential", &ends.ca_credential),
        ("CRL", &ends.ca_crl),
        ("from", min_version),
        ("to", max_version),
    ];
    words.extend(single.iter().filter_map(|(what, item)| Some(format!("{what} {}", item.as_ref()?))));
    words.join(", ")
}

/// What a decision does not show of the difference.
fn details(old: Option<&Treatment>, new: Option<&Treatment>) -> Vec<Detail> {
    let (Some(old), Some(new)) = (old, new) else { return Vec::new() };
    let mut details = Effect::details(Some(&old.effect), Some(&new.effect));
    if old.termination != new.termination {
        let (before, after) = (old.termination.clone(), new.termination.clone());
        details.push(Detail { what: "how TLS ends".to_owned(), before, after });
    }
    details
}
