use crate::rule::{Context, Example, Rule};
use malha_mesh::{Gateway, GatewayRef, ObjectName, VirtualService, host};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H005",
        name: "host-not-in-gateway",
        group: Group::Correctness,
        aliases: &["IST0132"],
    },
    what: "A host of a VirtualService is served by no server of the Gateways that it names.",
    why: "Istio serves what both sides name: hosts of the VirtualService that overlap hosts of a server. Requests for this \
          host find no virtual host and are answered 404.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com, www.example.com]
  gateways: [shop]
  http:
    - directResponse: {status: 200}
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
      hosts: [\"*.example.com\"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com, www.example.com]
  gateways: [shop]
  http:
    - directResponse: {status: 200}
",
    ),
    facts: &["A20", "A23"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for service in context.mesh.virtual_services() {
        // A host that the mesh's sidecars serve has its use; a missing gateway is another rule's.
        if service.binds_to(&GatewayRef::Mesh) {
            continue;
        }
        let named: Vec<&ObjectName> = service
            .gateways
            .iter()
            .filter_map(|gateway| match gateway {
                GatewayRef::Named(name) => Some(name),
                GatewayRef::Mesh => None,
            })
            .collect();
        let gateways: Vec<&Gateway> =
            named.iter().filter_map(|name| context.mesh.gateway(name)).map(AsRef::as_ref).collect();
        if gateways.is_empty() || gateways.len() < named.len() {
            continue;
        }
        unserved(service, &gateways, findings);
    }
}

fn unserved(service: &VirtualService, gateways: &[&Gateway], findings: &mut Vec<Finding>) {
    let Spec::VirtualService(spec) = &service.resource.spec else { return };
    let served = |host: &str| {
        gateways.iter().any(|gateway| {
            let hosts = gateway.servers().iter().flat_map(|server| &server.hosts);
            hosts.into_iter().any(|written| serves(written, &gateway.name.namespace, &service.name.namespace, host))
        })
    };
    // For TLS passed through and other bytes one host that overlaps is enough (semantics A58, A59).
    if !(spec.tls.is_empty() && spec.tcp.is_empty()) && service.hosts.iter().any(|host| served(host)) {
        return;
    }
    for (index, (written, whole)) in spec.hosts.iter().zip(&service.hosts).enumerate() {
        if served(whole) {
            continue;
        }
        let names: Vec<String> = gateways.iter().map(|gateway| format!("`{}`", gateway.name)).collect();
        let message = format!("no server of Gateway {} serves `{whole}`, so nothing takes it", names.join(", "));
        let mut finding = Finding::new(RULE.info, service.resource.location(written.span), message)
            .help("add the host to a server of the Gateway, or correct it here")
            .resource(service.resource.resource_name())
            .field(format!("spec.hosts[{index}]"));
        let servers = gateways.iter().flat_map(|gateway| gateway.servers().iter().map(move |server| (gateway, server)));
        for (gateway, server) in servers.take(SHOWN) {
            if let Some(first) = server.hosts.first() {
                let hosts: Vec<&str> = server.hosts.iter().take(SHOWN).map(|host| host.value.as_str()).collect();
                finding = finding.related(gateway.resource.location(first.span), format!("serves {}", hosts.join(", ")));
            }
        }
        findings.push(finding);
    }
}

/// How many servers, and how many hosts of each, a finding shows.
const SHOWN: usize = 4;

/// Whether a server's host, as written in a `Gateway` of `gateway`, serves `wanted` of a `VirtualService` in `namespace`
/// (semantics A20, A23).
pub(super) fn serves(written: &str, gateway: &str, namespace: &str, wanted: &str) -> bool {
    let (scope, name) = written.split_once('/').unwrap_or(("*", written));
    let scope = if scope == "." { gateway } else { scope };
    (scope == "*" || scope == namespace) && host::matches(name, wanted)
}
