//! Filter chains that forward bytes, and how TLS ends, against each other.

use super::{Change, Class, Frame, Side, Sides, hosts::destination};
use crate::analysis::authority;
use crate::program::{Filter, FilterChain, Listener, Role};
use malha_table::{Address, Protocol, Request, Tls};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What a connection is chosen by: server name, range, whether it is TLS, whether its first bytes are looked at.
type Key<'p> = (Option<&'p str>, Option<&'p str>, Option<bool>, bool);

/// Where bytes go (none: they are requests), and everything about the chain.
type Effect = (Option<String>, String);

/// The keys whose connections change in one way: how, what was done, what is.
type Found<'k, 'p> = BTreeMap<(Class, Option<Effect>, Option<Effect>), Vec<&'k Key<'p>>>;

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

pub(super) fn compare(
    sides: &Sides<'_>,
    old: Option<&Listener>,
    new: Option<&Listener>,
    frame: &Frame<'_>,
    changes: &mut Vec<Change>,
) {
    let (before, after) = (chains(old), chains(new));
    let keys: BTreeSet<&Key<'_>> = before.keys().chain(after.keys()).collect();
    let mut found: Found<'_, '_> = BTreeMap::new();
    for key in keys {
        let one = taker(&before, key).map(|chain| effect(sides.old, chain));
        let other = taker(&after, key).map(|chain| effect(sides.new, chain));
        let class = match (&one, &other) {
            // Requests are compared host by host.
            (Some((None, _)) | None, None) | (None, Some((None, _))) => continue,
            (one, other) if one == other => continue,
            (None, _) => Class::Added,
            (_, None) => Class::Removed,
            (Some((one, _)), Some((other, _))) if one == other => Class::Policy,
            _ => Class::Rerouted,
        };
        found.entry((class, one, other)).or_default().push(key);
    }
    for ((class, one, _), keys) in found {
        let Some((name, range, tls, _)) = keys.first() else { continue };
        let words = if one.is_some_and(|(target, _)| target.is_none()) {
            "every connection, by how TLS ends".to_owned()
        } else {
            words(&keys)
        };
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
        changes.push(frame.change(class, host, words, Some(request)));
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

fn effect(side: Side<'_>, chain: &FilterChain) -> Effect {
    let mut whole = format!("{:?}", chain.termination);
    let target = match &chain.filter {
        Filter::Http(_) => None,
        Filter::Tcp(route) => {
            let to: Vec<String> = route.destinations.iter().map(|to| destination(side, to, &mut whole)).collect();
            let weights: Vec<u32> = route.destinations.iter().map(|to| to.weight).collect();
            // Writing to a string cannot fail.
            let _ = write!(whole, "{weights:?}");
            Some(format!("{to:?}"))
        }
    };
    (target, whole)
}
