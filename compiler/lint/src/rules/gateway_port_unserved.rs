use crate::rule::{Context, Example, Rule};
use malha_mesh::{
    Gateway, Mesh, Service,
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

type Labels = BTreeMap<SmolStr, SmolStr>;

/// What is in front of the proxies of a selector.
struct Front<'a> {
    /// Services that select them; none: of some proxy none is known, and it may have one elsewhere.
    services: Vec<&'a Arc<Service>>,
    /// Ports of the workloads that have names.
    named: BTreeSet<u32>,
}

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    // Of each selector once: many Gateways share one.
    let mut fronts: BTreeMap<&Labels, Front<'_>> = BTreeMap::new();
    for gateway in context.mesh.gateways() {
        let front = fronts.entry(&gateway.selector).or_insert_with(|| Front::of(context.mesh, gateway));
        if !front.services.is_empty() {
            unserved(gateway, front, findings);
        }
    }
}

impl<'a> Front<'a> {
    fn of(mesh: &'a Mesh, gateway: &Gateway) -> Front<'a> {
        let mut front = Front { services: Vec::new(), named: BTreeSet::new() };
        for proxy in mesh.proxies().iter().filter(|proxy| gateway.selects(&proxy.labels)) {
            let before = front.services.len();
            let selects = |selector: &Labels| {
                !selector.is_empty() && selector.iter().all(|(name, value)| proxy.labels.get(name) == Some(value))
            };
            front.services.extend(mesh.registry().services_in(&proxy.namespace).filter(|service| {
                service.origin == ServiceOrigin::Kubernetes && service.selector.as_ref().is_some_and(selects)
            }));
            if front.services.len() == before {
                return Front { services: Vec::new(), ..front };
            }
        }
        let workloads = mesh.registry().workloads().iter();
        let own = workloads.filter(|it| it.kind != WorkloadKind::WorkloadEntry && gateway.selects(&it.labels));
        front.named = own.flat_map(|workload| workload.ports.values().copied()).collect();
        front
    }

    fn has(&self, number: u32) -> bool {
        self.services.iter().flat_map(|service| &service.ports).any(|port| match port.target {
            TargetPort::Number(target) => port.number == number || target == number,
            // A name of a container's port, which may be that number.
            TargetPort::Name(_) => port.number == number || self.named.is_empty() || self.named.contains(&number),
        })
    }
}

fn unserved(gateway: &Gateway, front: &Front<'_>, findings: &mut Vec<Finding>) {
    let Some(first) = front.services.first() else { return };
    for (index, server) in gateway.servers().iter().enumerate() {
        let Some(number) = server.port.as_ref().and_then(|port| port.number.as_ref()) else { continue };
        let is_socket = server.bind.as_ref().is_some_and(|bind| bind.starts_with("unix:"));
        if is_socket || number.value == 0 || front.has(number.value) {
            continue;
        }
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
