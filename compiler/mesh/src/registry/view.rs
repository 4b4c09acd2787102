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
    services: Vec<Arc<Service>>,
    by_host: HashMap<SmolStr, u32>,
}

impl ServiceView {
    /// In the order in which Istio adds them: private ones first, then those exported by name, then public ones, each
    /// in order of creation, name, namespace.
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// The service of this name. A wildcard is found by its own text only.
    pub fn get(&self, hostname: &str) -> Option<&Arc<Service>> {
        self.services.get(*self.by_host.get(hostname)? as usize)
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
                    vacant.insert(view.services.len() as u32);
                    view.services.push(Arc::clone(service));
                }
                Entry::Occupied(at) => {
                    if let Some(known) = view.services.get_mut(*at.get() as usize)
                        && rank(service, namespace) < rank(known, namespace)
                    {
                        *known = Arc::clone(service);
                    }
                }
            }
        }
        for service in routed.iter().filter(|service| service.namespace == namespace) {
            if let Entry::Vacant(vacant) = view.by_host.entry(service.hostname.clone()) {
                vacant.insert(view.services.len() as u32);
                view.services.push(Arc::clone(service));
            }
        }
        view
    }
}

/// Of several services of one name the own namespace's is preferred, then a Kubernetes Service (semantics E17).
fn rank(service: &Service, namespace: &str) -> (bool, ServiceOrigin) {
    (service.namespace != namespace, service.origin)
}

/// Of a service that its own namespace does not see those ports that rules for its sidecars name: Istio adds them to
/// what they see, whatever `exportTo` says.
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
