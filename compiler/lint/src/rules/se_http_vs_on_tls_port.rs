use crate::{
    clients::{Client, Clients},
    place::named,
    rule::{Context, Example, Rule},
};
use malha_mesh::{GatewayRef, Service, ServicePort, VirtualService, config::Completeness, host, names::fully_qualified, registry::ServiceOrigin};
use malha_model::{Spec, istio::service_entry};
use malha_syntax::{Finding, Group, RuleInfo, Severity};
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "S005", name: "se-http-vs-on-tls-port", group: Group::Correctness, aliases: &[] },
    what: "Rules for HTTP meet a port that speaks TLS: a VirtualService has `http` rules for a host of which every port is TLS or HTTPS, or sends HTTP to such a port \
           of an outside host that no DestinationRule starts TLS for.",
    why: "A sidecar does not look into TLS: on such a port it goes by the server name, and `http` rules are not used. And the protocol of a port does not start TLS: \
          without `tls` in a DestinationRule the bytes go out in plain text, and a server that expects TLS answers 400 or hangs up. Let clients speak HTTP to a \
          port of protocol HTTP, with a DestinationRule that starts TLS. Where the mesh is not declared `closed` the DestinationRule may live elsewhere: then the second is a warning.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: https, number: 443, protocol: HTTPS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  http:
    - timeout: 2s
      route:
        - destination: {host: credit.example.com, port: {number: 443}}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  resolution: DNS
  ports:
    - {name: http, number: 80, protocol: HTTP, targetPort: 443}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: credit
spec:
  host: credit.example.com
  trafficPolicy:
    tls: {mode: SIMPLE}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: credit
spec:
  hosts: [credit.example.com]
  http:
    - timeout: 2s
      route:
        - destination: {host: credit.example.com, port: {number: 80}}
",
    ),
    facts: &["B2", "E20", "D51", "D59"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let clients = Clients::of(context.mesh);
    for rules in context.mesh.virtual_services() {
        let before = findings.len();
        unused(context, rules, findings);
        // Rules that are not used send nothing.
        if findings.len() == before {
            plain(context, rules, &clients, findings);
        }
    }
}

/// Whether it is told that `http` rules are not used.
pub(super) fn is_unused(context: &Context<'_>, rules: &VirtualService) -> bool {
    let mut findings = Vec::new();
    unused(context, rules, &mut findings);
    !findings.is_empty()
}

/// Hosts of a VirtualService for the mesh alone of which every port is TLS, so that its `http` rules are not used.
fn unused(context: &Context<'_>, rules: &VirtualService, findings: &mut Vec<Finding>) {
    let Spec::VirtualService(spec) = &rules.resource.spec else { return };
    let is_in_mesh = rules.gateways.iter().all(|gateway| *gateway == GatewayRef::Mesh) && !rules.hosts.is_empty();
    let Some(first) = spec.http.first().filter(|_| is_in_mesh) else { return };
    for (index, (name, written)) in rules.hosts.iter().zip(&spec.hosts).enumerate() {
        if host::is_wildcard(name) {
            continue;
        }
        let mut services = context.mesh.registry().services_of_host(name).peekable();
        let Some(service) = services.peek().map(|service| Arc::clone(service)) else { continue };
        let Some(port) = service.ports.first() else { continue };
        if !services.all(|service| service.ports.iter().all(|port| port.protocol.is_tls())) {
            continue;
        }
        let message = format!("every port of `{name}` speaks TLS, so the `http` rules of this are not used for it");
        let place = rules.resource.location(written.span);
        findings.push(
            Finding::new(RULE.info, place, message)
                .help("give the service a port of protocol HTTP and start TLS by a DestinationRule, or write `tls` rules")
                .related(port.location, "a port that speaks TLS")
                .related(rules.resource.location(first.span), "rules that are not used")
                .resource(rules.resource.resource_name())
                .field(format!("spec.hosts[{index}]")),
        );
    }
}

/// Routes that send HTTP in plain text to a port of an outside host that expects TLS.
fn plain<'a>(
    context: &Context<'a>,
    rules: &'a VirtualService,
    clients: &Clients<'a>,
    findings: &mut Vec<Finding>,
) {
    let severity = match context.mesh.config().registry {
        Completeness::Closed => Severity::Error,
        Completeness::Auto => Severity::Warning,
        Completeness::Open => return,
    };
    for rule in rules.http_rules().filter(|rule| rule.delegate.is_none()) {
        for (at, route) in rule.route.route.iter().enumerate() {
            let Some(destination) = &route.destination else { continue };
            let Some(written) = &destination.host else { continue };
            let domain = &context.mesh.config().cluster_domain;
            let name = fully_qualified(written, &rules.name.namespace, domain);
            let given = destination.port.as_ref().and_then(|port| port.number.as_ref()).map(|number| number.value);
            let Some((service, port)) = tls_port(context, &name, given) else { continue };
            let subset = destination.subset.as_ref().map(|subset| subset.value.as_str()).filter(|it| !it.is_empty());
            let starts = |client: &Client<'_>| {
                let cluster = context.mesh.cluster(&client.proxy(), &name, port.number, subset);
                cluster.is_none_or(|cluster| cluster.policy.source.as_ref().is_some_and(|policy| policy.get("tls").is_some()))
            };
            let executing = clients.executing(rules);
            if executing.is_empty() || executing.iter().any(starts) {
                continue;
            }
            let message = format!(
                "port {} of `{name}` speaks TLS, and no DestinationRule starts it, so requests go there in plain text",
                port.number
            );
            findings.push(
                Finding::new(RULE.info, rules.resource.location(written.span), message)
                    .severity(severity)
                    .help("add a DestinationRule for the host with `tls: {mode: SIMPLE}` for this port")
                    .related(port.location, "the port")
                    .related(named(&service.resource), "the service")
                    .resource(rules.resource.resource_name())
                    .field(format!("spec.http[{}].route[{at}].destination.host", rule.index)),
            );
        }
    }
}

/// The port of an outside host that a destination means, if it speaks TLS.
fn tls_port<'a>(context: &Context<'a>, name: &str, given: Option<u32>) -> Option<(&'a Arc<Service>, &'a ServicePort)> {
    let mut services = context.mesh.registry().services_of_host(name);
    let service = services.next()?;
    let Spec::ServiceEntry(entry) = &service.resource.spec else { return None };
    let is_inside = entry.location.as_ref().is_some_and(|it| it.value == service_entry::Location::MeshInternal);
    if services.next().is_some() || is_inside || service.origin != ServiceOrigin::ServiceEntry {
        return None;
    }
    let port = match (given, service.ports.as_slice()) {
        (Some(number), _) => service.port(number)?,
        (None, [only]) => only,
        (None, _) => return None,
    };
    port.protocol.is_tls().then_some((service, port))
}
