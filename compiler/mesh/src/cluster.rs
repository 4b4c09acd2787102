//! Clusters: the endpoints of a port of a service, or of a subset, as one proxy reaches them.

use crate::{
    destination_rule::DestinationRule,
    labels::{labels, satisfies},
    mesh::Mesh,
    names::cluster_name,
    policy,
    program::{Cluster, Discovery, Endpoint, LoadBalancer, Role},
    proxy::ProxySpec,
    registry::{Protocol, Resolution, Service},
};
use std::sync::Arc;

impl Mesh {
    /// The cluster of `port` and `subset` of the service `hostname`, as `proxy` has it; none: there is no such cluster,
    /// and requests to it get 503 NC (semantics B26).
    pub fn cluster(&self, proxy: &ProxySpec, hostname: &str, port: u32, subset: Option<&str>) -> Option<Arc<Cluster>> {
        let service = self.service(proxy, hostname)?;
        let port = service.port(port).filter(|port| port.protocol != Protocol::Udp)?;
        let rule = self.destination_rule(proxy, service);
        let selector = match subset {
            Some(subset) => Some(labels(&rule?.subset(subset)?.labels)),
            None => None,
        };
        let blocks = policy::in_force(rule, port.number, subset, self.config());
        let http2 = policy::is_http2(port.protocol, proxy.role, &blocks, self.config());
        let policy = policy::policy(blocks, self.config());
        let discovery = discovery(service, proxy.role, policy.load_balancer == LoadBalancer::Passthrough)?;

        let has_endpoints = !matches!(discovery, Discovery::OriginalDestination | Discovery::DynamicDns);
        let all: &[Endpoint] = if has_endpoints { self.registry().endpoints(service, port) } else { &[] };
        let chosen = all
            .iter()
            .filter(|endpoint| selector.as_ref().is_none_or(|selector| satisfies(&endpoint.labels, selector)));
        let endpoints: Vec<Endpoint> = chosen.cloned().collect();
        // A cluster of names without a name is not built (semantics D19).
        if endpoints.is_empty() && matches!(discovery, Discovery::StrictDns | Discovery::LogicalDns) {
            return None;
        }
        Some(Arc::new(Cluster {
            name: cluster_name(port.number, subset, &service.hostname),
            host: service.hostname.clone(),
            port: port.number,
            subset: subset.map(Into::into),
            discovery,
            endpoints,
            http2,
            policy,
            destination_rule: policy::rule_name(rule),
        }))
    }

    /// The keys of every cluster that `proxy` has: each port of each service it sees, and its subsets.
    pub fn cluster_keys(&self, proxy: &ProxySpec) -> Vec<ClusterKey> {
        let mut keys = Vec::new();
        for service in self.services(proxy) {
            let rule = self.destination_rule(proxy, service);
            for port in &service.ports {
                let subsets = rule.into_iter().flat_map(DestinationRule::subset_names).map(Some);
                for subset in std::iter::once(None).chain(subsets) {
                    keys.push(ClusterKey {
                        host: service.hostname.clone(),
                        port: port.number,
                        subset: subset.cloned(),
                    });
                }
            }
        }
        keys
    }
}

/// What names a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterKey {
    /// Fully qualified host of the service.
    pub host: smol_str::SmolStr,
    /// Service port.
    pub port: u32,
    /// Subset.
    pub subset: Option<smol_str::SmolStr>,
}

/// How the endpoints are found; none: the service has no clusters of its own (semantics E3 to E7, E28).
fn discovery(service: &Service, role: Role, is_passthrough: bool) -> Option<Discovery> {
    let discovery = match service.resolution {
        Resolution::Alias(_) => return None,
        Resolution::Static => Discovery::Eds,
        Resolution::Dns => Discovery::StrictDns,
        Resolution::DnsRoundRobin => Discovery::LogicalDns,
        Resolution::DynamicDns => Discovery::DynamicDns,
        // A gateway has no original destination (semantics E3).
        Resolution::Passthrough if role == Role::Gateway => Discovery::Eds,
        Resolution::Passthrough => Discovery::OriginalDestination,
    };
    Some(if is_passthrough { Discovery::OriginalDestination } else { discovery })
}
