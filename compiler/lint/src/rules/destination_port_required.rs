use crate::{
    rule::{Context, Example, Rule},
    used::{Use, uses},
};
use malha_mesh::GatewayRef;
use malha_syntax::{Finding, Group, RuleInfo};
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D005",
        name: "destination-port-required",
        group: Group::Correctness,
        aliases: &["IST0112"],
    },
    what: "A destination names no port, its service has several, and the port of the listener is none of them.",
    why: "Istio then takes the number of the listener: of the Gateway's server, or of the service that was called. The \
          destination has no such port, so requests get 503 with the flag NC.",
    bad: Example::yaml(
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
  name: orders
spec:
  ports:
    - {name: http, port: 8000}
    - {name: http-admin, port: 8001}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - route:
        - destination: {host: orders}
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
  name: orders
spec:
  ports:
    - {name: http, port: 8000}
    - {name: http-admin, port: 8001}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - route:
        - destination: {host: orders, port: {number: 8000}}
",
    ),
    facts: &["B25", "B26"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    uses(context.mesh, |used| {
        if let Some(finding) = portless(context, used) {
            findings.push(finding);
        }
    });
}

fn portless(context: &Context<'_>, used: &Use<'_>) -> Option<Finding> {
    if used.destination.port.is_some() {
        return None;
    }
    let service = used.proxies.iter().find_map(|proxy| context.mesh.service(proxy, &used.host))?;
    if service.ports.len() < 2 {
        return None;
    }
    let listener = listener_ports(context, used).into_iter().find(|port| service.port(*port).is_none())?;
    let host = used.destination.host.as_ref()?;
    let ports: Vec<String> = service.ports.iter().map(|port| port.number.to_string()).collect();
    let ports = ports.join(", ");
    let message = format!(
        "`{}` has the ports {ports}; without one here, requests on port {listener} are sent to its port {listener}, which \
         does not exist",
        used.host
    );
    Some(
        Finding::new(RULE.info, used.resource.location(host.span), message)
            .help(format!("add `port: {{number: N}}`, with one of {ports}"))
            .resource(used.resource.resource_name())
            .field(used.field(""))
            .related(service.resource.location(service.resource.span), "the service"),
    )
}

/// The numbers of the listeners that take requests for the rule (semantics B25, B37).
fn listener_ports(context: &Context<'_>, used: &Use<'_>) -> BTreeSet<u32> {
    let mut ports = BTreeSet::new();
    for gateway in &used.service.gateways {
        match gateway {
            GatewayRef::Named(name) => {
                let servers = context.mesh.gateway(name).into_iter().flat_map(|gateway| gateway.servers());
                ports.extend(servers.filter_map(|server| Some(server.port.as_ref()?.number.as_ref()?.value)));
            }
            GatewayRef::Mesh => {
                for host in &used.service.hosts {
                    let called = used.proxies.iter().find_map(|proxy| context.mesh.service(proxy, host));
                    match called {
                        Some(called) => ports.extend(called.ports.iter().map(|port| port.number)),
                        None => ports.extend([80]),
                    }
                }
            }
        }
    }
    if let Some(wanted) = &used.ports {
        ports.retain(|port| wanted.contains(port));
    }
    ports
}
