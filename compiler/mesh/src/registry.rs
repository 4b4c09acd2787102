//! The registry: services, their ports, and the workloads behind them (semantics E).

mod endpoints;
mod kubernetes;
mod protocol;
mod service;
mod service_entry;
mod view;
mod workload;

pub use protocol::Protocol;
pub use service::{Resolution, Service, ServiceOrigin, ServicePort, TargetPort};
pub use view::ServiceView;
pub(crate) use view::{OLDEST_FIRST, is_preferred};
pub use workload::{Workload, WorkloadKind};

use crate::{config::MeshConfig, labels::Labels, order::Age, program::Endpoint, virtual_service::VirtualService};
use hashbrown::HashMap;
use malha_model::Resource;
use smol_str::SmolStr;
use std::sync::Arc;
use workload::Workloads;

/// Every service and workload of a mesh.
#[derive(Debug, Default)]
pub struct Registry {
    /// In the order of creation, then of name, then of namespace (semantics 0.1); one for each host and namespace.
    services: Vec<Arc<Service>>,
    by_host: HashMap<SmolStr, Vec<u32>>,
    by_namespace: HashMap<SmolStr, Vec<u32>>,
    workloads: Workloads,
    sources: endpoints::Sources,
    views: view::Views,
}

impl Registry {
    /// Links services and workloads of `resources`.
    pub(crate) fn link(
        resources: &[Arc<Resource>],
        virtual_services: &[Arc<VirtualService>],
        config: &MeshConfig,
    ) -> Self {
        let mut found: Vec<(Age, Service)> = Vec::new();
        for resource in resources {
            if let Some(service) = kubernetes::service(resource, config) {
                found.push((Age::of(resource, &service.name), service));
            }
            for service in service_entry::services(resource, config) {
                found.push((Age::of(resource, &service.name), service));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut services = service::merge_same_host(found.into_iter().map(|(_, service)| service));
        service::resolve_aliases(&mut services);
        let services: Vec<Arc<Service>> = services.into_iter().map(Arc::new).collect();
        let mut by_host: HashMap<SmolStr, Vec<u32>> = HashMap::with_capacity(services.len());
        let mut by_namespace: HashMap<SmolStr, Vec<u32>> = HashMap::new();
        for (index, service) in services.iter().enumerate() {
            by_host.entry(service.hostname.clone()).or_default().push(index as u32);
            by_namespace.entry(service.namespace.clone()).or_default().push(index as u32);
        }
        let views = view::Views::new(&services, virtual_services, config);
        Registry {
            services,
            by_host,
            by_namespace,
            workloads: Workloads::link(resources),
            sources: endpoints::Sources::link(resources),
            views,
        }
    }

    /// All services, in order of creation, name, namespace.
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// The services of the name `hostname`, one for each namespace that has one.
    pub fn services_of_host(&self, hostname: &str) -> impl Iterator<Item = &Arc<Service>> {
        self.pick(self.by_host.get(hostname))
    }

    /// The services that live in `namespace`, in order of creation and name.
    pub fn services_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<Service>> {
        self.pick(self.by_namespace.get(namespace))
    }

    fn pick<'a>(&'a self, indices: Option<&'a Vec<u32>>) -> impl Iterator<Item = &'a Arc<Service>> {
        indices.into_iter().flatten().filter_map(|index| self.services.get(*index as usize))
    }

    /// The service of the name `hostname` that lives in `namespace`.
    pub fn service_in(&self, hostname: &str, namespace: &str) -> Option<&Arc<Service>> {
        self.services_of_host(hostname).find(|service| service.namespace == namespace)
    }

    /// What proxies of `namespace` see (semantics 0.7, E17).
    pub fn view(&self, namespace: &str) -> &ServiceView {
        self.views.of(namespace, &self.services)
    }

    /// The services that are visible to proxies of `namespace`, of one name perhaps several: private ones first, then
    /// those exported by name, then public ones.
    pub(crate) fn visible(&self, namespace: &str) -> Vec<&Arc<Service>> {
        view::visible(namespace, &self.services)
    }

    /// The namespaces that services live in or are exported to.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &SmolStr> {
        self.views.namespaces()
    }

    /// All workloads.
    pub fn workloads(&self) -> &[Workload] {
        self.workloads.all()
    }

    /// The workloads of `namespace` that have all labels of `selector`.
    pub fn workloads_with<'a>(&'a self, namespace: &str, selector: &'a Labels) -> impl Iterator<Item = &'a Workload> {
        self.workloads.matching(namespace, selector)
    }

    /// The healthy endpoints of a port of `service`, whatever their labels (semantics E10, E12, E13, E27), in order of
    /// address.
    pub fn endpoints<'a>(&self, service: &'a Service, port: &'a ServicePort) -> &'a [Endpoint] {
        port.endpoints.get_or_init(|| endpoints::endpoints(self, service, port))
    }
}
