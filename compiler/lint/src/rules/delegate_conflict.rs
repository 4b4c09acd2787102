use crate::rule::{Context, Example, Rule};
use malha_mesh::{DelegationOutcome, DropReason, MOST_MATCHES_OF_RULE, MOST_MERGED_MATCHES};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "D008", name: "delegate-conflict", group: Group::Correctness, aliases: &[] },
    what: "A rule of a delegate does not refine the rule that delegates to it, or delegates itself.",
    why: "Istio merges the two matches. Where an item of the delegate's `match` agrees with no item of the root's, the \
          whole rule of the delegate is dropped in silence. A uri of the delegate must begin with that of the root; a regex \
          agrees with nothing; delegates do not nest.",
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
      delegate: {name: orders}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  http:
    - match:
        - uri: {prefix: /returns}
      directResponse: {status: 200}
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
    - match:
        - uri: {prefix: /orders/returns}
      directResponse: {status: 200}
",
    ),
    facts: &["B15", "B17", "B19", "B20", "B21"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for root in context.mesh.virtual_services() {
        for delegation in &root.delegations {
            let DelegationOutcome::Merged(dropped) = &delegation.outcome else { continue };
            let Some(delegate) = context.mesh.virtual_service(&delegation.target) else { continue };
            for lost in dropped {
                let finding = match &lost.reason {
                    DropReason::Nested { target, cycle } => {
                        let mut message = format!(
                            "a delegate cannot delegate, so this rule, which delegates to `{target}`, is dropped"
                        );
                        if !cycle.is_empty() {
                            let way: Vec<String> = cycle.iter().map(ToString::to_string).collect();
                            message = format!("{message}; the way comes back to itself: {}", way.join(" -> "));
                        }
                        Finding::new(RULE.info, lost.location, message)
                            .help(format!("delegate to `{target}` from `{}` itself", root.name))
                            .field(format!("spec.http[{}].delegate", lost.rule))
                    }
                    DropReason::Conflict { item, location, field, root: other } => {
                        let message = format!(
                            "this match does not refine the rule of `{}` that delegates to it (`{field}` disagrees), so the \
                             whole rule is dropped",
                            root.name
                        );
                        Finding::new(RULE.info, *location, message)
                            .help(format!("make `{field}` narrower than the root's, or leave it out"))
                            .field(format!("spec.http[{}].match[{item}]", lost.rule))
                            .related(*other, "the root's match")
                    }
                    DropReason::TooMany { in_all } => {
                        let bound = if *in_all {
                            format!(
                                "the merged rules of the mesh would have more than {MOST_MERGED_MATCHES} matches in all"
                            )
                        } else {
                            format!("merged, this rule would have more than {MOST_MATCHES_OF_RULE} matches")
                        };
                        let message = format!(
                            "each match of this rule is merged with each of the rule of `{}` that delegates to it; {bound}, \
                             so Malha leaves the rule out",
                            root.name
                        );
                        Finding::new(RULE.info, lost.location, message)
                            .help("list fewer matches here or in the root's rule")
                            .field(format!("spec.http[{}].match", lost.rule))
                    }
                };
                findings.push(
                    finding
                        .resource(delegate.resource.resource_name())
                        .related(delegation.location, "delegated from here"),
                );
            }
        }
    }
}
