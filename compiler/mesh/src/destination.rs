//! Where a route's destination leads (semantics B.5).

use crate::{
    mesh::Mesh,
    names::{cluster_name, fully_qualified},
    policy,
    program::{Cluster, HashKey, Role},
    proxy::ProxySpec,
    registry::{Resolution, Service},
};
use malha_model::istio::Destination;
use smol_str::SmolStr;
use std::sync::Arc;

/// Where a destination leads, for one proxy.
#[derive(Clone, Debug)]
pub struct ResolvedDestination {
    /// Fully qualified.
    pub host: SmolStr,
    /// Service port.
    pub port: u32,
    /// Subset.
    pub subset: Option<SmolStr>,
    /// Envoy's name for the cluster, whether there is one or not.
    pub cluster_name: SmolStr,
    /// The cluster; none: there is no such cluster (semantics B26).
    pub cluster: Option<Arc<Cluster>>,
}

impl Mesh {
    /// Where `destination` of a config in `namespace` leads, for requests that `proxy` takes on `listener_port` (the
    /// number of the Gateway's server, or the service port).
    pub fn destination(
        &self,
        proxy: &ProxySpec,
        namespace: &str,
        destination: &Destination,
        listener_port: u32,
    ) -> ResolvedDestination {
        let written = destination.host.as_ref().map(|host| host.value.as_str()).unwrap_or_default();
        let mut host = fully_qualified(written, namespace, &self.config().cluster_domain);
        let service = self.destination_service(proxy, namespace, &host);
        if let Some(Resolution::Alias(name)) = service.map(|service| &service.resolution) {
            host = name.clone();
        }
        let given = destination.port.as_ref().map(|port| port.number.as_ref().map_or(0, |number| number.value));
        // A service with one port needs no number; with several the listener's is taken, fit or not (semantics B25).
        let port = given.unwrap_or_else(|| match service.map(|service| service.ports.as_slice()) {
            Some([only]) => only.number,
            _ => listener_port,
        });
        let subset = destination.subset.as_ref().map(|subset| subset.value.clone()).filter(|subset| !subset.is_empty());
        let cluster = self.cluster(proxy, &host, port, subset.as_deref());
        ResolvedDestination { cluster_name: cluster_name(port, subset.as_deref(), &host), host, port, subset, cluster }
    }

    /// What the consistent hash of the cluster reads, if its policy has one (semantics D21, D23). `port` is the one whose
    /// settings count, if any do.
    pub fn hash_key(
        &self,
        proxy: &ProxySpec,
        hostname: &str,
        port: Option<u32>,
        subset: Option<&str>,
    ) -> Option<HashKey> {
        let service = self.view(proxy).get_reachable(hostname)?;
        policy::hash_key(self.destination_rule(proxy, service)?, port, subset)
    }

    /// The service that a destination of a config in `namespace` means: on gateways that of the config's own namespace
    /// first, where several namespaces have the name.
    fn destination_service(&self, proxy: &ProxySpec, namespace: &str, hostname: &str) -> Option<&Arc<Service>> {
        let view = self.view(proxy);
        match proxy.role {
            Role::Sidecar => view.get_reachable(hostname),
            Role::Gateway => {
                let own = self.registry().service_in(hostname, namespace);
                own.filter(|service| service.visibility.includes(&proxy.namespace))
                    .or_else(|| view.get_reachable(hostname))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gateway, mesh, object, sidecar};

    fn services() -> Vec<String> {
        let service = |head: &str, ports: &str| object(head, &format!("spec: {{ports: [{ports}]}}"));
        vec![
            service("Service prod/one", "{name: http, port: 8080}"),
            service("Service prod/two", "{name: http, port: 8080}, {name: http-b, port: 9090}"),
            object(
                "Service prod/alias",
                "spec: {type: ExternalName, externalName: x.org, ports: [{name: h, port: 443}]}",
            ),
            object(
                "ServiceEntry prod/x",
                "spec: {hosts: [x.org], exportTo: [.], resolution: DNS, ports: [{number: 443, name: p, protocol: HTTP}]}",
            ),
        ]
    }

    /// The name of the cluster of a destination in namespace `prod` written as YAML, and whether there is one.
    fn resolve(proxy: &ProxySpec, destination: &str) -> (String, bool) {
        let route = format!("spec: {{hosts: [h.org], http: [{{route: [{{destination: {destination}}}]}}]}}");
        let mut objects = services();
        objects.push(object("VirtualService prod/v", &route));
        let mesh = mesh(&objects);
        let rules = mesh.virtual_services().first().expect("it is there");
        let destination = rules.destinations().next().expect("it has a destination");
        let resolved = mesh.destination(proxy, "prod", destination, 80);
        (resolved.cluster_name.to_string(), resolved.cluster.is_some())
    }

    #[test]
    fn host_and_port_are_completed() {
        let cases = [
            ("B24", "{host: one}", "outbound|8080||one.prod.svc.cluster.local", true),
            ("B25: the listener's", "{host: two}", "outbound|80||two.prod.svc.cluster.local", false),
            ("B25: given", "{host: two, port: {number: 9090}}", "outbound|9090||two.prod.svc.cluster.local", true),
            ("B25, B26", "{host: nosuch}", "outbound|80||nosuch.prod.svc.cluster.local", false),
            ("B26", "{host: one, port: {number: 99}}", "outbound|99||one.prod.svc.cluster.local", false),
            ("B26", "{host: one, subset: v1}", "outbound|8080|v1|one.prod.svc.cluster.local", false),
            ("0.4", "{host: one.prod}", "outbound|80||one.prod", false),
            ("E28", "{host: alias}", "outbound|443||x.org", true),
        ];
        for (fact, destination, name, exists) in cases {
            assert_eq!(resolve(&sidecar("prod"), destination), (name.to_owned(), exists), "{fact}: {destination}");
        }
    }

    #[test]
    fn a_destination_must_be_visible_to_the_proxy() {
        let edge = gateway("istio-system", ("istio", "ingress"));
        assert!(!resolve(&edge, "{host: x.org}").1, "B28");
        assert!(resolve(&edge, "{host: one}").1, "B28");
        assert!(resolve(&gateway("prod", ("a", "b")), "{host: x.org}").1, "B28");
    }
}
