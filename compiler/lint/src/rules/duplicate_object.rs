use crate::{
    place::named,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "O003", name: "duplicate-object", group: Group::Correctness, aliases: &[] },
    what: "Two documents define the same object: kind, namespace and name are equal.",
    why: "The cluster holds one object of a name. Whichever document is applied last replaces the other, whole; the other's \
          rules never take effect, and which of them that is depends on the order of applying.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [a.example.com]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [b.example.com]
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
      hosts: [a.example.com, b.example.com]
",
    ),
    facts: &[],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for duplicate in context.mesh.duplicates() {
        let kept = &duplicate.kept;
        for lost in &duplicate.dropped {
            let message = format!(
                "{} {}/{} is defined again later, and of the two only the later takes effect",
                lost.kind, lost.namespace, lost.name
            );
            findings.push(
                Finding::new(RULE.info, named(lost), message)
                    .help("merge the two, or give one another name; if they are two environments, give each directory a malha.toml")
                    .resource(lost.resource_name())
                    .field("metadata.name")
                    .related(named(kept), "defined here again"),
            );
        }
    }
}
