use crate::{
    proof::{Sort, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H003",
        name: "merge-two-catch-alls",
        group: Group::Correctness,
        aliases: &["KIA1106"],
    },
    what: "Two VirtualServices share a host of a gateway, and each has a rule that takes every request.",
    why: "Istio sorts such rules to the end and the first of them takes all that is left; the other never does. Which is first depends on which object is older.",
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
    - directResponse: {status: 200}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com]
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
    - directResponse: {status: 200}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
    - match:
        - uri: {prefix: /orders}
      directResponse: {status: 404}
",
    ),
    facts: &["A25", "A26"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for conflict in context.conflicts(Sort::CatchAlls) {
        let (winner, loser) = (&conflict.winner, &conflict.loser);
        let message = format!(
            "on `{}`, VirtualService `{}/{}` has a rule for all requests too: only that of the older object is used",
            conflict.host, winner.namespace, winner.name
        );
        let finding = context
            .finding_at(loser, RULE.info, message)
            .help("keep one of them")
            .related(winner.location, "takes all requests that are left, if its VirtualService is the older one");
        findings.push(proved(finding, Some(&conflict.proof)));
    }
}
