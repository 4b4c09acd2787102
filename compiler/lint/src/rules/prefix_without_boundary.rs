use crate::{
    proof::proved,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "P001", name: "prefix-without-boundary", group: Group::Suspicious, aliases: &[] },
    what: "A prefix that ends within a segment, as `/cart`, takes paths that belong to another rule, as `/cartoons/`.",
    why: "A prefix is one of bytes, not of segments: `/cart` takes `/cart-old` and `/cartoons` as well as `/cart/1`. The \
          finding names a path at or below that of another rule which this one takes instead.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {exact: /cartoons}
      directResponse: {status: 200}
    - match:
        - uri: {prefix: /cart}
      directResponse: {status: 404}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {exact: /cartoons}
      directResponse: {status: 200}
    - match:
        - uri: {exact: /cart}
        - uri: {prefix: /cart/}
      directResponse: {status: 404}
",
    ),
    facts: &["B.3"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for boundary in context.boundaries() {
        let prefix = &boundary.prefix;
        let message = format!(
            "the prefix `{prefix}` takes `{}` too, though another rule is for {}: prefixes know no segments",
            boundary.path, boundary.other
        );
        let finding = Finding::new(RULE.info, boundary.place.location, message)
            .help(format!("match `exact: {prefix}` and `prefix: {prefix}/` instead"))
            .related(boundary.other_location, "the other rule")
            .field(boundary.place.field)
            .resource(boundary.place.resource);
        findings.push(proved(finding, boundary.proof.as_ref()));
    }
}
