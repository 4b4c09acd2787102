//! Services that nothing on this machine answers for.

use malha_mesh::{
    Mesh,
    program::{Discovery, Program},
};
use std::collections::BTreeMap;

/// A line on the services of a program without a single endpoint that has an address; none if there are none.
pub(super) fn note(mesh: &Mesh, program: &Program) -> Option<String> {
    let mut placed: BTreeMap<(&str, u32), bool> = BTreeMap::new();
    for cluster in program.proxies.iter().flat_map(|proxy| &proxy.program.clusters) {
        if cluster.discovery == Discovery::Eds {
            let is_placed = cluster.endpoints.iter().any(|endpoint| endpoint.address.is_some());
            *placed.entry((&cluster.host, cluster.port)).or_default() |= is_placed;
        }
    }
    let mut services: BTreeMap<&str, (u32, bool)> = BTreeMap::new();
    for ((host, port), is_placed) in placed {
        services.entry(host).or_insert((port, false)).1 |= is_placed;
    }
    let unplaced: Vec<(&str, u32)> =
        services.into_iter().filter(|(_, (_, is_placed))| !is_placed).map(|(host, (port, _))| (host, port)).collect();
    let (host, port) = unplaced.first()?;
    let suffix = format!(".svc.{}", mesh.config().cluster_domain);
    let name = host.strip_suffix(suffix.as_str()).unwrap_or(host);
    let have =
        if unplaced.len() == 1 { "1 service has".to_owned() } else { format!("{} services have", unplaced.len()) };
    Some(format!(
        "{have} no address on this machine, and requests to them get 503: `--mock` gives each workload a stand-in, \
         `--endpoint {name}:{port}=127.0.0.1:PORT` names a process of yours"
    ))
}
