//! The reference graph: which resource refers to which, and what a changed one reaches.

use crate::{
    host::HostMap,
    labels::labels,
    mesh::Mesh,
    names::{GatewayRef, ObjectName, fully_qualified},
};
use hashbrown::{HashMap, HashSet};
use malha_model::{Kind, Resource, Spec, istio::Destination};
use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};
use smol_str::SmolStr;
use std::sync::Arc;

/// How one resource refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A VirtualService binds to a Gateway.
    BindsTo,
    /// A VirtualService or DestinationRule names a service.
    Names,
    /// A VirtualService sends to a host that a DestinationRule is for.
    GovernedBy,
    /// A VirtualService delegates to another.
    DelegatesTo,
    /// A service selects a workload, or endpoints belong to it.
    Selects,
}

/// Which resource refers to which. Nodes are indices into [`Mesh::resources`].
#[derive(Debug)]
pub struct ReferenceGraph {
    graph: DiGraph<u32, Reference>,
}

impl ReferenceGraph {
    pub(crate) fn new(mesh: &Mesh) -> Self {
        let resources = mesh.resources();
        let mut graph = DiGraph::with_capacity(resources.len(), resources.len() * 2);
        for index in 0..resources.len() {
            graph.add_node(index as u32);
        }
        let mut builder = Builder { mesh, graph, names: Names::new(mesh), seen: HashSet::new() };
        for (index, resource) in resources.iter().enumerate() {
            builder.add(NodeIndex::new(index), resource);
        }
        ReferenceGraph { graph: builder.graph }
    }

    /// The resources that `resource` refers to, with how.
    pub fn references(&self, resource: usize) -> impl Iterator<Item = (Reference, usize)> {
        let node = NodeIndex::new(resource);
        let known = self.graph.node_weight(node).is_some();
        let edges = known.then(|| self.graph.edges_directed(node, Direction::Outgoing));
        edges.into_iter().flatten().map(|edge| (*edge.weight(), edge.target().index()))
    }

    /// What changes with `resource`: itself, and all that refer to it, directly or by way of others; sorted.
    pub fn reached_from(&self, resource: usize) -> Vec<usize> {
        let mut reached = HashSet::new();
        let mut open = vec![NodeIndex::new(resource)];
        while let Some(node) = open.pop() {
            if self.graph.node_weight(node).is_some() && reached.insert(node) {
                open.extend(self.graph.neighbors_directed(node, Direction::Incoming));
            }
        }
        let mut reached: Vec<usize> = reached.into_iter().map(NodeIndex::index).collect();
        reached.sort_unstable();
        reached
    }
}

/// Resources by the names under which others refer to them.
struct Names {
    objects: HashMap<(Kind, ObjectName), NodeIndex>,
    /// Services and ServiceEntries by host.
    services: HostMap<Vec<NodeIndex>>,
    /// DestinationRules by host.
    rules: HostMap<Vec<NodeIndex>>,
}

impl Names {
    fn new(mesh: &Mesh) -> Self {
        let mut names = Names { objects: HashMap::new(), services: HostMap::default(), rules: HostMap::default() };
        for (index, resource) in mesh.resources().iter().enumerate() {
            let node = NodeIndex::new(index);
            let name = ObjectName::new(resource.namespace.clone(), resource.name.clone());
            names.objects.insert((resource.kind, name), node);
            if let Spec::DestinationRule(rule) = &resource.spec
                && let Some(host) = &rule.host
            {
                let host = fully_qualified(host, &resource.namespace, &mesh.config().cluster_domain);
                names.rules.entry(&host).push(node);
            }
        }
        for service in mesh.registry().services() {
            for resource in &service.siblings {
                if let Some(node) = names.node(resource) {
                    names.services.entry(&service.hostname).push(node);
                }
            }
        }
        names
    }

    fn node(&self, resource: &Resource) -> Option<NodeIndex> {
        let name = ObjectName::new(resource.namespace.clone(), resource.name.clone());
        self.objects.get(&(resource.kind, name)).copied()
    }
}

struct Builder<'a> {
    mesh: &'a Mesh,
    graph: DiGraph<u32, Reference>,
    names: Names,
    seen: HashSet<(NodeIndex, NodeIndex, Reference)>,
}

impl Builder<'_> {
    fn add(&mut self, node: NodeIndex, resource: &Arc<Resource>) {
        let name = ObjectName::new(resource.namespace.clone(), resource.name.clone());
        match &resource.spec {
            Spec::VirtualService(_) => {
                let Some(linked) = self.mesh.virtual_service(&name).cloned() else { return };
                for gateway in &linked.gateways {
                    if let GatewayRef::Named(gateway) = gateway {
                        self.object(node, Kind::Gateway, gateway, Reference::BindsTo);
                    }
                }
                for delegation in &linked.delegations {
                    self.object(node, Kind::VirtualService, &delegation.target, Reference::DelegatesTo);
                }
                for host in &linked.hosts {
                    self.host(node, host, Reference::Names);
                }
                for destination in linked.destinations() {
                    self.destination(node, destination, &name.namespace);
                }
            }
            Spec::DestinationRule(rule) => {
                if let Some(host) = &rule.host {
                    let host = fully_qualified(host, &name.namespace, &self.mesh.config().cluster_domain);
                    self.host(node, &host, Reference::Names);
                }
            }
            Spec::Service(service) => self.workloads(node, &name.namespace, &labels(&service.selector)),
            Spec::ServiceEntry(entry) => {
                if let Some(selector) = &entry.workload_selector {
                    self.workloads(node, &name.namespace, &labels(&selector.labels));
                }
            }
            Spec::Endpoints(_) => self.belongs(node, &name),
            Spec::EndpointSlice(_) => {
                if let Some(service) = resource.metadata.labels.get("kubernetes.io/service-name") {
                    self.belongs(node, &ObjectName::new(name.namespace, service.value.clone()));
                }
            }
            _ => {}
        }
    }

    fn edge(&mut self, from: NodeIndex, to: NodeIndex, reference: Reference) {
        if self.seen.insert((from, to, reference)) {
            self.graph.add_edge(from, to, reference);
        }
    }

    fn object(&mut self, from: NodeIndex, kind: Kind, name: &ObjectName, reference: Reference) {
        if let Some(to) = self.names.objects.get(&(kind, name.clone())).copied() {
            self.edge(from, to, reference);
        }
    }

    fn host(&mut self, from: NodeIndex, host: &str, reference: Reference) {
        for to in self.names.services.get(host).cloned().unwrap_or_default() {
            self.edge(from, to, reference);
        }
    }

    /// A destination is the service, and the rules that may hold for it.
    fn destination(&mut self, from: NodeIndex, destination: &Destination, namespace: &str) {
        let Some(host) = &destination.host else { return };
        let host: SmolStr = fully_qualified(host, namespace, &self.mesh.config().cluster_domain);
        self.host(from, &host, Reference::Names);
        for to in self.names.rules.all_that_hold(&host).flatten().copied().collect::<Vec<_>>() {
            self.edge(from, to, Reference::GovernedBy);
        }
    }

    fn workloads(&mut self, from: NodeIndex, namespace: &str, selector: &crate::labels::Labels) {
        if selector.is_empty() {
            return;
        }
        let mesh = self.mesh;
        for workload in mesh.registry().workloads_with(namespace, selector) {
            if let Some(to) = self.names.node(&workload.resource) {
                self.edge(from, to, Reference::Selects);
            }
        }
    }

    /// A Service takes its endpoints from `node`.
    fn belongs(&mut self, node: NodeIndex, service: &ObjectName) {
        if let Some(service) = self.names.objects.get(&(Kind::Service, service.clone())).copied() {
            self.edge(service, node, Reference::Selects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{mesh, object};

    fn objects() -> [String; 9] {
        let to = |host: &str| format!("route: [{{destination: {{host: {host}}}}}]");
        [
            object(
                "Gateway infra/gw",
                "spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
            ),
            object(
                "VirtualService prod/v",
                &format!("spec: {{hosts: [x.org], gateways: [infra/gw], http: [{{{}}}]}}", to("a")),
            ),
            object("VirtualService prod/r", "spec: {hosts: [y.org], http: [{delegate: {name: d}}]}"),
            object("VirtualService prod/d", &format!("spec: {{http: [{{{}}}]}}", to("x.org"))),
            object("DestinationRule prod/rule", "spec: {host: a}"),
            object("Service prod/a", "spec: {selector: {app: a}, ports: [{name: http, port: 80}]}"),
            object("Pod prod/a-1 {app: a}", "status: {podIP: 10.1.0.1}"),
            object(
                "ServiceEntry prod/s",
                "spec: {hosts: [x.org], ports: [{number: 80, name: p}], resolution: STATIC, workloadSelector: {labels: {app: w}}}",
            ),
            object("WorkloadEntry prod/w", "spec: {address: 192.0.2.1, labels: {app: w}}"),
        ]
    }

    /// What a change of `KIND NAME` reaches.
    fn reached(mesh: &Mesh, changed: &str) -> Vec<String> {
        let name = |resource: &Resource| format!("{} {}", resource.kind, resource.name);
        let at = mesh.resources().iter().position(|resource| name(resource) == changed).expect("it is there");
        let reached = mesh.graph().reached_from(at);
        let mut names: Vec<String> =
            reached.iter().filter_map(|at| mesh.resources().get(*at)).map(|resource| name(resource)).collect();
        names.retain(|name| name != changed);
        names.sort();
        names
    }

    #[test]
    fn a_change_reaches_what_refers_to_it() {
        let mesh = mesh(&objects());
        let cases: [(&str, &[&str]); 7] = [
            ("Gateway gw", &["VirtualService v"]),
            ("VirtualService v", &[]),
            ("VirtualService d", &["VirtualService r"]),
            ("DestinationRule rule", &["VirtualService v"]),
            ("Service a", &["DestinationRule rule", "VirtualService v"]),
            ("Pod a-1", &["DestinationRule rule", "Service a", "VirtualService v"]),
            ("WorkloadEntry w", &["ServiceEntry s", "VirtualService d", "VirtualService r", "VirtualService v"]),
        ];
        for (changed, expected) in cases {
            assert_eq!(reached(&mesh, changed), expected, "{changed}");
        }
    }

    #[test]
    fn references_say_what_they_are() {
        let mesh = mesh(&objects());
        let at = mesh.resources().iter().position(|resource| resource.name == "v").expect("it is there");
        let mut references: Vec<Reference> = mesh.graph().references(at).map(|(reference, _)| reference).collect();
        references.sort_unstable();
        assert_eq!(references, [Reference::BindsTo, Reference::Names, Reference::Names, Reference::GovernedBy]);
        assert_eq!(mesh.graph().references(usize::MAX).count(), 0);
    }
}
