use crate::rule::{Context, Example, Rule};
use malha_model::istio::gateway::TlsProtocol;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "C005", name: "weak-tls-version", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A Gateway server allows TLS 1.0 or 1.1 and names no cipher suites.",
    why: "The default suites are those of TLS 1.2 and later, so that older clients, for whom the version was lowered, find \
          none in common with the gateway. Both versions are withdrawn (RFC 8996).",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: shop, minProtocolVersion: TLSV1_1}
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
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: shop, minProtocolVersion: TLSV1_2}
",
    ),
    facts: &["A50"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for gateway in context.mesh.gateways() {
        for (index, server) in gateway.servers().iter().enumerate() {
            let Some(tls) = server.tls.as_ref().filter(|tls| tls.cipher_suites.is_empty()) else { continue };
            let is_old = |version: TlsProtocol| matches!(version, TlsProtocol::V1_0 | TlsProtocol::V1_1);
            let Some(version) = tls.min_protocol_version.as_ref().filter(|version| is_old(version.value)) else { continue };
            let message = format!("{} is allowed, but no cipher suite that it has is offered by default", version.value.name());
            let finding = Finding::new(RULE.info, gateway.resource.location(version.span), message)
                .help("write `TLSV1_2`; if clients really need the older version, name their suites under `cipherSuites`")
                .resource(gateway.resource.resource_name())
                .field(format!("spec.servers[{index}].tls.minProtocolVersion"));
            findings.push(finding);
        }
    }
}
