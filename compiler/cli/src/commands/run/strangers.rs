//! Local endpoints that stand for no service of the mesh.

use super::local::is_named;
use crate::{config::LocalEndpoint, words::some};
use malha_mesh::Mesh;
use malha_syntax::nearest;

/// Takes out those that no service of the mesh has the name and the port of; a line on each.
pub(super) fn take_out(mesh: &Mesh, local: &mut Vec<LocalEndpoint>) -> Vec<String> {
    let services = mesh.registry().services();
    let mut notes = Vec::new();
    local.retain(|local| {
        let is_known = services
            .iter()
            .any(|service| is_named(mesh, local, &service.hostname) && service.port(local.port).is_some());
        if !is_known {
            notes.push(note(mesh, local));
        }
        is_known
    });
    notes
}

fn note(mesh: &Mesh, local: &LocalEndpoint) -> String {
    let LocalEndpoint { service, port, address, .. } = local;
    let services = mesh.registry().services();
    let named = services.iter().filter(|known| is_named(mesh, local, &known.hostname));
    let mut ports: Vec<u32> = named.flat_map(|known| &known.ports).map(|port| port.number).collect();
    ports.sort_unstable();
    ports.dedup();
    if !ports.is_empty() {
        let ports = some(&ports.iter().map(ToString::to_string).collect::<Vec<_>>());
        return format!("{service} has no port {port}, so {address} gets no requests: it has {ports}");
    }
    let suffix = format!(".svc.{}", mesh.config().cluster_domain);
    let mut known: Vec<String> = services
        .iter()
        .flat_map(|known| {
            let name = known.hostname.strip_suffix(suffix.as_str()).unwrap_or(&known.hostname);
            known.ports.iter().map(move |port| format!("{name}:{}", port.number))
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    let name = format!("{service}:{port}");
    // A service without its namespace is the commonest slip.
    let whole = || known.iter().find(|known| known.starts_with(&format!("{service}."))).map(String::as_str);
    let help = match nearest(&name, known.iter().map(String::as_str)).or_else(whole) {
        Some(meant) => format!("did you mean {meant}?"),
        None if known.is_empty() => "there are no services in these files".to_owned(),
        None => format!("there are {}", some(&known)),
    };
    format!("no service in these files is {name}, so {address} gets no requests: {help}")
}
