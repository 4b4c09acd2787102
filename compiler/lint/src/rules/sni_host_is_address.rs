use crate::rule::{Context, Example, Rule};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};
use std::net::IpAddr;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H032", name: "sni-host-is-address", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A rule for TLS asks for a server name that is an IP address.",
    why: "Clients send names as server names, never addresses (RFC 6066), so the rule takes no connection of theirs.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ledger
spec:
  hosts: [192.0.2.7]
  tls:
    - match:
        - sniHosts: [192.0.2.7]
      route:
        - destination: {host: ledger.example.com, port: {number: 443}}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ledger
spec:
  hosts: [ledger.example.com]
  tls:
    - match:
        - sniHosts: [ledger.example.com]
      route:
        - destination: {host: ledger.example.com, port: {number: 443}}
",
    ),
    facts: &["A60"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        for (index, rule) in spec.tls.iter().enumerate() {
            for (item, wanted) in rule.matches.iter().enumerate() {
                for (at, host) in wanted.sni_hosts.iter().enumerate() {
                    if host.parse::<IpAddr>().is_err() {
                        continue;
                    }
                    let message = format!("`{}` is an address, which no client sends as server name", host.value);
                    let finding = Finding::new(RULE.info, resource.location(host.span), message)
                        .help("name the host; to match by address, use `tcp` with `destinationSubnets`")
                        .resource(resource.resource_name())
                        .field(format!("spec.tls[{index}].match[{item}].sniHosts[{at}]"));
                    findings.push(finding);
                }
            }
        }
    }
}
