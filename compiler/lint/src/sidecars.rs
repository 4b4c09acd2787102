//! Sidecar objects, as rules look at them.

use malha_mesh::Mesh;
use malha_model::{Resource, Spec, istio::Sidecar};
use std::sync::Arc;

/// The Sidecars of a mesh, the oldest first: of several that fit a workload the first counts.
pub(crate) fn sidecars(mesh: &Mesh) -> impl Iterator<Item = (&Arc<Resource>, &Sidecar)> {
    mesh.resources().iter().filter_map(|resource| match &resource.spec {
        Spec::Sidecar(sidecar) => Some((resource, &**sidecar)),
        _ => None,
    })
}

/// That nobody knows which of two objects is older, where it is so.
pub(crate) fn age(one: &Resource, other: &Resource) -> &'static str {
    let is_dated = |resource: &Resource| resource.metadata.creation_timestamp.is_some();
    if is_dated(one) && is_dated(other) { "" } else { " (the older one counts, and no file says which that is)" }
}
