//! The services that proxies of one namespace see.

use super::{Service, ServiceOrigin};
use crate::visibility::Visibility;
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

    fn new(namespace: &str, all: &[Arc<Service>]) -> Self {
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
        view
    }
}

/// Of several services of one name the own namespace's is preferred, then a Kubernetes Service (semantics E17).
fn rank(service: &Service, namespace: &str) -> (bool, ServiceOrigin) {
    (service.namespace != namespace, service.origin)
}

/// Views by namespace, made when first asked for.
#[derive(Debug, Default)]
pub(super) struct Views {
    named: HashMap<SmolStr, OnceLock<ServiceView>>,
    /// Of every namespace that has no service and that no `exportTo` names.
    other: OnceLock<ServiceView>,
}

impl Views {
    pub(super) fn new(services: &[Arc<Service>]) -> Self {
        let mut named: HashMap<SmolStr, OnceLock<ServiceView>> = HashMap::new();
        for service in services {
            named.entry(service.namespace.clone()).or_default();
            if let Visibility::Namespaces(names) = &service.visibility {
                for name in names {
                    named.entry(name.clone()).or_default();
                }
            }
        }
        Views { named, other: OnceLock::new() }
    }

    pub(super) fn of(&self, namespace: &str, services: &[Arc<Service>]) -> &ServiceView {
        self.named.get(namespace).unwrap_or(&self.other).get_or_init(|| ServiceView::new(namespace, services))
    }
}
