//! Filter chains that forward bytes, and how TLS ends, against each other.

use super::{Change, Class, Frame, Side, Sides, hosts::destination};
use crate::analysis::authority;
use crate::program::{Filter, FilterChain, Listener, Role};
use malha_table::{Protocol, Request, Tls};
use std::collections::{BTreeMap, BTreeSet};

/// What makes two filter chains the same: what they are chosen by.
type Key<'p> = (Vec<&'p str>, Vec<&'p str>, Option<bool>, bool);

fn chains<'p>(listener: Option<&'p Listener>) -> BTreeMap<Key<'p>, &'p FilterChain> {
    let accepted = listener.into_iter().filter(|listener| listener.rejected.is_none());
    let chains = accepted.flat_map(|listener| &listener.filter_chains).map(|chain| {
        let texts = |list: &'p [smol_str::SmolStr]| list.iter().map(|text| text.as_str()).collect();
        ((texts(&chain.server_names), texts(&chain.destinations), chain.tls, chain.inspected), chain)
    });
    chains.collect()
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
    for key in keys {
        let one = before.get(key).map(|chain| effect(sides.old, chain));
        let other = after.get(key).map(|chain| effect(sides.new, chain));
        let class = match (&one, &other) {
            // Requests are compared host by host.
            (Some((None, _)) | None, None) | (None, Some((None, _))) => continue,
            (one, other) if one == other => continue,
            (None, _) => Class::Added,
            (_, None) => Class::Removed,
            (Some((one, _)), Some((other, _))) if one == other => Class::Policy,
            _ => Class::Rerouted,
        };
        let host = key.0.first().or(key.1.first()).copied().unwrap_or("any connection").to_owned();
        let words = if one.as_ref().or(other.as_ref()).is_some_and(|(target, _)| target.is_none()) {
            "every connection, by how TLS ends".to_owned()
        } else {
            match (key.0.as_slice(), key.1.as_slice()) {
                ([], []) => "every connection".to_owned(),
                ([], ranges) => format!("connections to {}", ranges.join(", ")),
                (names, _) => format!("connections for server name {}", names.join(", ")),
            }
        };
        let is_tls = !key.0.is_empty() || key.2 == Some(true);
        let name = key.0.first().map(|name| authority::example(name));
        let request = Request {
            via: Some(if frame.role == Role::Sidecar { "mesh" } else { "gateway" }.to_owned()),
            proxy: Some(frame.proxy.clone()),
            port: Some(frame.listener.port),
            protocol: Some(if is_tls { Protocol::Tls } else { Protocol::Tcp }),
            tls: is_tls.then(|| Tls { sni: name, alpn: Vec::new() }),
            ..Request::default()
        };
        changes.push(frame.change(class, host, words, Some(request)));
    }
}

/// Where the bytes go (none: they are requests), and everything about the chain.
fn effect(side: Side<'_>, chain: &FilterChain) -> (Option<String>, String) {
    let mut whole = format!("{:?}", chain.termination);
    let target = match &chain.filter {
        Filter::Http(_) => None,
        Filter::Tcp(route) => {
            let to: Vec<String> = route.destinations.iter().map(|to| destination(side, to, &mut whole)).collect();
            let weights: Vec<u32> = route.destinations.iter().map(|to| to.weight).collect();
            whole.push_str(&format!("{weights:?}"));
            Some(format!("{to:?}"))
        }
    };
    (target, whole)
}
