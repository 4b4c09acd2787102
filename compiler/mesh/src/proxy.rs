//! Who executes: proxies, and the ports that they open (semantics A1, A2).

use crate::{
    config::MeshConfig,
    gateway::Gateway,
    labels::{Labels, satisfies},
    mesh::Mesh,
    program::Role,
    registry::{Protocol, Registry, Service, ServiceOrigin, ServicePort, TargetPort, WorkloadKind},
};
use smol_str::SmolStr;
use std::sync::Arc;

/// A Service with this label does not translate the ports of gateways.
const NO_TRANSLATION: &str = "experimental.istio.io/disable-gateway-port-translation";

/// What Kubernetes adds to the labels of single Pods: it tells no two proxies apart.
const LABELS_OF_PODS: [&str; 4] = [
    "pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
];

/// A proxy to lower the mesh for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxySpec {
    /// Gateway or sidecar.
    pub role: Role,
    /// Its namespace: configs are seen, and DestinationRules chosen, from here.
    pub namespace: SmolStr,
    /// A name for people.
    pub name: SmolStr,
    /// Its labels.
    pub labels: Labels,
}

impl ProxySpec {
    /// The sidecar of a client of which nothing is known: namespace `default`, no labels.
    pub fn default_sidecar() -> Self {
        ProxySpec {
            role: Role::Sidecar,
            namespace: SmolStr::new_static("default"),
            name: SmolStr::new_static("default"),
            labels: Labels::new(),
        }
    }
}

/// The gateway proxies: workloads that Gateways select; those of the configuration; and for selectors that none of
/// these satisfies, proxies made up in the root namespace.
pub(crate) fn proxies(gateways: &[Arc<Gateway>], registry: &Registry, config: &MeshConfig) -> Vec<ProxySpec> {
    let mut selectors: Vec<&Gateway> = Vec::new();
    for gateway in gateways {
        if selectors.iter().all(|known| known.selector != gateway.selector) {
            selectors.push(gateway);
        }
    }
    let mut proxies: Vec<ProxySpec> = Vec::new();
    for configured in &config.gateways {
        proxies.push(ProxySpec {
            role: Role::Gateway,
            namespace: configured.namespace.clone(),
            name: configured.name.clone(),
            labels: configured.labels.clone(),
        });
    }
    let pods = registry.workloads().iter().filter(|workload| workload.kind != WorkloadKind::WorkloadEntry);
    for workload in pods {
        let selects = |gateway: &&Gateway| !gateway.selector.is_empty() && gateway.selects(&workload.labels);
        if !selectors.iter().any(selects) {
            continue;
        }
        let mut labels = workload.labels.clone();
        labels.retain(|name, _| !LABELS_OF_PODS.contains(&name.as_str()));
        let namespace = workload.name.namespace.clone();
        if proxies.iter().all(|proxy| proxy.namespace != namespace || proxy.labels != labels) {
            proxies.push(ProxySpec { role: Role::Gateway, namespace, name: workload.name.name.clone(), labels });
        }
    }
    // An empty selector takes every gateway proxy; it needs one of its own only where there is no other.
    selectors.sort_by_key(|gateway| gateway.selector.is_empty());
    for gateway in selectors {
        if !proxies.iter().any(|proxy| gateway.selects(&proxy.labels)) {
            proxies.push(ProxySpec {
                role: Role::Gateway,
                namespace: config.root_namespace.clone(),
                name: gateway.name.name.clone(),
                labels: gateway.selector.clone(),
            });
        }
    }
    proxies.sort();
    proxies
}

impl Mesh {
    /// The port on which `proxy` listens for a Gateway server with the number `number`: the targetPort of a Service
    /// that selects the proxy and has that port, else the number itself (semantics A2).
    pub fn listener_port(&self, proxy: &ProxySpec, number: u32) -> u32 {
        let services = self.registry().services().iter().filter(|service| {
            service.origin == ServiceOrigin::Kubernetes
                && service.namespace == proxy.namespace
                && service.selector.as_ref().is_some_and(|selector| satisfies(&proxy.labels, selector))
                && !service.resource.metadata.labels.contains_key(NO_TRANSLATION)
        });
        let mut targets = services.filter_map(|service| {
            let mut ports = self.translated_ports(proxy, service);
            ports.find(|(port, _)| port.number == number).map(|(_, target)| target)
        });
        targets.next().unwrap_or(number)
    }

    /// The ports of `service` with their targets on `proxy`. Of several ports with one target and one protocol only the
    /// first counts.
    fn translated_ports<'a>(
        &'a self,
        proxy: &'a ProxySpec,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a ServicePort, u32)> {
        let mut seen: Vec<(u32, Protocol)> = Vec::new();
        service.ports.iter().filter_map(move |port| {
            let target = match &port.target {
                TargetPort::Number(number) => *number,
                TargetPort::Name(name) => self.container_port(proxy, name)?,
            };
            if seen.contains(&(target, port.protocol)) {
                return None;
            }
            seen.push((target, port.protocol));
            Some((port, target))
        })
    }

    /// The number of the container port `name` of the workload that `proxy` is.
    fn container_port(&self, proxy: &ProxySpec, name: &str) -> Option<u32> {
        let mut workloads = self.registry().workloads_with(&proxy.namespace, &proxy.labels);
        workloads.find_map(|workload| workload.ports.get(name).copied())
    }
}
