//! ServiceEntries (semantics E.1).

use super::{Protocol, Resolution, Service, ServiceOrigin, ServicePort, TargetPort};
use crate::{config::MeshConfig, labels::labels, visibility::Visibility};
use malha_model::{
    Resource, Spec,
    istio::{self, service_entry},
};
use std::sync::Arc;

/// A service for each host of `resource`, if it is a ServiceEntry (semantics E1).
pub(super) fn services(resource: &Arc<Resource>, config: &MeshConfig) -> impl Iterator<Item = Service> {
    let entry = match &resource.spec {
        Spec::ServiceEntry(entry) => Some(entry),
        _ => None,
    };
    entry.into_iter().flat_map(move |entry| {
        let export_to = entry.export_to.iter().map(|name| name.value.as_str());
        let visibility = Visibility::new(export_to, &resource.namespace, &config.default_service_export_to);
        entry.hosts.iter().map(move |host| Service {
            hostname: host.value.clone(),
            namespace: resource.namespace.clone(),
            name: host.value.clone(),
            origin: ServiceOrigin::ServiceEntry,
            ports: ports(entry, resource),
            addresses: entry.addresses.iter().map(|address| address.value.clone()).collect(),
            resolution: resolution(entry),
            aliases: Vec::new(),
            selector: entry.workload_selector.as_ref().map(|selector| labels(&selector.labels)),
            visibility: visibility.clone(),
            resource: Arc::clone(resource),
            siblings: vec![Arc::clone(resource)],
        })
    })
}

fn ports(entry: &istio::ServiceEntry, resource: &Resource) -> Vec<ServicePort> {
    let ports = entry.ports.iter().filter_map(|port| {
        let number = port.number.as_ref()?.value;
        let name = port.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
        let protocol = port.protocol.as_ref().map_or(Protocol::Auto, |protocol| Protocol::parse(protocol));
        let target = port.target_port.as_ref().map(|target| target.value).filter(|target| *target > 0);
        let target = TargetPort::Number(target.unwrap_or(number));
        Some(ServicePort::new(number, name, protocol, target, resource, port.span))
    });
    ports.collect()
}

fn resolution(entry: &istio::ServiceEntry) -> Resolution {
    match entry.resolution.as_ref().map(|resolution| resolution.value) {
        None | Some(service_entry::Resolution::None) => Resolution::Passthrough,
        Some(service_entry::Resolution::Static) => Resolution::Static,
        Some(service_entry::Resolution::Dns) => Resolution::Dns,
        Some(service_entry::Resolution::DnsRoundRobin) => Resolution::DnsRoundRobin,
        Some(service_entry::Resolution::DynamicDns) => Resolution::DynamicDns,
    }
}
