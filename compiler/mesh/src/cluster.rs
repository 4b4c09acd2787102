//! Clusters: the endpoints of a port of a service, or of a subset, as one proxy reaches them.

use crate::{
    destination_rule::DestinationRule,
    labels::{labels, satisfies},
    mesh::Mesh,
    names::cluster_name,
    nearness, policy,
    program::{Cluster, Discovery, Endpoint, LoadBalancer, Role},
    proxy::ProxySpec,
    registry::{Protocol, Resolution, Service, ServiceOrigin, ServicePort, TargetPort},
};
use serde_json::Value;
use smol_str::SmolStr;
use std::sync::Arc;

impl Mesh {
    /// The cluster of `port` and `subset` of the service `hostname`, as `proxy` has it; none: there is no such cluster,
    /// and requests to it get 503 NC (semantics B26).
    pub fn cluster(&self, proxy: &ProxySpec, hostname: &str, port: u32, subset: Option<&str>) -> Option<Arc<Cluster>> {
        let service = self.view(proxy).get_reachable(hostname)?;
        let port = service.port(port).filter(|port| port.protocol != Protocol::Udp)?;
        let rule = self.destination_rule(proxy, service);
        let selector = match subset {
            Some(subset) => Some(labels(&rule?.subset(subset)?.labels)),
            None => None,
        };
        let mut blocks = policy::in_force(rule, port.number, subset, self.config());
        let has_selector = rule.is_some_and(DestinationRule::has_workload_selector);
        policy::settle_tls(&mut blocks, service, proxy.role, has_selector, &self.config().tls_defaults);
        let protocol = policy::upstream_protocol(port.protocol, proxy.role, &blocks, self.config());
        let policy = policy::policy(blocks, self.config());
        let discovery = discovery(service, proxy.role, policy.load_balancer == LoadBalancer::Passthrough)?;

        let has_endpoints = !matches!(discovery, Discovery::OriginalDestination | Discovery::DynamicDns);
        let all: &[Endpoint] = if has_endpoints { self.registry().endpoints(service, port) } else { &[] };
        let chosen = all
            .iter()
            .filter(|endpoint| selector.as_ref().is_none_or(|selector| satisfies(&endpoint.labels, selector)));
        let mut endpoints: Vec<Endpoint> = chosen.cloned().collect();
        // A cluster of names without a name is not built (semantics D19).
        if endpoints.is_empty() && matches!(discovery, Discovery::StrictDns | Discovery::LogicalDns) {
            return None;
        }
        nearness::place(&mut endpoints, &proxy.labels, policy.source.as_deref().unwrap_or(&Value::Null), self.config());
        Some(Arc::new(Cluster {
            name: cluster_name(port.number, subset, &service.hostname),
            host: service.hostname.clone(),
            port: port.number,
            subset: subset.map(Into::into),
            discovery,
            original_port: original_port(service, port).filter(|_| discovery == Discovery::OriginalDestination),
            endpoints,
            protocol,
            policy,
            destination_rule: rule.map(DestinationRule::name).map(|name| (name.namespace, name.name)),
        }))
    }

    /// The keys of every cluster that `proxy` has: each port of each service it reaches, and its subsets.
    pub fn cluster_keys(&self, proxy: &ProxySpec) -> Vec<ClusterKey> {
        let mut keys = Vec::new();
        for service in self.view(proxy).reachable() {
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
    pub host: SmolStr,
    /// Service port.
    pub port: u32,
    /// Subset.
    pub subset: Option<SmolStr>,
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

/// The port that connections go to in place of the one that clients named: the `targetPort` of a ServiceEntry without
/// resolution (semantics E10). Those of Kubernetes Services are of their endpoints.
fn original_port(service: &Service, port: &ServicePort) -> Option<u32> {
    let is_entry = service.origin == ServiceOrigin::ServiceEntry && service.resolution == Resolution::Passthrough;
    match port.target {
        TargetPort::Number(number) if is_entry && number != port.number => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        program::UpstreamProtocol,
        testing::{gateway, mesh, object, sidecar},
    };
    use serde_json::{Value, json};

    fn entry(resolution: &str, more: &str) -> [String; 1] {
        let ports = "ports: [{number: 80, name: p, protocol: HTTP}]";
        [object("ServiceEntry prod/s", &format!("spec: {{hosts: [x.org], {ports}, resolution: {resolution}{more}}}"))]
    }

    #[test]
    fn resolution_decides_how_endpoints_are_found() {
        let cases = [
            ("NONE", "", Discovery::OriginalDestination, Discovery::Eds),
            ("STATIC", ", endpoints: [{address: 192.0.2.1}]", Discovery::Eds, Discovery::Eds),
            ("STATIC", "", Discovery::Eds, Discovery::Eds),
            ("DNS", "", Discovery::StrictDns, Discovery::StrictDns),
            ("DNS_ROUND_ROBIN", "", Discovery::LogicalDns, Discovery::LogicalDns),
        ];
        for (resolution, more, on_sidecar, on_gateway) in cases {
            let mesh = mesh(&entry(resolution, more));
            let of = |proxy: &ProxySpec| mesh.cluster(proxy, "x.org", 80, None).map(|cluster| cluster.discovery);
            assert_eq!(of(&sidecar("prod")), Some(on_sidecar), "E3 to E6: {resolution}");
            assert_eq!(of(&gateway("prod", ("a", "b"))), Some(on_gateway), "E3 to E6: {resolution}");
        }
    }

    #[test]
    fn a_headless_service_has_its_endpoints_on_gateways() {
        let mesh = mesh(&[
            object("Service prod/a", "spec: {clusterIP: None, selector: {app: a}, ports: [{name: http, port: 80}]}"),
            object("Pod prod/a-1 {app: a}", "status: {podIP: 10.1.0.1}"),
        ]);
        let cluster =
            |proxy: &ProxySpec| mesh.cluster(proxy, "a.prod.svc.cluster.local", 80, None).expect("it is there");
        assert_eq!(cluster(&sidecar("prod")).discovery, Discovery::OriginalDestination, "E28");
        let on_gateway = cluster(&gateway("prod", ("a", "b")));
        assert_eq!((on_gateway.discovery, on_gateway.endpoints.len()), (Discovery::Eds, 1), "E28");
    }

    #[test]
    fn a_subset_is_the_endpoints_with_its_labels() {
        let rule =
            "spec: {host: x.org, subsets: [{name: v1, labels: {v: '1'}}, {name: all}, {name: none, labels: {v: '9'}}]}";
        let endpoints = ", endpoints: [{address: 192.0.2.1, labels: {v: '1', x: z}}, {address: 192.0.2.2}]";
        let count = |resolution: &str, endpoints: &str, subset: &str| {
            let [service] = entry(resolution, endpoints);
            let mesh = mesh(&[service, object("DestinationRule prod/d", rule)]);
            mesh.cluster(&sidecar("prod"), "x.org", 80, Some(subset)).map(|cluster| cluster.endpoints.len())
        };
        assert_eq!(count("STATIC", endpoints, "v1"), Some(1), "D16");
        assert_eq!(count("STATIC", endpoints, "all"), Some(2), "D16: no labels, all endpoints");
        assert_eq!(count("STATIC", endpoints, "none"), Some(0), "D19: 503 UH");
        assert_eq!(count("STATIC", endpoints, "other"), None, "D18: 503 NC");
        assert_eq!(count("DNS", "", "all"), Some(1), "D16");
        assert_eq!(count("DNS", "", "v1"), None, "D19: a cluster of no names is not built");
    }

    #[test]
    fn protocols_decide_on_http2() {
        use UpstreamProtocol::{Clients, Http1, Http2};
        let upgrade = "h2UpgradePolicy: UPGRADE";
        let service = |port: &str| object("Service prod/a", &format!("spec: {{ports: [{{name: {port}, port: 80}}]}}"));
        let spoken = |port: &str, settings: &str, proxy: &ProxySpec| {
            let rule = format!("spec: {{host: a, trafficPolicy: {{connectionPool: {{http: {{{settings}}}}}}}}}");
            let mesh = mesh(&[object("DestinationRule prod/d", &rule), service(port)]);
            mesh.cluster(proxy, "a.prod.svc.cluster.local", 80, None).expect("it is there").protocol
        };
        let (client, edge) = (sidecar("prod"), gateway("prod", ("a", "b")));
        assert_eq!((spoken("grpc", "", &client), spoken("http2-x", "", &edge)), (Http2, Http2), "D37");
        assert_eq!((spoken("http", "", &client), spoken("http", upgrade, &client)), (Http1, Http2), "D37");
        assert_eq!(spoken("web", upgrade, &client), Clients, "D37: a sidecar keeps it where none is named");
        assert_eq!((spoken("web", "", &edge), spoken("web", upgrade, &edge)), (Http1, Http2), "D37");
        let clients = "useClientProtocol: true";
        assert_eq!((spoken("http", clients, &edge), spoken("grpc", clients, &client)), (Clients, Clients), "D.6");
    }

    #[test]
    fn what_a_policy_leaves_open_of_tls() {
        let entry = object(
            "ServiceEntry prod/x",
            "spec: {hosts: [x.org], resolution: DNS, subjectAltNames: [y.org], ports: [{name: http, number: 80, protocol: HTTP}]}",
        );
        let tls = |tls: &str, more: &str, proxy: &ProxySpec| {
            let rule = format!("spec: {{host: x.org, trafficPolicy: {{tls: {{{tls}}}}}{more}}}");
            let mesh = mesh(&[entry.clone(), object("DestinationRule prod/d", &rule)]);
            let cluster = mesh.cluster(proxy, "x.org", 80, None).expect("it is there");
            cluster.policy.source.as_ref().and_then(|source| source.get("tls").cloned()).unwrap_or_default()
        };
        let (client, edge) = (sidecar("prod"), gateway("prod", ("a", "b")));
        assert_eq!(tls("mode: SIMPLE", "", &client)["subjectAltNames"], json!(["y.org"]), "D54");
        assert_eq!(tls("mode: SIMPLE, subjectAltNames: [z.org]", "", &client)["subjectAltNames"], json!(["z.org"]));
        assert_eq!(tls("mode: DISABLE", "", &client).get("subjectAltNames"), None);
        let secret = "mode: SIMPLE, credentialName: c";
        assert_eq!(tls(secret, "", &client), Value::Null, "D56: a sidecar without a selector goes plain");
        assert_eq!(tls(secret, "", &edge)["credentialName"], "c", "D56");
        let selector = ", workloadSelector: {matchLabels: {app: a}}";
        let labelled = ProxySpec { labels: [("app".into(), "a".into())].into(), ..sidecar("prod") };
        assert_eq!(tls(secret, selector, &labelled)["credentialName"], "c", "D56");
    }

    #[test]
    fn an_alias_and_a_datagram_port_have_no_cluster() {
        let mesh = mesh(&[
            object(
                "Service prod/x",
                "spec: {type: ExternalName, externalName: x.org, ports: [{name: http, port: 80}]}",
            ),
            object("Service prod/d", "spec: {ports: [{name: dns, port: 53, protocol: UDP}]}"),
        ]);
        assert!(mesh.cluster(&sidecar("prod"), "x.prod.svc.cluster.local", 80, None).is_none(), "E28");
        assert!(mesh.cluster(&sidecar("prod"), "d.prod.svc.cluster.local", 53, None).is_none(), "E24");
    }
}
