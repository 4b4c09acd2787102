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
const LABELS_OF_PODS: [&str; 5] = [
    "pod-template-hash",
    "rollouts-pod-template-hash",
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
        let services = self.registry().services_in(&proxy.namespace).filter(|service| {
            service.origin == ServiceOrigin::Kubernetes
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::ConfiguredGateway,
        testing::{gateway, mesh, mesh_with, object},
    };

    fn selecting(name: &str, selector: &str) -> String {
        let servers = "servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]";
        object(&format!("Gateway {name}"), &format!("spec: {{selector: {selector}, {servers}}}"))
    }

    fn names(mesh: &Mesh) -> Vec<String> {
        mesh.proxies().iter().map(|proxy| format!("{}/{} {:?}", proxy.namespace, proxy.name, proxy.labels)).collect()
    }

    #[test]
    fn gateway_proxies_are_workloads_or_made_up() {
        let deployment = |name: &str, labels: &str| {
            let template = format!("template: {{metadata: {{labels: {labels}}}}}");
            object(&format!("Deployment {name}"), &format!("spec: {{selector: {{}}, {template}}}"))
        };
        let found = mesh(&[
            selecting("prod/b", "{istio: ingress}"),
            selecting("prod/a", "{istio: ingress}"),
            selecting("prod/c", "{istio: egress}"),
            selecting("prod/d", "{}"),
            deployment("edge/ingress", "{istio: ingress, app: gw}"),
            deployment("prod/shop", "{app: shop}"),
        ]);
        let ingress = r#"edge/ingress {"app": "gw", "istio": "ingress"}"#;
        assert_eq!(names(&found), [ingress, r#"istio-system/c {"istio": "egress"}"#], "A1");
        let bound = |at: usize| {
            found.proxies().get(at).map(|proxy| {
                found.gateways_of(proxy).map(|gateway| gateway.name.name.to_string()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(bound(0).as_deref(), Some("a b d"), "A1, 0.1: in order of name; no selector takes all");
        assert_eq!(bound(1).as_deref(), Some("c d"), "A1");
        assert_eq!(names(&mesh(&[selecting("prod/d", "{}")])), ["istio-system/d {}"], "A1");
    }

    #[test]
    fn configured_gateways_come_before_made_up_ones() {
        let labels = Labels::from([("istio".into(), "ingress".into())]);
        let edge = ConfiguredGateway { name: "edge".into(), namespace: "infra".into(), labels };
        let config = MeshConfig { gateways: vec![edge], ..MeshConfig::default() };
        let mesh = mesh_with(&[selecting("prod/a", "{istio: ingress}")], config);
        assert_eq!(names(&mesh), [r#"infra/edge {"istio": "ingress"}"#]);
    }

    #[test]
    fn pods_of_one_template_are_one_proxy() {
        let pods = mesh(&[
            selecting("prod/a", "{istio: ingress}"),
            object("Pod edge/gw-1 {istio: ingress, pod-template-hash: abc}", "status: {podIP: 10.1.0.1}"),
            object("Pod edge/gw-2 {istio: ingress, pod-template-hash: abc}", "status: {podIP: 10.1.0.2}"),
        ]);
        assert_eq!(names(&pods), [r#"edge/gw-1 {"istio": "ingress"}"#]);
        let replica_set = |hash: &str| {
            let labels = format!("{{istio: ingress, rollouts-pod-template-hash: {hash}}}");
            let template = format!("template: {{metadata: {{labels: {labels}}}}}");
            object(&format!("ReplicaSet edge/gw-{hash}"), &format!("spec: {{selector: {{}}, {template}}}"))
        };
        let rolled_out = mesh(&[selecting("prod/a", "{istio: ingress}"), replica_set("g"), replica_set("h")]);
        assert_eq!(names(&rolled_out), [r#"edge/gw-g {"istio": "ingress"}"#]);
    }

    #[test]
    fn a_service_translates_the_ports_of_servers() {
        let service = |head: &str, ports: &str| {
            object(head, &format!("spec: {{selector: {{istio: ingress}}, ports: [{ports}]}}"))
        };
        let pod =
            "spec: {containers: [{name: c, ports: [{name: web, containerPort: 8888}]}]}\nstatus: {podIP: 10.1.0.1}";
        let found = mesh(&[
            service(
                "Service edge/gw",
                "{name: http, port: 80, targetPort: 8080}, {name: http-b, port: 81, targetPort: 8080}, \
                 {name: http2, port: 82, targetPort: 8080}, {name: http-n, port: 83, targetPort: web}, \
                 {name: http-m, port: 84, targetPort: missing}",
            ),
            service("Service else/gw", "{name: http, port: 85, targetPort: 9999}"),
            object("Pod edge/gw-1 {istio: ingress}", pod),
        ]);
        let proxy = gateway("edge", ("istio", "ingress"));
        let cases = [
            ("A2", 80, 8080),
            ("A3: a second port of one protocol is not translated", 81, 81),
            ("A3: but of another", 82, 8080),
            ("A2: by the container's name", 83, 8888),
            ("A2: no such name", 84, 84),
            ("A2: not in another namespace", 85, 85),
            ("A2: no such port", 90, 90),
        ];
        for (fact, number, expected) in cases {
            assert_eq!(found.listener_port(&proxy, number), expected, "{fact}");
        }
        let opted_out = format!("Service edge/gw {{{NO_TRANSLATION}: 'true'}}");
        let opted_out = mesh(&[service(&opted_out, "{name: http, port: 80, targetPort: 8080}")]);
        assert_eq!(opted_out.listener_port(&proxy, 80), 80, "A2");
    }
}
