//! What the order of applying a change puts at risk: a subset and its use in one step (make before break).

use super::state::TreeState;
use malha_mesh::{
    names::fully_qualified,
    program::{ActionKind, Destination, Origin, Program},
};
use malha_model::Spec;
use malha_syntax::{Location, Sources};
use serde::Serialize;
use std::collections::BTreeMap;

/// One risk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Hazard {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) file: String,
    pub(super) range: Range,
}

/// Where, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Range {
    start: Position,
    end: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Position {
    line: u32,
    column: u32,
}

const CODE: &str = "O001";

/// A host and a subset of it.
type Subset = (String, String);

/// Subsets that come with their use, or go with it.
pub(super) fn hazards(old: &TreeState, new: &TreeState) -> Vec<Hazard> {
    let (defined_before, defined_after) = (defined(old), defined(new));
    let (used_before, used_after) = (used(&old.program), used(&new.program));
    let mut hazards = Vec::new();
    for (subset @ (host, name), place) in &used_after {
        if !defined_before.contains_key(subset) && defined_after.contains_key(subset) {
            let message = format!(
                "subset `{name}` of `{host}` comes with its first use: until proxies have its DestinationRule, requests to it \
                 are answered 503; apply the DestinationRule first, the route after it"
            );
            hazards.push(hazard(message, *place, new.workspace.files().sources()));
        }
    }
    for (subset @ (host, name), place) in &defined_before {
        if used_before.contains_key(subset) && !defined_after.contains_key(subset) && !used_after.contains_key(subset) {
            let message = format!(
                "subset `{name}` of `{host}` goes with its last use: proxies that still have the route answer 503; remove \
                 the route first, the subset after it"
            );
            hazards.push(hazard(message, *place, old.workspace.files().sources()));
        }
    }
    hazards.sort();
    hazards.dedup();
    hazards
}

fn hazard(message: String, place: Location, sources: &Sources) -> Hazard {
    let at = |offset: u32| {
        let position = sources.line_column(Location { span: malha_syntax::Span::new(offset, offset), ..place });
        Position { line: position.line, column: position.column }
    };
    let file = sources.get(place.source).map(|source| source.name.clone()).unwrap_or_default();
    Hazard { code: CODE, message, file, range: Range { start: at(place.span.start), end: at(place.span.end) } }
}

/// The subsets that DestinationRules define.
fn defined(state: &TreeState) -> BTreeMap<Subset, Location> {
    let mut defined = BTreeMap::new();
    for resource in state.mesh.resources() {
        let Spec::DestinationRule(rule) = &resource.spec else { continue };
        let Some(host) = &rule.host else { continue };
        let host = fully_qualified(host, &resource.namespace, &state.mesh.config().cluster_domain);
        for subset in &rule.subsets {
            if let Some(name) = &subset.name {
                defined.insert((host.to_string(), name.to_string()), resource.location(name.span));
            }
        }
    }
    defined
}

/// The subsets that routes send to, and one such route each.
fn used(program: &Program) -> BTreeMap<Subset, Location> {
    let mut used = BTreeMap::new();
    let tables = program.proxies.iter().flat_map(|proxy| &proxy.program.route_tables);
    for route in tables.flat_map(|table| &table.virtual_hosts).flat_map(|host| host.routes.iter()) {
        let (ActionKind::Forward(forward), Some(origin)) = (&route.action.kind, &route.origin) else { continue };
        let mirrors = forward.mirrors.iter().map(|mirror| &mirror.destination);
        for destination in forward.destinations.iter().chain(mirrors) {
            put(&mut used, destination, origin);
        }
    }
    used
}

fn put(used: &mut BTreeMap<Subset, Location>, destination: &Destination, origin: &Origin) {
    if let Some(subset) = &destination.subset {
        used.entry((destination.host.to_string(), subset.to_string())).or_insert(origin.location);
    }
}
