use crate::{
    proof::{Sort, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H004",
        name: "host-hides-wildcard",
        group: Group::Suspicious,
        aliases: &[],
    },
    what: "A VirtualService for a host leaves requests over that a VirtualService for a wildcard on the same gateway would take.",
    why: "The most specific host has a request, and its rules alone are tried: what meets none of them is answered 404, and does not fall through to the \
          wildcard's rules.",
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
  name: cart
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match:
        - uri: {prefix: /cart}
      directResponse: {status: 200}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: rest
spec:
  hosts: [\"*.example.com\"]
  gateways: [shop]
  http:
    - directResponse: {status: 404}
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
  name: cart
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match:
        - uri: {prefix: /cart}
      directResponse: {status: 200}
    - directResponse: {status: 404}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: rest
spec:
  hosts: [\"*.example.com\"]
  gateways: [shop]
  http:
    - directResponse: {status: 404}
",
    ),
    facts: &["A29", "A35"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for conflict in context.conflicts(Sort::Hidden) {
        let (winner, loser) = (&conflict.winner, &conflict.loser);
        let message = format!(
            "requests to `{}` that meet none of these rules are answered 404: they do not fall through to `{}/{}`",
            conflict.host, loser.namespace, loser.name
        );
        let finding = context
            .finding_at(winner, RULE.info, message)
            .help("repeat the wildcard's rules here, end with a rule without `match`, or share them by a delegate")
            .related(loser.location, "would take the request, if the more specific host were not there");
        findings.push(proved(finding, Some(&conflict.proof)));
    }
}
