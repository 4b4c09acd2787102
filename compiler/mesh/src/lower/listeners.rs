//! What Envoy would refuse to load, by which a listener is left out (semantics A10, A18, A19, C19, C37).

use super::context::TableIndex;
use crate::program::{Filter, FilterChain, Listener, Note, NoteKind};
use hashbrown::HashMap;
use malha_syntax::Location;
use smol_str::{SmolStr, format_smolstr};

/// Marks the listener as rejected if Envoy would refuse it, and notes why and where.
pub(super) fn judge(listener: &mut Listener, tables: &TableIndex, notes: &mut Vec<Note>) {
    if let Some((what, location, other)) = equal_chains(&listener.filter_chains) {
        reject(listener, notes, format!("two filter chains have the same match, {what}"), location, other);
    }
    let tables_in_use: Vec<usize> = listener
        .filter_chains
        .iter()
        .filter_map(|chain| match chain.filter {
            Filter::Http(table) => Some(table),
            Filter::Tcp(_) => None,
        })
        .collect();
    for refusal in tables_in_use.into_iter().flat_map(|table| tables.refusals(table)) {
        reject(listener, notes, refusal.reason.clone(), Some(refusal.location), None);
    }
}

fn reject(
    listener: &mut Listener,
    notes: &mut Vec<Note>,
    reason: String,
    location: Option<Location>,
    other: Option<Location>,
) {
    if let Some(location) = location {
        let detail = format!("Envoy refuses listener {}: {reason}", listener.name);
        let note = Note { kind: NoteKind::ListenerRejected, location, other, detail };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    listener.rejected.get_or_insert(reason);
}

/// Two chains that the same connection would match equally well: what they share, and where the later and the earlier
/// come from.
fn equal_chains(chains: &[FilterChain]) -> Option<(SmolStr, Option<Location>, Option<Location>)> {
    type Match<'a> = (Option<&'a str>, Option<&'a str>, Option<bool>, bool);
    let mut seen: HashMap<Match<'_>, Option<Location>> = HashMap::new();
    for chain in chains {
        let names = or_none(&chain.server_names);
        for name in names {
            for range in or_none(&chain.destinations) {
                let key = (name, range, chain.tls, chain.inspected);
                if let Some(other) = seen.insert(key, chain.location) {
                    let what = match name {
                        Some(name) => format_smolstr!("server name `{name}`"),
                        None => SmolStr::new_static("every connection"),
                    };
                    return Some((what, chain.location, other));
                }
            }
        }
    }
    None
}

/// The items, or none of them once: a chain without names takes any.
fn or_none(items: &[SmolStr]) -> impl Iterator<Item = Option<&str>> {
    let none = items.is_empty().then_some(None);
    items.iter().map(|item| Some(item.as_str())).chain(none)
}
