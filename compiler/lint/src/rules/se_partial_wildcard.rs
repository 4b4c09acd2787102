use crate::rule::{Context, Example, Rule};
use malha_model::{Spec, istio::service_entry::Resolution};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "S020", name: "se-partial-wildcard", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A host of a ServiceEntry has a wildcard for a part of a label, as `*-eu.example.com`.",
    why: "Only `*` in the place of whole labels is a wildcard that server names of TLS are matched with, so that connections \
          to such names are not found to belong to this entry. Istio warns of it.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: regions
spec:
  hosts: [\"*-eu.example.com\"]
  resolution: NONE
  ports:
    - {number: 443, name: tls, protocol: TLS}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: regions
spec:
  hosts: [\"*.eu.example.com\"]
  resolution: NONE
  ports:
    - {number: 443, name: tls, protocol: TLS}
",
    ),
    facts: &["E2"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::ServiceEntry(spec) = &resource.spec else { continue };
        if spec.resolution.as_ref().is_some_and(|resolution| resolution.value == Resolution::DynamicDns) {
            continue;
        }
        for (index, host) in spec.hosts.iter().enumerate() {
            if !host.contains('*') || *host.value == *"*" || host.starts_with("*.") {
                continue;
            }
            let message = format!("`{}` has a wildcard for a part of a label, and TLS knows none but `*.`", host.value);
            let finding = Finding::new(RULE.info, resource.location(host.span), message)
                .help("list the names, or use a wildcard for whole labels")
                .resource(resource.resource_name())
                .field(format!("spec.hosts[{index}]"));
            findings.push(finding);
        }
    }
}
