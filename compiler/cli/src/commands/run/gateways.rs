//! Endpoints that are gateways of this process, as where the mesh sends what is to leave it by an egress gateway.

use malha_mesh::{
    Labels, Mesh,
    program::{Cluster, Endpoint, Program, Proxy, Role},
    registry::{Service, ServiceOrigin, TargetPort},
    satisfies,
};
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;

/// The gateway proxies of a program, as endpoints of others.
pub(super) struct Gateways<'a> {
    proxies: Vec<&'a Proxy>,
}

/// What the address of an endpoint begins with that is a gateway of the same table: the proxy knows where it listens.
const SCHEME: &str = "listener://";

impl<'a> Gateways<'a> {
    pub(super) fn of(program: &'a Program) -> Self {
        Gateways { proxies: program.proxies.iter().filter(|proxy| proxy.role == Role::Gateway).collect() }
    }

    /// The endpoint, if its workload is a gateway of the program, with that gateway's address.
    pub(super) fn own(&self, endpoint: &Endpoint) -> Option<Endpoint> {
        let (namespace, name) = endpoint.workload.as_ref()?;
        let is_it = |proxy: &&&Proxy| {
            proxy.namespace == *namespace
                && (proxy.name == *name || !proxy.labels.is_empty() && satisfies(&endpoint.labels, &proxy.labels))
        };
        // A workload may have what another asks for, and more.
        let best = |proxy: &&&Proxy| (proxy.name == *name, proxy.labels.len());
        let proxy = self.proxies.iter().filter(is_it).max_by_key(best)?;
        Some(Endpoint { address: Some(address(proxy)), ..endpoint.clone() })
    }

    /// The gateways that the files know by selectors alone, as endpoints of their Service: it may ask for more labels
    /// than they do. `wanted`: the labels of the cluster's subset.
    pub(super) fn made_up(&self, mesh: &Mesh, cluster: &Cluster, wanted: &Labels) -> Vec<Endpoint> {
        let services = mesh.registry().services_of_host(&cluster.host);
        let services = services.filter(|service| service.origin == ServiceOrigin::Kubernetes);
        let endpoints = services.flat_map(|service| {
            let of_service = self.proxies.iter().filter(|proxy| {
                proxy.namespace == service.namespace
                    && service.selector.as_ref().is_some_and(|selector| agree(&proxy.labels, selector))
                    && agree_or_empty(&proxy.labels, wanted)
                    && mesh.registry().workloads_with(&proxy.namespace, &proxy.labels).next().is_none()
            });
            of_service.filter_map(|proxy| {
                Some(Endpoint {
                    address: Some(address(proxy)),
                    port: port(proxy, service, cluster.port)?,
                    weight: 1,
                    workload: Some((proxy.namespace.clone(), proxy.name.clone())),
                    labels: proxy.labels.clone(),
                    ..Endpoint::default()
                })
            })
        });
        endpoints.collect()
    }
}

/// Whether an address is that of a gateway of the same table.
pub(super) fn is_own(address: &str) -> bool {
    own_name(address).is_some()
}

/// The gateway of the same table that an address is of, as `NAMESPACE/NAME`.
pub(super) fn own_name(address: &str) -> Option<&str> {
    address.strip_prefix(SCHEME)
}

fn address(proxy: &Proxy) -> SmolStr {
    format_smolstr!("{SCHEME}{}/{}", proxy.namespace, proxy.name)
}

/// Where such a gateway listens for a port of its Service: on its target, else, where the Service was not known to be its
/// own, on the port of that number (semantics A2).
fn port(proxy: &Proxy, service: &Arc<Service>, number: u32) -> Option<u32> {
    let target = service.ports.iter().find(|port| port.number == number).and_then(|port| match &port.target {
        TargetPort::Number(target) => Some(*target),
        TargetPort::Name(_) => None,
    });
    let listeners = &proxy.program.listeners;
    let is_open = |port: &u32| listeners.iter().any(|listener| listener.port == *port);
    let of_server = || listeners.iter().find(|listener| listener.server_ports.contains(&number));
    target.filter(is_open).or_else(|| of_server().map(|listener| listener.port))
}

/// Whether a proxy of these labels, and others that are not known, may have what a selector asks for.
fn agree(labels: &Labels, selector: &Labels) -> bool {
    labels.keys().any(|name| selector.contains_key(name)) && agree_or_empty(labels, selector)
}

fn agree_or_empty(labels: &Labels, selector: &Labels) -> bool {
    selector.iter().all(|(name, value)| labels.get(name).is_none_or(|own| own == value))
}
