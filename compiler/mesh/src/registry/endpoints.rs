//! The endpoints of a service's port (semantics E10, E12, E13, E27).

use super::{
    Registry, Resolution, Service, ServicePort, TargetPort, Workload, WorkloadKind, workload::written_locality,
};
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
        ..Endpoint::default()
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
    let workload = name.as_ref().and_then(|name| registry.workloads.pod(name));
    Endpoint {
        address: Some(address.clone()),
        port,
        weight: 1,
        locality: workload.and_then(|workload| workload.locality.clone()),
        workload: name.map(|name| (name.namespace, name.name)),
        labels: workload.map(|workload| workload.labels.clone()).unwrap_or_default(),
        ..Endpoint::default()
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
    let labels = labels(&endpoint.labels);
    let number = endpoint.ports.get(port).map_or(number, |number| number.value);
    Endpoint {
        port: if is_socket(address.as_deref()) { 0 } else { number },
        address,
        weight: endpoint.weight.as_ref().map_or(1, |weight| weight.value.max(1)),
        locality: written_locality(endpoint, &labels),
        labels,
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{mesh, object};

    /// The endpoints of port 80 of the only service, as `ADDRESS:PORT` and perhaps `*WEIGHT`.
    fn found(objects: &[String]) -> String {
        let mesh = mesh(objects);
        let [service] = mesh.registry().services() else { panic!("one service") };
        let port = service.port(80).expect("it has port 80");
        let endpoints = mesh.registry().endpoints(service, port).iter().map(|endpoint| {
            let weight = if endpoint.weight == 1 { String::new() } else { format!("*{}", endpoint.weight) };
            format!("{}:{}{weight}", endpoint.address.as_deref().unwrap_or("?"), endpoint.port)
        });
        endpoints.collect::<Vec<_>>().join(" ")
    }

    fn service(target: &str) -> String {
        object("Service prod/a", &format!("spec: {{selector: {{app: a}}, ports: [{{name: http, port: 80{target}}}]}}"))
    }

    fn pod(name: &str, labels: &str, status: &str) -> String {
        let spec = "spec: {containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}";
        object(&format!("Pod {name} {labels}"), &format!("{spec}\nstatus: {{{status}}}"))
    }

    fn deployment(name: &str, labels: &str, more: &str) -> String {
        let template = format!("template: {{metadata: {{labels: {labels}}}, spec: {{containers: []}}}}");
        object(name, &format!("spec: {{selector: {{}}, {template}{more}}}"))
    }

    #[test]
    fn a_service_selects_pods_of_its_namespace() {
        let pods = [
            pod("prod/a-2", "{app: a, v: x}", "podIP: 10.1.0.2"),
            pod("prod/a-1", "{app: a}", "podIPs: [{ip: 10.1.0.1}]"),
            pod("prod/b-1", "{app: b}", "podIP: 10.1.0.3"),
            pod("test/a-1", "{app: a}", "podIP: 10.1.0.4"),
            pod("prod/a-3", "{app: a}", "podIP: 10.1.0.5, phase: Succeeded"),
            pod("prod/a-4", "{app: a}", "podIP: 10.1.0.6, conditions: [{type: Ready, status: 'False'}]"),
        ];
        let with = |target| found(&[[service(target)].as_slice(), &pods].concat());
        assert_eq!(with(""), "10.1.0.1:80 10.1.0.2:80", "E27");
        assert_eq!(with(", targetPort: 9000"), "10.1.0.1:9000 10.1.0.2:9000", "E27");
        assert_eq!(with(", targetPort: web"), "10.1.0.1:8080 10.1.0.2:8080", "E27");
        assert_eq!(with(", targetPort: missing"), "", "E27");
    }

    #[test]
    fn a_service_selects_workload_entries_too() {
        let entry = |name: &str, more: &str| object(name, &format!("spec: {{labels: {{app: a}}, {more}}}"));
        let entries = [
            entry("WorkloadEntry prod/w1", "address: 192.0.2.1, ports: {http: 8081}"),
            entry("WorkloadEntry prod/w2", "address: 192.0.2.2, ports: {web: 8082}"),
            entry("WorkloadEntry prod/w3", "address: 192.0.2.3"),
        ];
        let with = |target| found(&[[service(target)].as_slice(), &entries].concat());
        assert_eq!(with(", targetPort: 9000"), "192.0.2.1:9000 192.0.2.2:9000 192.0.2.3:9000");
        assert_eq!(with(", targetPort: web"), "192.0.2.1:8081 192.0.2.2:8082 192.0.2.3:80");
    }

    #[test]
    fn templates_are_endpoints_without_addresses_unless_their_pods_are_there() {
        let template = deployment("Deployment prod/a", "{app: a}", ", replicas: 2");
        assert_eq!(found(&[service(""), template.clone()]), "?:80 ?:80");
        assert_eq!(
            found(&[
                service(""),
                template.clone(),
                pod("prod/a-1", "{app: a, pod-template-hash: h}", "podIP: 10.1.0.1")
            ]),
            "10.1.0.1:80"
        );
        let made = deployment("ReplicaSet prod/a-h", "{app: a, pod-template-hash: h}", ", replicas: 2");
        assert_eq!(found(&[service(""), template, made]), "?:80 ?:80");
        let rollout = deployment("Rollout prod/a", "{app: a}", ", replicas: 2");
        let made = |name: &str| {
            let labels = format!("{{app: a, rollouts-pod-template-hash: {name}}}");
            deployment(&format!("ReplicaSet prod/a-{name}"), &labels, ", replicas: 2")
        };
        assert_eq!(found(&[service(""), made("g"), rollout, made("h")]), "?:80 ?:80");
        assert_eq!(found(&[service(""), deployment("Deployment prod/a", "{app: a}", ", replicas: 0")]), "");
        assert_eq!(found(&[service(""), deployment("StatefulSet prod/a", "{app: a}", "")]), "?:80");
    }

    #[test]
    fn what_the_cluster_lists_counts_before_what_a_selector_finds() {
        let slice = object(
            "EndpointSlice prod/a-x {kubernetes.io/service-name: a}",
            "ports: [{name: http, port: 8080}, {name: other, port: 1}]\nendpoints:\n\
             - {addresses: [10.1.0.8], targetRef: {kind: Pod, name: a-1}}\n\
             - {addresses: [10.1.0.9], conditions: {ready: false}}",
        );
        let endpoints = object(
            "Endpoints prod/a",
            "subsets: [{addresses: [{ip: 10.1.0.7}], notReadyAddresses: [{ip: 10.1.0.6}], ports: [{name: http, port: 8081}]}]",
        );
        let pod = pod("prod/a-1", "{app: a, v: x}", "podIP: 10.1.0.1");
        assert_eq!(found(&[service(""), endpoints.clone(), pod.clone()]), "10.1.0.7:8081", "E27");
        let objects = [service(""), slice, endpoints, pod];
        assert_eq!(found(&objects), "10.1.0.8:8080", "E27");
        let mesh = mesh(&objects);
        let service = mesh.registry().service_in("a.prod.svc.cluster.local", "prod").expect("it is there");
        let port = service.port(80).expect("it has port 80");
        let labels = mesh.registry().endpoints(service, port).first().map(|endpoint| endpoint.labels.len());
        assert_eq!(labels, Some(2), "D16: an endpoint has the labels of its Pod");
    }

    #[test]
    fn endpoints_of_an_entry_are_written_down() {
        let entry = |more: &str| {
            let ports = "ports: [{number: 80, name: p, protocol: HTTP, targetPort: 8443}]";
            object("ServiceEntry prod/s", &format!("spec: {{hosts: [x.org], {ports}, {more}}}"))
        };
        let endpoints = "resolution: STATIC, endpoints: [{address: 192.0.2.1, weight: 0}, \
                         {address: 192.0.2.2, ports: {p: 99}, weight: 7}, {address: 'unix:///run/s'}]";
        assert_eq!(found(&[entry(endpoints)]), "192.0.2.1:8443 192.0.2.2:99*7 unix:///run/s:0", "E10, D25");
        assert_eq!(found(&[entry("resolution: DNS")]), "x.org:8443", "E5");
        assert_eq!(found(&[entry("resolution: STATIC")]), "", "E4");
        assert_eq!(found(&[entry("resolution: NONE")]), "", "E3");
    }

    #[test]
    fn an_entry_selects_workload_entries_and_pods_of_its_namespace() {
        let spec = "{hosts: [x.org], ports: [{number: 80, name: web, protocol: HTTP}], resolution: STATIC, \
                    workloadSelector: {labels: {app: a}}}";
        let workload = |name: &str, more: &str| {
            object(&format!("WorkloadEntry {name}"), &format!("spec: {{labels: {{app: a}}, {more}}}"))
        };
        let objects = [
            object("ServiceEntry prod/s", &format!("spec: {spec}")),
            workload("prod/w1", "address: 192.0.2.1, ports: {web: 8081}"),
            workload("prod/w2", "address: 192.0.2.2, weight: 3"),
            workload("test/w3", "address: 192.0.2.3"),
            object("Pod prod/a-1 {app: a}", "status: {podIP: 10.1.0.1}"),
        ];
        assert_eq!(found(&objects), "10.1.0.1:80 192.0.2.1:8081 192.0.2.2:80*3", "E13");
    }

    #[test]
    fn endpoints_of_one_host_add_up_by_the_name_of_the_port() {
        let entry = |name: &str, port: &str, address: &str| {
            let spec = format!(
                "{{hosts: [x.org], ports: [{{number: 80, name: {port}}}], resolution: STATIC, endpoints: [{{address: {address}}}]}}"
            );
            object(name, &format!("spec: {spec}"))
        };
        let objects = [
            entry("ServiceEntry prod/a", "p", "192.0.2.1"),
            entry("ServiceEntry prod/b", "p", "192.0.2.2"),
            entry("ServiceEntry prod/c", "q", "192.0.2.3"),
        ];
        assert_eq!(found(&objects), "192.0.2.1:80 192.0.2.2:80", "E17");
    }
}
