//! The services that proxies of one namespace see.

use super::{Service, ServiceOrigin};
use crate::{
    config::MeshConfig,
    names::{GatewayRef, fully_qualified},
    virtual_service::VirtualService,
    visibility::Visibility,
};
use hashbrown::{HashMap, hash_map::Entry};
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// The services that proxies of one namespace see, one for each host.
#[derive(Debug, Default)]
pub struct ServiceView {
    /// Those that are visible, then those that only rules lead to.
    all: Vec<Arc<Service>>,
    visible: usize,
    by_host: HashMap<SmolStr, u32>,
}

impl ServiceView {
    /// The visible ones, in the order in which Istio adds them: private ones first, then those exported by name, then
    /// public ones, each in order of creation, name, namespace.
    pub fn services(&self) -> &[Arc<Service>] {
        self.all.get(..self.visible).unwrap_or_default()
    }

    /// The visible service of this name. A wildcard is found by its own text only.
    pub fn get(&self, hostname: &str) -> Option<&Arc<Service>> {
        let index = *self.by_host.get(hostname)? as usize;
        self.services().get(index)
    }

    /// The visible ones, and those that are hidden from their own namespace but that rules of its sidecars name: these
    /// have clusters, but no virtual hosts.
    pub fn reachable(&self) -> &[Arc<Service>] {
        &self.all
    }

    /// The reachable service of this name.
    pub fn get_reachable(&self, hostname: &str) -> Option<&Arc<Service>> {
        self.all.get(*self.by_host.get(hostname)? as usize)
    }

    fn new(namespace: &str, all: &[Arc<Service>], routed: &[Arc<Service>]) -> Self {
        let mut visible: Vec<&Arc<Service>> =
            all.iter().filter(|service| service.visibility.includes(namespace)).collect();
        visible.sort_by_key(|service| match &service.visibility {
            Visibility::Public => 2,
            _ if service.namespace == namespace => 0,
            _ => 1,
        });
        let mut view = ServiceView::default();
        for service in visible {
            match view.by_host.entry(service.hostname.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(view.all.len() as u32);
                    view.all.push(Arc::clone(service));
                }
                Entry::Occupied(at) => {
                    if let Some(known) = view.all.get_mut(*at.get() as usize)
                        && rank(service, namespace) < rank(known, namespace)
                    {
                        *known = Arc::clone(service);
                    }
                }
            }
        }
        view.visible = view.all.len();
        for service in routed.iter().filter(|service| service.namespace == namespace) {
            if let Entry::Vacant(vacant) = view.by_host.entry(service.hostname.clone()) {
                vacant.insert(view.all.len() as u32);
                view.all.push(Arc::clone(service));
            }
        }
        view
    }
}

/// Of several services of one name the own namespace's is preferred, then a Kubernetes Service (semantics E17).
fn rank(service: &Service, namespace: &str) -> (bool, ServiceOrigin) {
    (service.namespace != namespace, service.origin)
}

/// Of a service that its own namespace does not see those ports that rules for its sidecars name: Istio makes clusters
/// of them, whatever `exportTo` says.
fn routed(service: &Service, virtual_services: &[Arc<VirtualService>], config: &MeshConfig) -> Option<Service> {
    let rules = virtual_services.iter().filter(|rules| {
        rules.binds_to(&GatewayRef::Mesh) && !rules.hosts.is_empty() && rules.visibility.includes(&service.namespace)
    });
    let mut named = Vec::new();
    for rules in rules {
        let to_service = rules.destinations().filter(|destination| {
            destination.host.as_ref().is_some_and(|host| {
                fully_qualified(host, &rules.name.namespace, &config.cluster_domain) == service.hostname
            })
        });
        let ports = to_service.map(|destination| destination.port.as_ref().and_then(|port| port.number.as_ref()));
        named.extend(ports.map(|number| number.map_or(0, |number| number.value)));
    }
    let mut service = service.clone();
    // A destination without a port may lead to any.
    if !named.contains(&0) {
        service.ports.retain(|port| named.contains(&port.number));
    }
    (!named.is_empty() && !service.ports.is_empty()).then_some(service)
}

/// Views by namespace, made when first asked for.
#[derive(Debug, Default)]
pub(super) struct Views {
    named: HashMap<SmolStr, OnceLock<ServiceView>>,
    /// Of every namespace that has no service and that no `exportTo` names.
    other: OnceLock<ServiceView>,
    /// Services that their own namespaces see for the sake of routes alone.
    routed: Vec<Arc<Service>>,
}

impl Views {
    pub(super) fn new(
        services: &[Arc<Service>],
        virtual_services: &[Arc<VirtualService>],
        config: &MeshConfig,
    ) -> Self {
        let mut views = Views::default();
        for service in services {
            views.named.entry(service.namespace.clone()).or_default();
            if let Visibility::Namespaces(names) = &service.visibility {
                for name in names {
                    views.named.entry(name.clone()).or_default();
                }
            }
            if !service.visibility.includes(&service.namespace) {
                views.routed.extend(routed(service, virtual_services, config).map(Arc::new));
            }
        }
        views
    }

    pub(super) fn of(&self, namespace: &str, services: &[Arc<Service>]) -> &ServiceView {
        let view = self.named.get(namespace).unwrap_or(&self.other);
        view.get_or_init(|| ServiceView::new(namespace, services, &self.routed))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        mesh::Mesh,
        testing::{mesh, object},
    };

    fn entry(name: &str, host: &str, more: &str) -> String {
        let spec = format!("spec: {{hosts: [{host}], ports: [{{number: 80, name: p, protocol: HTTP}}]{more}}}");
        object(&format!("ServiceEntry {name}"), &spec)
    }

    /// What `namespace` sees, as `HOST@NAMESPACE`.
    fn seen(mesh: &Mesh, namespace: &str) -> String {
        let services = mesh.registry().view(namespace).services().iter();
        services.map(|service| format!("{}@{}", service.hostname, service.namespace)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_service_of_a_name_is_seen() {
        let found = mesh(&[
            entry("prod/s", "x.org", ""),
            entry("blue/s", "x.org", ""),
            entry("blue/k", "a.prod.svc.cluster.local", ""),
            object("Service prod/a", "spec: {ports: [{name: http, port: 80}]}"),
        ]);
        assert_eq!(
            seen(&found, "test"),
            "a.prod.svc.cluster.local@prod x.org@blue",
            "E17, E18: Kubernetes, then the oldest"
        );
        assert_eq!(seen(&found, "prod"), "a.prod.svc.cluster.local@prod x.org@prod", "E17: the own namespace first");
        let aged = entry("blue/s", "x.org", "")
            .replace("metadata: {", "metadata: {creationTimestamp: '2024-05-01T00:00:00Z', ");
        let found = mesh(&[entry("prod/s", "x.org", ""), aged]);
        assert_eq!(seen(&found, "test"), "x.org@prod", "0.1, E17: what has no time of creation is the oldest");
    }

    #[test]
    fn export_to_hides_services() {
        let service = object("Service prod/a", "spec: {ports: [{name: http, port: 80}]}");
        let annotated =
            service.replace("metadata: {", "metadata: {annotations: {networking.istio.io/exportTo: 'blue, red'}, ");
        let found = mesh(&[
            annotated,
            entry("prod/own", "own.org", ", exportTo: [.]"),
            entry("prod/hidden", "hidden.org", ", exportTo: ['~']"),
            entry("prod/all", "all.org", ", exportTo: ['*']"),
        ]);
        assert_eq!(seen(&found, "prod"), "own.org@prod all.org@prod", "0.7, B28");
        assert_eq!(seen(&found, "red"), "a.prod.svc.cluster.local@prod all.org@prod", "0.7, B28");
        assert_eq!(seen(&found, "test"), "all.org@prod", "0.7");
    }

    #[test]
    fn sidecars_reach_hidden_services_of_their_namespace_that_rules_name() {
        let hidden = entry("prod/s", "x.org", ", exportTo: [red]")
            .replace("protocol: HTTP}", "protocol: HTTP}, {number: 81, name: q, protocol: HTTP}");
        let rules = |name: &str, destination: &str| {
            object(name, &format!("spec: {{hosts: [h.org], http: [{{route: [{{destination: {destination}}}]}}]}}"))
        };
        let found = mesh(&[hidden.clone(), rules("VirtualService prod/v", "{host: x.org, port: {number: 81}}")]);
        assert_eq!(seen(&found, "prod"), "", "E16: it has no virtual host");
        let ports =
            |mesh: &Mesh| mesh.registry().view("prod").get_reachable("x.org").map(|service| service.ports.len());
        assert_eq!(ports(&found), Some(1), "only the ports that are named");
        assert_eq!(ports(&mesh(&[hidden.clone(), rules("VirtualService prod/v", "{host: x.org}")])), Some(2));
        assert_eq!(seen(&found, "test"), "", "E16");
        assert_eq!(ports(&mesh(&[hidden])), None, "E16");
    }
}
