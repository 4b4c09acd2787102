//! What Sidecar objects ask for that is not done here.

use malha_mesh::{Mesh, ProxySpec};
use malha_model::{Resource, Spec};
use std::collections::BTreeSet;

/// A line for each thing that the Sidecars of these proxies ask for in vain.
pub(super) fn notes(mesh: &Mesh, proxies: &[ProxySpec]) -> BTreeSet<String> {
    let sidecars = proxies.iter().filter_map(|proxy| mesh.sidecar(proxy));
    sidecars.flat_map(|resource| not_applied(resource)).collect()
}

fn not_applied(resource: &Resource) -> Vec<String> {
    let Spec::Sidecar(sidecar) = &resource.spec else { return Vec::new() };
    let name = format!("of Sidecar {}/{}", resource.namespace, resource.name);
    let mut notes = Vec::new();
    if !sidecar.ingress.is_empty() {
        notes.push(format!("{name}, ingress is not applied: nothing stands in front of the workload itself"));
    }
    if sidecar.inbound_connection_pool.is_some() {
        notes.push(format!(
            "{name}, inboundConnectionPool is not applied: nothing stands in front of the workload itself"
        ));
    }
    notes
}
