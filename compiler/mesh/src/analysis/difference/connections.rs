//! Filter chains that forward bytes, and how TLS ends, against each other.

use super::{Class, Detail, Difference, Frame, Side, Sides, effect::Effect};
use crate::analysis::authority;
use crate::program::{Filter, FilterChain, Listener, Role, Termination};
use malha_table::{Address, Protocol, Request, Tls};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// What a connection is chosen by: server name, range, whether it is TLS, whether its first bytes are looked at.
type Key<'p> = (Option<&'p str>, Option<&'p str>, Option<bool>, bool);

/// What is done with connections.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Treatment {
    /// Their bytes are forwarded; else they are requests, which are compared host by host.
    forwards: bool,
    /// How TLS ends.
    termination: String,
    effect: Effect,
}

/// The keys whose connections change in one way: how, what was done, what is.
type Found<'k, 'p> = BTreeMap<(Class, Option<Treatment>, Option<Treatment>), Vec<&'k Key<'p>>>;

/// The chain for each server name and range.
fn chains(listener: Option<&Listener>) -> BTreeMap<Key<'_>, &FilterChain> {
    fn each(list: &[SmolStr]) -> Vec<Option<&str>> {
        if list.is_empty() { vec![None] } else { list.iter().map(|text| Some(text.as_str())).collect() }
    }
    let mut chains = BTreeMap::new();
    let accepted = listener.into_iter().filter(|listener| listener.rejected.is_none());
    for chain in accepted.flat_map(|listener| &listener.filter_chains) {
        for name in each(&chain.server_names) {
            for range in each(&chain.destinations) {
                chains.entry((name, range, chain.tls, chain.inspected)).or_insert(chain);
            }
        }
    }
    chains
}

/// The chain for a key: its own, else that of the closest wildcard, else that of any name (semantics A52).
fn taker<'p>(chains: &BTreeMap<Key<'p>, &'p FilterChain>, key: &Key<'_>) -> Option<&'p FilterChain> {
    let (name, range, tls, inspected) = *key;
    let beside = chains.iter().filter(|((_, other, ..), _)| *other == range);
    let beside = beside.filter(|((.., other, looks), _)| (*other, *looks) == (tls, inspected));
    let covering = beside.filter(|((other, ..), _)| match (other, name) {
        (None, _) => true,
        (Some(other), Some(name)) => *other == name || crate::host::is_subset(name, other),
        (Some(_), None) => false,
    });
    covering.max_by_key(|((other, ..), _)| (*other == name, other.map(str::len))).map(|(_, chain)| *chain)
}

pub(super) fn compare(sides: &Sides<'_>, old: Option<&Listener>, new: Option<&Listener>, frame: &mut Frame<'_>) {
    let (before, after) = (chains(old), chains(new));
    let keys: BTreeSet<&Key<'_>> = before.keys().chain(after.keys()).collect();
    let mut found: Found<'_, '_> = BTreeMap::new();
    for key in keys {
        let one = taker(&before, key).map(|chain| treatment(sides.old, chain));
        let other = taker(&after, key).map(|chain| treatment(sides.new, chain));
        let class = match (&one, &other) {
            // Requests are compared host by host.
            (Some(only), None) | (None, Some(only)) if !only.forwards => continue,
            (one, other) if one == other => continue,
            (Some(one), Some(other)) if one.forwards != other.forwards => Class::Rerouted,
            (one, other) => {
                let effect = |side: &'_ Option<Treatment>| side.as_ref().map(|side| side.effect.clone());
                Effect::class(effect(one).as_ref(), effect(other).as_ref())
            }
        };
        found.entry((class, one, other)).or_default().push(key);
    }
    for ((class, one, other), keys) in found {
        let Some((name, range, tls, _)) = keys.first() else { continue };
        let words = if one.as_ref().is_some_and(|one| !one.forwards) {
            "every connection, by how TLS ends".to_owned()
        } else {
            words(&keys)
        };
        let details = details(one.as_ref(), other.as_ref());
        // The range's own address, else the listener's.
        let address = range.and_then(|range| range.split('/').next()).or(frame.listener.bind.as_deref());
        let is_tls = name.is_some() || *tls == Some(true);
        let request = Request {
            via: Some(if frame.role == Role::Sidecar { "mesh" } else { "gateway" }.to_owned()),
            proxy: Some(frame.proxy.clone()),
            port: Some(frame.listener.port),
            destination: address.map(|ip| Address { ip: ip.to_owned() }),
            protocol: Some(if is_tls { Protocol::Tls } else { Protocol::Tcp }),
            tls: is_tls.then(|| Tls { sni: name.map(authority::example), alpn: Vec::new() }),
            ..Request::default()
        };
        let host = name.or(*range).unwrap_or("any connection").to_owned();
        let text = |side: Option<Treatment>| side.map(|side| (side.termination, side.effect.text()));
        let effects = format!("{:?} {:?}", text(one), text(other));
        frame.tell(class, Difference { host, region: words, request: Some(request), details, effects });
    }
}

fn words(keys: &[&Key<'_>]) -> String {
    let one = |(name, range, ..): &&Key<'_>| match (name, range) {
        (Some(name), Some(range)) => format!("for server name {name} to {range}"),
        (Some(name), None) => format!("for server name {name}"),
        (None, Some(range)) => format!("to {range}"),
        (None, None) => "of any sort".to_owned(),
    };
    format!("connections {}", keys.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn treatment(side: Side<'_>, chain: &FilterChain) -> Treatment {
    let mut effect = Effect::default();
    let mut forwards = false;
    if let Filter::Tcp(route) = &chain.filter {
        forwards = true;
        let to: Vec<String> = route.destinations.iter().map(|to| effect.destination(side, to)).collect();
        let weights: Vec<u32> = route.destinations.iter().map(|to| to.weight).collect();
        effect.target = format!("{to:?}");
        effect.whole = format!("{weights:?}");
    }
    let termination = chain.termination.as_ref().map_or_else(|| "not here".to_owned(), termination_words);
    Treatment { forwards, termination, effect }
}

/// Everything about how TLS ends.
fn termination_words(ends: &Termination) -> String {
    let Termination { mode, min_version, max_version, .. } = ends;
    let mut words = vec![mode.to_string()];
    let lists = [
        ("credential", &ends.credentials),
        ("cipher suite", &ends.cipher_suites),
        ("subject name", &ends.subject_alt_names),
    ];
    for (what, list) in lists {
        words.extend(list.iter().map(|item| format!("{what} {item}")));
    }
    let single = [
        ("certificate", &ends.server_certificate),
        ("key", &ends.private_key),
        ("CA", &ends.ca_certificates),
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
