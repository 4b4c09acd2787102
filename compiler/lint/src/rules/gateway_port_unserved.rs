use crate::rule::{Context, Example, Rule};
use malha_mesh::{
    Gateway, Service,
    registry::{ServiceOrigin, TargetPort, WorkloadKind},
};
use malha_syntax::{Finding, Group, RuleInfo};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H031",
        name: "gateway-port-unserved",
        group: Group::Suspicious,
        aliases: &["IST0162"],
    },
    what: "A Gateway's server has a port that no Service in front of the gateway has.",
    why: "The number is that of a Service's port, whose target the gateway listens on. Without such a port the gateway listens on \
          the number itself, and clients of the Service cannot come there. This is told only where the files hold a Service \
          that selects the gateway's workloads.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 8443, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: v1
kind: Service
metadata:
  name: istio-ingressgateway
  namespace: istio-system
spec:
  selector: {istio: ingressgateway}
  ports:
    - {name: http2, port: 80, targetPort: 8080}
    - {name: https, port: 443, targetPort: 8444}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: v1
kind: Service
metadata:
  name: istio-ingressgateway
  namespace: istio-system
spec:
  selector: {istio: ingressgateway}
  ports:
    - {name: http2, port: 80, targetPort: 8080}
    - {name: https, port: 443, targetPort: 8444}
",
    ),
    facts: &["A2"],
    check: Some(check),
};

/// Labels of proxies with the Services in front of them.
type Fronts<'a> = BTreeMap<(&'a SmolStr, Vec<(&'a SmolStr, &'a SmolStr)>), Vec<&'a Arc<Service>>>;

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut fronts: Fronts<'_> = BTreeMap::new();
    for proxy in context.mesh.proxies() {
        let services = context.mesh.registry().services_in(&proxy.namespace);
        let in_front = services.filter(|service| {
            let selects = |selector: &BTreeMap<SmolStr, SmolStr>| {
                !selector.is_empty() && selector.iter().all(|(name, value)| proxy.labels.get(name) == Some(value))
            };
            service.origin == ServiceOrigin::Kubernetes && service.selector.as_ref().is_some_and(selects)
        });
        let labels = proxy.labels.iter().collect();
        fronts.entry((&proxy.namespace, labels)).or_insert_with(|| in_front.collect());
    }
    for gateway in context.mesh.gateways() {
        let proxies: Vec<_> = context.mesh.proxies().iter().filter(|proxy| gateway.selects(&proxy.labels)).collect();
        let services: Vec<Vec<&Arc<Service>>> = proxies
            .iter()
            .filter_map(|proxy| fronts.get(&(&proxy.namespace, proxy.labels.iter().collect())).cloned())
            .collect();
        // A proxy that no Service in the files is in front of may have one elsewhere, which has the port.
        if services.is_empty() || services.iter().any(Vec::is_empty) {
            continue;
        }
        let services: Vec<&Arc<Service>> = services.concat();
        unserved(context, gateway, &services, findings);
    }
}

fn unserved(context: &Context<'_>, gateway: &Gateway, services: &[&Arc<Service>], findings: &mut Vec<Finding>) {
    let named: BTreeSet<u32> = context
        .mesh
        .registry()
        .workloads()
        .iter()
        .filter(|workload| workload.kind != WorkloadKind::WorkloadEntry && gateway.selects(&workload.labels))
        .flat_map(|workload| workload.ports.values().copied())
        .collect();
    let has = |service: &Service, number: u32| {
        service.ports.iter().any(|port| match port.target {
            TargetPort::Number(target) => port.number == number || target == number,
            // A name of a container's port, which may be that number.
            TargetPort::Name(_) => port.number == number || named.is_empty() || named.contains(&number),
        })
    };
    for (index, server) in gateway.servers().iter().enumerate() {
        let Some(number) = server.port.as_ref().and_then(|port| port.number.as_ref()) else { continue };
        let is_socket = server.bind.as_ref().is_some_and(|bind| bind.starts_with("unix:"));
        if is_socket || number.value == 0 || services.iter().any(|service| has(service, number.value)) {
            continue;
        }
        let Some(first) = services.first() else { continue };
        let ports: Vec<String> = first.ports.iter().map(|port| port.number.to_string()).collect();
        let message = format!(
            "no Service in front of this gateway has port {}: `{}/{}` has {}",
            number.value,
            first.namespace,
            first.name,
            ports.join(", ")
        );
        let finding = Finding::new(RULE.info, gateway.resource.location(number.span), message)
            .help("use a port of the Service, or add the port to it")
            .related(crate::place::named(&first.resource), "the Service")
            .resource(gateway.resource.resource_name())
            .field(format!("spec.servers[{index}].port.number"));
        findings.push(finding);
    }
}
