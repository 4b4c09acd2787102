//! What Sidecar objects ask for that is not done here.

use malha_mesh::{Mesh, Protocol, ProxySpec};
use malha_model::{Resource, Spec, istio};
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
    if sidecar.outbound_traffic_policy.as_ref().is_some_and(|policy| policy.egress_proxy.is_some()) {
        notes.push(format!(
            "{name}, egressProxy is not applied: what no service takes goes where its client meant it to"
        ));
    }
    for (index, listener) in sidecar.egress.iter().enumerate() {
        if let Some(what) = unopened(listener) {
            notes.push(format!("{name}, egress[{index}] is not opened: {what}"));
        }
    }
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

/// Why an egress listener is not opened, if it is not.
fn unopened(listener: &istio::sidecar::IstioEgressListener) -> Option<&'static str> {
    let protocol = listener.port.as_ref().and_then(|port| port.protocol.as_ref());
    if listener.bind.as_ref().is_some_and(|bind| bind.starts_with("unix:") || bind.starts_with('@')) {
        return Some("clients do not come by sockets here; let them call the outbound listener");
    }
    if protocol.is_some_and(|protocol| Protocol::parse(protocol) == Protocol::HttpProxy) {
        return Some("it is an HTTP proxy for its hosts, as the outbound listener is for those of the other listeners");
    }
    None
}
