//! The endpoints of a service's port (semantics E10, E12, E13, E27).

use super::{Registry, Resolution, Service, ServicePort, TargetPort, Workload, WorkloadKind};
use crate::{
    labels::{Labels, labels},
    names::ObjectName,
    program::Endpoint,
};
use hashbrown::HashMap;
use malha_model::{
    Resource, Spanned, Spec,
    istio::{self, ServiceEntry},
    kubernetes::{EndpointPort, ObjectReference},
};
use smol_str::SmolStr;
use std::sync::Arc;

/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Endpoints and EndpointSlices by the Service that they belong to.
#[derive(Debug, Default)]
pub(super) struct Sources {
    slices: HashMap<ObjectName, Vec<Arc<Resource>>>,
    endpoints: HashMap<ObjectName, Arc<Resource>>,
}

impl Sources {
    pub(super) fn link(resources: &[Arc<Resource>]) -> Self {
        let mut sources = Sources::default();
        for resource in resources {
            match &resource.spec {
                Spec::EndpointSlice(_) => {
                    if let Some(service) = resource.metadata.labels.get(SERVICE_NAME) {
                        let name = ObjectName::new(resource.namespace.clone(), service.value.clone());
                        sources.slices.entry(name).or_default().push(Arc::clone(resource));
                    }
                }
                Spec::Endpoints(_) => {
                    let name = ObjectName::new(resource.namespace.clone(), resource.name.clone());
                    sources.endpoints.insert(name, Arc::clone(resource));
                }
                _ => {}
            }
        }
        sources
    }
}

/// The endpoints of `port` of every object that says `service`, found by the port's name (semantics E17).
pub(super) fn endpoints(registry: &Registry, service: &Service, port: &ServicePort) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for resource in &service.siblings {
        match &resource.spec {
            Spec::Service(spec) => {
                // Beside a Kubernetes Service no other object adds ports, so this port is its own.
                of_service(registry, resource, &labels(&spec.selector), port, &mut endpoints);
            }
            Spec::ServiceEntry(entry) => {
                of_service_entry(registry, service, resource, entry, &port.name, &mut endpoints);
            }
            _ => {}
        }
    }
    endpoints.sort_by(|a, b| {
        (a.address.is_none(), &a.address, a.port, &a.workload).cmp(&(
            b.address.is_none(),
            &b.address,
            b.port,
            &b.workload,
        ))
    });
    endpoints
}

/// What EndpointSlices say, else what Endpoints say, else the workloads that the Service selects.
fn of_service(
    registry: &Registry,
    resource: &Resource,
    selector: &Labels,
    port: &ServicePort,
    endpoints: &mut Vec<Endpoint>,
) {
    let name = ObjectName::new(resource.namespace.clone(), resource.name.clone());
    if let Some(slices) = registry.sources.slices.get(&name) {
        for slice in slices {
            of_slice(registry, slice, &port.name, endpoints);
        }
    } else if let Some(listed) = registry.sources.endpoints.get(&name) {
        of_endpoints(registry, listed, &port.name, endpoints);
    } else if !selector.is_empty() {
        for workload in registry.workloads_with(&resource.namespace, selector) {
            if let Some(number) = target_of(workload, port) {
                repeat(workload, number, endpoints);
            }
        }
    }
}

/// The number of the workload's port that a Service's port leads to; none where it has no such port.
fn target_of(workload: &Workload, port: &ServicePort) -> Option<u32> {
    match (&port.target, workload.kind) {
        (TargetPort::Number(number), _) => Some(*number),
        (TargetPort::Name(name), WorkloadKind::WorkloadEntry) => {
            Some(workload.ports.get(name).or_else(|| workload.ports.get(&port.name)).copied().unwrap_or(port.number))
        }
        (TargetPort::Name(name), _) => workload.ports.get(name).copied(),
    }
}

fn repeat(workload: &Workload, port: u32, endpoints: &mut Vec<Endpoint>) {
    let endpoint = Endpoint {
        address: workload.address.clone(),
        port: if is_socket(workload.address.as_deref()) { 0 } else { port },
        weight: workload.weight,
        locality: workload.locality.clone(),
        workload: Some((workload.name.namespace.clone(), workload.name.name.clone())),
        labels: workload.labels.clone(),
    };
    endpoints.extend(std::iter::repeat_n(endpoint, workload.replicas as usize));
}

fn is_socket(address: Option<&str>) -> bool {
    address.is_some_and(|address| address.starts_with("unix://"))
}

fn of_slice(registry: &Registry, resource: &Resource, port: &str, endpoints: &mut Vec<Endpoint>) {
    let Spec::EndpointSlice(slice) = &resource.spec else { return };
    let Some(number) = number_of(&slice.ports, port) else { return };
    for endpoint in &slice.endpoints {
        let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready.as_ref());
        if ready.is_some_and(|ready| !ready.value) {
            continue;
        }
        if let Some(address) = endpoint.addresses.first() {
            let target = endpoint.target_ref.as_ref().map(|target| &target.value);
            endpoints.push(listed(registry, resource, &address.value, number, target));
        }
    }
}

fn of_endpoints(registry: &Registry, resource: &Resource, port: &str, endpoints: &mut Vec<Endpoint>) {
    let Spec::Endpoints(object) = &resource.spec else { return };
    for subset in &object.subsets {
        let Some(number) = number_of(&subset.ports, port) else { continue };
        for address in &subset.addresses {
            if let Some(ip) = &address.ip {
                let target = address.target_ref.as_ref().map(|target| &target.value);
                endpoints.push(listed(registry, resource, &ip.value, number, target));
            }
        }
    }
}

fn number_of(ports: &[Spanned<EndpointPort>], name: &str) -> Option<u32> {
    let named = |port: &&Spanned<EndpointPort>| port.name.as_ref().map_or("", |name| name.value.as_str()) == name;
    u32::try_from(ports.iter().find(named)?.port.as_ref()?.value).ok()
}

/// An endpoint that is listed by address, with the labels of its Pod where the input has it.
fn listed(
    registry: &Registry,
    resource: &Resource,
    address: &SmolStr,
    port: u32,
    target: Option<&ObjectReference>,
) -> Endpoint {
    let pod = target.filter(|target| target.kind.as_ref().is_some_and(|kind| kind.value == "Pod"));
    let pod = pod.and_then(|pod| pod.name.as_ref());
    let name = pod.map(|name| ObjectName::new(resource.namespace.clone(), name.value.clone()));
    let workload = name.as_ref().and_then(|name| registry.workload(name));
    Endpoint {
        address: Some(address.clone()),
        port,
        weight: 1,
        locality: None,
        workload: name.map(|name| (name.namespace, name.name)),
        labels: workload.map(|workload| workload.labels.clone()).unwrap_or_default(),
    }
}

/// The endpoints of a ServiceEntry's port of the name `port`.
fn of_service_entry(
    registry: &Registry,
    service: &Service,
    resource: &Resource,
    entry: &ServiceEntry,
    port: &str,
    endpoints: &mut Vec<Endpoint>,
) {
    let named = entry.ports.iter().find(|own| own.name.as_ref().map_or("", |name| name.value.as_str()) == port);
    let Some(own) = named else { return };
    let Some(number) = &own.number else { return };
    let target = own.target_port.as_ref().map(|target| target.value).filter(|target| *target > 0);
    let number = target.unwrap_or(number.value);
    if let Some(selector) = &entry.workload_selector {
        for workload in registry.workloads_with(&resource.namespace, &labels(&selector.labels)) {
            repeat(workload, workload.ports.get(port).copied().unwrap_or(number), endpoints);
        }
        return;
    }
    if !entry.endpoints.is_empty() {
        endpoints.extend(entry.endpoints.iter().map(|endpoint| written(endpoint, port, number)));
        return;
    }
    // The name itself is resolved (semantics E5).
    if matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin) {
        endpoints.push(Endpoint {
            address: Some(service.hostname.clone()),
            port: number,
            weight: 1,
            ..Endpoint::default()
        });
    }
}

fn written(endpoint: &istio::WorkloadEntry, port: &str, number: u32) -> Endpoint {
    let address = endpoint.address.as_ref().map(|address| address.value.clone());
    let number = endpoint.ports.get(port).map_or(number, |number| number.value);
    Endpoint {
        port: if is_socket(address.as_deref()) { 0 } else { number },
        address,
        weight: endpoint.weight.as_ref().map_or(1, |weight| weight.value.max(1)),
        locality: endpoint.locality.as_ref().map(|locality| locality.value.clone()),
        workload: None,
        labels: labels(&endpoint.labels),
    }
}
