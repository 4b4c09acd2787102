use crate::{
    proof::{proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "R005",
        name: "unmatched-requests",
        group: Group::Pedantic,
        aliases: &[],
    },
    what: "Some requests to the hosts of a VirtualService meet none of its rules.",
    why: "They are answered 404 by the proxy: neither a wider host nor the service itself is asked. That may be what is meant.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http:
    - match:
        - uri: {prefix: /a}
      directResponse: {status: 200}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http:
    - match:
        - uri: {prefix: /a}
      directResponse: {status: 200}
    - directResponse: {status: 404}
",
    ),
    facts: &["B40", "A29"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        let Some((words, shown)) = &proof.unmatched else { continue };
        let message = format!("requests to these hosts can meet no rule, and are answered 404: {words}");
        let finding = Finding::new(RULE.info, crate::place::named(&proof.service.resource), message)
            .help("end with a rule without `match`, if something else should answer them")
            .field("spec.http")
            .resource(proof.service.resource.resource_name());
        findings.push(proved(finding, Some(shown)));
    }
}
