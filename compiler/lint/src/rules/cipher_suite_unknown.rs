use crate::rule::{Context, Example, Rule};
use malha_syntax::{Finding, Group, RuleInfo, nearest};
use std::collections::HashMap;

/// The suites that Istio passes on (semantics A50).
const KNOWN: [&str; 15] = [
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "C006", name: "cipher-suite-unknown", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A cipher suite of a Gateway server is one that Istio does not know, or is in the list twice.",
    why: "Istio leaves it out. If no suite is left, the proxy's default ones are offered instead of those that were meant. \
          Suites of TLS 1.3 cannot be chosen.",
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
      tls: {mode: SIMPLE, credentialName: shop, cipherSuites: [ECDHE_RSA_AES128_GCM_SHA256]}
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
      tls: {mode: SIMPLE, credentialName: shop, cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]}
",
    ),
    facts: &["A50"],
    check: Some(check),
};

/// Whether Istio passes a suite on: names that it knows, and those that begin with one of OpenSSL's operators.
fn is_passed_on(suite: &str) -> bool {
    let is_name = suite.starts_with(char::is_alphanumeric);
    suite == "ALL" || !is_name || KNOWN.contains(&suite)
}

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for gateway in context.mesh.gateways() {
        for (index, server) in gateway.servers().iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            let mut seen: HashMap<&str, usize> = HashMap::new();
            for (at, suite) in tls.cipher_suites.iter().enumerate() {
                let first = *seen.entry(suite.as_str()).or_insert(at);
                let (message, help) = if !is_passed_on(suite) {
                    let message = format!("`{}` is no cipher suite that Istio knows, so it is left out", suite.value);
                    let help = match nearest(suite, KNOWN) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "use OpenSSL's names of suites for TLS 1.2, as `ECDHE-RSA-AES128-GCM-SHA256`".to_owned(),
                    };
                    (message, help)
                } else if first < at {
                    (format!("`{}` is in the list already", suite.value), "remove it".to_owned())
                } else {
                    continue;
                };
                let mut finding = Finding::new(RULE.info, gateway.resource.location(suite.span), message)
                    .help(help)
                    .resource(gateway.resource.resource_name())
                    .field(format!("spec.servers[{index}].tls.cipherSuites[{at}]"));
                if let Some(first) = tls.cipher_suites.get(first).filter(|_| first < at) {
                    finding = finding.related(gateway.resource.location(first.span), "the first one");
                }
                findings.push(finding);
            }
        }
    }
}
