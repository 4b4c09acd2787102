//! The services that proxies of one namespace see.

use super::{Service, ServiceOrigin};
use crate::{
    config::{IstioVersion, MeshConfig},
    names::{GatewayRef, fully_qualified},
    virtual_service::VirtualService,
    visibility::Visibility,
};
use hashbrown::{HashMap, hash_map::Entry};
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// The first release that prefers the oldest service of a name.
pub(crate) const OLDEST_FIRST: IstioVersion = IstioVersion { major: 1, minor: 30 };

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

    /// A view of `services`, one for each host, of which the first `visible` ones are.
    pub(crate) fn of(services: Vec<Arc<Service>>, visible: usize) -> Self {
        let by_host = services.iter().enumerate().map(|(index, service)| (service.hostname.clone(), index as u32));
        ServiceView { by_host: by_host.collect(), visible, all: services }
    }

    fn new(namespace: &str, all: &[Arc<Service>], routed: &[Arc<Service>], istio: IstioVersion) -> Self {
        let mut view = ServiceView::default();
        for service in visible(namespace, all) {
            match view.by_host.entry(service.hostname.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(view.all.len() as u32);
                    view.all.push(Arc::clone(service));
                }
                Entry::Occupied(at) => {
                    if let Some(known) = view.all.get_mut(*at.get() as usize)
                        && is_preferred(service, known, namespace, istio)
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

/// Of `all` services those that are visible to `namespace`: private ones first, then those exported by name, then public
/// ones, each in order of creation, name, namespace.
pub(super) fn visible<'a>(namespace: &str, all: &'a [Arc<Service>]) -> Vec<&'a Arc<Service>> {
    let mut visible: Vec<&Arc<Service>> = all.iter().filter(|service| service.visibility.includes(namespace)).collect();
    visible.sort_by_key(|service| match &service.visibility {
        Visibility::Public => 2,
        _ if service.namespace == namespace => 0,
        _ => 1,
    });
    visible
}

/// Of several services of one name the own namespace's is preferred, then a Kubernetes Service, else the oldest; before
/// 1.30 that of the first namespace (semantics E17, G).
pub(crate) fn is_preferred(service: &Service, known: &Service, namespace: &str, istio: IstioVersion) -> bool {
    let rank = |service: &Service| {
        let is_other = service.namespace != namespace;
        if istio < OLDEST_FIRST {
            (is_other, service.namespace.clone(), ServiceOrigin::Kubernetes)
        } else {
            (is_other, SmolStr::default(), service.origin)
        }
    };
    rank(service) < rank(known)
}

/// Of services that their own namespaces do not see those ports that rules for sidecars there name: Istio makes clusters
/// of them, whatever `exportTo` says.
fn routed(
    hidden: &[&Arc<Service>],
    virtual_services: &[Arc<VirtualService>],
    config: &MeshConfig,
) -> Vec<Arc<Service>> {
    if hidden.is_empty() {
        return Vec::new();
    }
    let mut by_host: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, service) in hidden.iter().enumerate() {
        by_host.entry(&service.hostname).or_default().push(index);
    }
    let mut named: HashMap<usize, Vec<u32>> = HashMap::new();
    for rules in virtual_services.iter().filter(|rules| rules.binds_to(&GatewayRef::Mesh)) {
        for destination in rules.destinations() {
            let Some(host) = &destination.host else { continue };
            let host = fully_qualified(host, &rules.name.namespace, &config.cluster_domain);
            let number = destination.port.as_ref().and_then(|port| port.number.as_ref());
            for index in by_host.get(host.as_str()).into_iter().flatten() {
                if hidden.get(*index).is_some_and(|service| rules.visibility.includes(&service.namespace)) {
                    named.entry(*index).or_default().push(number.map_or(0, |number| number.value));
                }
            }
        }
    }
    let named_ports = |(index, service): (usize, &&Arc<Service>)| {
        let named = named.get(&index)?;
        let mut service = Service::clone(service);
        // A destination without a port may lead to any.
        service.ports.retain(|port| named.contains(&0) || named.contains(&port.number));
        (!service.ports.is_empty()).then(|| Arc::new(service))
    };
    hidden.iter().enumerate().filter_map(named_ports).collect()
}

/// Views by namespace, made when first asked for.
#[derive(Debug, Default)]
pub(super) struct Views {
    named: HashMap<SmolStr, OnceLock<ServiceView>>,
    /// Of every namespace that has no service and that no `exportTo` names.
    other: OnceLock<ServiceView>,
    /// Services that their own namespaces reach for the sake of routes alone.
    routed: Vec<Arc<Service>>,
    istio: IstioVersion,
}

impl Views {
    pub(super) fn new(
        services: &[Arc<Service>],
        virtual_services: &[Arc<VirtualService>],
        config: &MeshConfig,
    ) -> Self {
        let mut named: HashMap<SmolStr, OnceLock<ServiceView>> = HashMap::new();
        for service in services {
            named.entry(service.namespace.clone()).or_default();
            if let Visibility::Namespaces(names) = &service.visibility {
                for name in names {
                    named.entry(name.clone()).or_default();
                }
            }
        }
        let is_hidden = |service: &&Arc<Service>| !service.visibility.includes(&service.namespace);
        let hidden: Vec<&Arc<Service>> = services.iter().filter(is_hidden).collect();
        let routed = routed(&hidden, virtual_services, config);
        Views { named, other: OnceLock::new(), routed, istio: config.istio }
    }

    /// Those that services live in or are exported to.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &SmolStr> {
        self.named.keys()
    }

    pub(super) fn of(&self, namespace: &str, services: &[Arc<Service>]) -> &ServiceView {
        let view = self.named.get(namespace).unwrap_or(&self.other);
        view.get_or_init(|| ServiceView::new(namespace, services, &self.routed, self.istio))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{IstioVersion, MeshConfig},
        mesh::Mesh,
        testing::{mesh, mesh_with, object},
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
    fn older_releases_take_the_first_namespace() {
        let old = || {
            let time = "metadata: {creationTimestamp: '2024-05-01T00:00:00Z', ";
            entry("blue/s", "x.org", "").replace("metadata: {", time)
        };
        let config = MeshConfig { istio: IstioVersion { major: 1, minor: 29 }, ..MeshConfig::default() };
        assert_eq!(seen(&mesh_with(&[entry("prod/s", "x.org", ""), old()], config), "test"), "x.org@blue", "E17, G");
        assert_eq!(seen(&mesh(&[entry("prod/s", "x.org", ""), old()]), "test"), "x.org@prod", "E17, G");
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
