//! Kubernetes Services (semantics E.3).

use super::{Protocol, Resolution, Service, ServiceOrigin, ServicePort, TargetPort};
use crate::{config::MeshConfig, labels::labels, names::service_hostname, visibility::Visibility};
use malha_model::{
    Resource, Spec,
    kubernetes::{self, IntOrString},
};
use smol_str::SmolStr;
use std::sync::Arc;

/// The annotation that says to whom a Service is visible.
const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// The service that `resource` is, if it is a Service.
pub(super) fn service(resource: &Arc<Resource>, config: &MeshConfig) -> Option<Service> {
    let Spec::Service(spec) = &resource.spec else { return None };
    let namespace = resource.namespace.clone();
    let export_to = resource.metadata.annotations.get(EXPORT_TO);
    let entries = export_to.iter().flat_map(|entries| entries.value.split(',').map(str::trim));
    let selector = labels(&spec.selector);
    Some(Service {
        hostname: service_hostname(&resource.name, &namespace, &config.cluster_domain),
        name: resource.name.clone(),
        origin: ServiceOrigin::Kubernetes,
        ports: ports(spec, resource),
        addresses: addresses(spec),
        resolution: resolution(spec),
        aliases: Vec::new(),
        selector: (!selector.is_empty()).then_some(selector),
        visibility: Visibility::new(entries, &namespace, &config.default_service_export_to),
        namespace,
        resource: Arc::clone(resource),
        siblings: vec![Arc::clone(resource)],
    })
}

/// Its ports. UDP takes no part in routing (semantics E24).
fn ports(spec: &kubernetes::Service, resource: &Resource) -> Vec<ServicePort> {
    let mut ports: Vec<ServicePort> = Vec::with_capacity(spec.ports.len());
    for port in &spec.ports {
        let Some(number) = port.port.as_ref().and_then(|number| u32::try_from(number.value).ok()) else { continue };
        let name = port.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
        let transport = port.protocol.as_ref().map(|protocol| protocol.value.as_str());
        let app_protocol = port.app_protocol.as_ref().map(|protocol| protocol.value.as_str());
        let protocol = Protocol::of_service_port(number, &name, transport, app_protocol);
        if protocol == Protocol::Udp || ports.iter().any(|known| known.number == number) {
            continue;
        }
        let target = match port.target_port.as_ref().map(|target| &target.value) {
            Some(IntOrString::String(name)) => TargetPort::Name(name.clone()),
            Some(IntOrString::Int(target)) if *target > 0 => TargetPort::Number(target.unsigned_abs()),
            _ => TargetPort::Number(number),
        };
        ports.push(ServicePort::new(number, name, protocol, target, resource, port.span));
    }
    ports
}

fn addresses(spec: &kubernetes::Service) -> Vec<SmolStr> {
    let own = spec.cluster_ip.iter().chain(&spec.cluster_ips).map(|address| &address.value);
    let mut addresses: Vec<SmolStr> = Vec::new();
    for address in own.filter(|address| !address.is_empty() && *address != "None") {
        if !addresses.contains(address) {
            addresses.push(address.clone());
        }
    }
    addresses
}

/// ExternalName is an alias, headless goes where the client meant to (semantics E28).
fn resolution(spec: &kubernetes::Service) -> Resolution {
    let is_alias = spec.r#type.as_ref().is_some_and(|kind| kind.value == "ExternalName");
    if let (true, Some(name)) = (is_alias, &spec.external_name) {
        return Resolution::Alias(name.value.clone());
    }
    if spec.cluster_ip.as_ref().is_some_and(|address| address.value == "None") {
        return Resolution::Passthrough;
    }
    Resolution::Static
}
