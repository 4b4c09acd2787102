use crate::{
    dangling::{Dangling, dangling},
    place::named,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

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
    dangling(context.mesh, context.program, |dangling| {
        if let Some(finding) = portless(dangling) {
            findings.push(finding);
        }
    });
}

fn portless(dangling: &Dangling<'_>) -> Option<Finding> {
    let Dangling { destination, service, written, .. } = dangling;
    let host = written.destination.host.as_ref()?;
    if written.destination.port.is_some() || service.ports.len() < 2 || service.port(destination.port).is_some() {
        return None;
    }
    let ports: Vec<String> = service.ports.iter().map(|port| port.number.to_string()).collect();
    let (ports, taken) = (ports.join(", "), destination.port);
    let message = format!(
        "`{}` has the ports {ports}; without one here, requests on port {taken} are sent to its port {taken}, which \
         does not exist",
        destination.host
    );
    Some(
        Finding::new(RULE.info, written.location(host.span), message)
            .help(format!("add `port: {{number: N}}`, with one of {ports}"))
            .resource(written.resource.resource_name())
            .field(written.field.clone())
            .related(named(&service.resource), "the service"),
    )
}
