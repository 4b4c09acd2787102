use crate::{
    destinations::{Destination, destinations},
    place::named,
    rule::{Context, Example, Rule},
};
use malha_mesh::{Resolution, Service, names::fully_qualified, registry::TargetPort};
use malha_model::{Resource, Spec};
use malha_syntax::{Finding, Group, RuleInfo};
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D011",
        name: "destination-port-unknown",
        group: Group::Correctness,
        aliases: &["IST0101"],
    },
    what: "A destination names a port that its service does not have.",
    why: "There is no such cluster, so requests get 503 with the flag NC, and copies are dropped. The number is that of the Service's `port`, not of its \
          `targetPort`, nor that of the container.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 80, targetPort: 8000}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, port: {number: 8000}}
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  ports:
    - {name: http, port: 80, targetPort: 8000}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, port: {number: 80}}
",
    ),
    facts: &["B25", "B26", "E27"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for service in context.mesh.virtual_services() {
        let resource = &*service.resource;
        let found = destinations(resource).into_iter();
        findings.extend(found.filter_map(|destination| unknown(context, resource, &destination)));
    }
}

fn unknown(context: &Context<'_>, resource: &Resource, destination: &Destination<'_>) -> Option<Finding> {
    let host = destination.value.host.as_ref()?;
    let number = destination.value.port.as_ref()?.number.as_ref().filter(|number| number.value > 0)?;
    let name = fully_qualified(host, &resource.namespace, &context.mesh.config().cluster_domain);
    let services: Vec<&Arc<Service>> = context.mesh.registry().services_of_host(&name).collect();
    // Which of several services of a name is meant depends on who asks: so none may have it.
    let first = *services.first()?;
    if services.iter().any(|service| has(service, number.value) || matches!(service.resolution, Resolution::Alias(_))) {
        return None;
    }
    let location = resource.location(number.span);
    let ports: Vec<String> = first.ports.iter().map(|port| port.number.to_string()).collect();
    let has_ports = match ports.as_slice() {
        [] => "no ports for TCP".to_owned(),
        [only] => format!("port {only} alone"),
        several => format!("the ports {}", several.join(", ")),
    };
    let message = format!("`{name}` has {has_ports}, not {}, so {}", number.value, destination.sent.fate());
    let finding = Finding::new(RULE.info, location, message)
        .resource(resource.resource_name())
        .field(format!("{}.port.number", destination.field()))
        .related(named(&first.resource), "the service");
    let targeted = first.ports.iter().find(|port| port.target == TargetPort::Number(number.value));
    let (meant, help) = match (targeted, first.ports.as_slice()) {
        (Some(port), _) => {
            let help = format!("{} is the targetPort of port {}: write {1}", number.value, port.number);
            (Some(port.number), help)
        }
        (None, [only]) => (Some(only.number), format!("write {}, or leave the port out", only.number)),
        (None, []) => (None, "give the service a port for TCP".to_owned()),
        (None, _) => (None, format!("write one of {}", ports.join(", "))),
    };
    let fix = meant.and_then(|meant| context.rewrite(location, &meant.to_string(), false));
    let finding = finding.help(help);
    Some(match fix {
        Some(fix) => finding.fix(fix),
        None => finding,
    })
}

/// Whether a service has a port, or one of its objects says it: an object that loses to another has its own finding.
fn has(service: &Service, number: u32) -> bool {
    let says = |resource: &Arc<Resource>| match &resource.spec {
        Spec::ServiceEntry(entry) => {
            entry.ports.iter().any(|port| port.number.as_ref().is_some_and(|own| own.value == number))
        }
        _ => false,
    };
    service.port(number).is_some() || service.objects().iter().any(says)
}
