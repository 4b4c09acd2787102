use crate::{
    evidence::missing,
    place::named,
    rule::{Context, Example, Rule},
};
use malha_mesh::{DelegationOutcome, DropReason, ObjectName};
use malha_model::Kind;
use malha_syntax::{Finding, Group, RuleInfo, Severity};
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "D009", name: "delegate-unused", group: Group::Suspicious, aliases: &[] },
    what: "A rule delegates to a VirtualService that cannot be its delegate (an error), or a VirtualService without hosts is \
           nobody's delegate (a warning).",
    why: "The rule that delegates is dropped in silence, and requests fall to later rules or get 404. A VirtualService \
          without hosts routes nothing of itself.",
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
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match:
        - uri: {prefix: /orders}
      delegate: {name: ordrs}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
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
      hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match:
        - uri: {prefix: /orders}
      delegate: {name: orders}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  http:
    - directResponse: {status: 200}
",
    ),
    facts: &["B5", "B14"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut wanted: BTreeSet<&ObjectName> = BTreeSet::new();
    for root in context.mesh.virtual_services() {
        for delegation in &root.delegations {
            wanted.insert(&delegation.target);
            let target = &delegation.target;
            let mut severity = Severity::Error;
            let (message, help, place) = match &delegation.outcome {
                DelegationOutcome::Merged(dropped) => {
                    // What a delegate delegates to is wanted, if in vain: another rule says so.
                    wanted.extend(dropped.iter().filter_map(|rule| match &rule.reason {
                        DropReason::Nested { target, .. } => Some(target),
                        _ => None,
                    }));
                    continue;
                }
                DelegationOutcome::Missing => {
                    let known = context.known.delegates(context.mesh);
                    let close = known.near(&target.to_string());
                    let Some(weight) = missing(context, Kind::VirtualService, target, close.is_some()) else {
                        continue;
                    };
                    severity = weight;
                    let help = match close {
                        Some(close) => format!("did you mean `{close}`?"),
                        None => "name a VirtualService that has no hosts".to_owned(),
                    };
                    (format!("there is no VirtualService `{target}` in these files"), help, None)
                }
                DelegationOutcome::Invisible(place) => (
                    format!("`{target}` is not exported to namespace `{}`", root.name.namespace),
                    "export it (`exportTo`), or move it to this namespace".to_owned(),
                    Some(*place),
                ),
                DelegationOutcome::HasHosts(place) => (
                    format!("`{target}` has hosts of its own, so it is no delegate"),
                    "remove its hosts and gateways".to_owned(),
                    Some(*place),
                ),
            };
            let mut finding =
                Finding::new(RULE.info, delegation.location, format!("{message}, so this rule is dropped"))
                    .severity(severity)
                    .help(help)
                    .resource(root.resource.resource_name())
                    .field(format!("spec.http[{}].delegate", delegation.rule));
            if let Some(place) = place {
                finding = finding.related(place, "the VirtualService that is named");
            }
            findings.push(finding);
        }
    }
    for service in context.mesh.virtual_services() {
        if service.hosts.is_empty() && !wanted.contains(&service.name) {
            let message = format!("`{}` has no hosts and no rule delegates to it, so it routes nothing", service.name);
            findings.push(
                Finding::new(RULE.info, named(&service.resource), message)
                    .help("give it hosts, or delegate to it from a rule")
                    .resource(service.resource.resource_name())
                    .field("spec.hosts"),
            );
        }
    }
}
