use crate::{
    proof::{MOST_OTHERS, Sort, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H002",
        name: "merge-order-dependent",
        group: Group::Correctness,
        aliases: &["KIA1106"],
    },
    what: "Two VirtualServices share a host of a gateway, and treat some request differently: which of them has it depends on which object is older.",
    why: "Istio merges them in the order of their creation, which no file holds. Recreating an object, or applying the files to a new cluster, can flip the \
          order. Many people believe that the last one applied wins; the oldest does.",
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
        - uri: {prefix: /api}
      directResponse: {status: 200}
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
        - uri: {prefix: /api/orders}
      directResponse: {status: 404}
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
        - uri: {prefix: /api/cart}
      directResponse: {status: 200}
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
        - uri: {prefix: /api/orders}
      directResponse: {status: 404}
",
    ),
    facts: &["0.1", "A22", "A25"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for conflict in context.conflicts(Sort::Order) {
        let (winner, loser) = (&conflict.winner, &conflict.loser);
        let others = match conflict.others {
            0 => String::new(),
            MOST_OTHERS => format!("; {MOST_OTHERS} more VirtualServices, or even more, are in its way likewise"),
            others => format!("; {others} more VirtualServices are in its way likewise"),
        };
        let message = format!(
            "on `{}`, VirtualService `{}/{}` also asks for requests of this rule and treats them differently: whichever \
             object is older has them{others}",
            conflict.host, winner.namespace, winner.name
        );
        let finding = context
            .finding_at(loser, RULE.info, message)
            .help("write both rules in one VirtualService, in the order that is meant, or let them ask for different requests")
            .related(winner.location, "has the request if its VirtualService is the older one");
        findings.push(proved(finding, Some(&conflict.proof)));
    }
}
