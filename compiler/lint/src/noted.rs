//! What lowering noted, told once.

use crate::rule::Context;
use malha_mesh::program::{Note, NoteKind};
use malha_syntax::{Finding, Location};
use std::collections::BTreeSet;

/// Turns the notes of a kind into findings, each place once, however many proxies it concerns.
pub(crate) fn noted(
    context: &Context<'_>,
    kind: NoteKind,
    finding: impl Fn(&Note) -> Finding,
    other: &str,
    findings: &mut Vec<Finding>,
) {
    let mut told: BTreeSet<(Location, Option<Location>)> = BTreeSet::new();
    for proxy in &context.program.proxies {
        for note in proxy.program.notes.iter().filter(|note| note.kind == kind) {
            if !told.insert((note.location, note.other)) {
                continue;
            }
            let mut found = finding(note);
            if let Some(place) = note.other {
                found = found.related(place, other);
            }
            if let Some(resource) = holder(context, note.location) {
                found = found.resource(resource);
            }
            findings.push(found);
        }
    }
}

/// The object that a place lies in.
fn holder(context: &Context<'_>, place: Location) -> Option<malha_syntax::ResourceName> {
    let resources = context.mesh.resources().iter();
    resources
        .filter(|resource| resource.source == place.source)
        .find(|resource| resource.span.start <= place.span.start && place.span.end <= resource.span.end)
        .map(|resource| resource.resource_name())
}
