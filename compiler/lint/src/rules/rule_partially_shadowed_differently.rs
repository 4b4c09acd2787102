use crate::{
    proof::{MOST_OTHERS, ServiceProof, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "R003", name: "rule-partially-shadowed-differently", group: Group::Pedantic, aliases: &[] },
    what: "An earlier rule takes a part of a rule's requests and treats them differently, and neither rule is a special case of the other.",
    why: "What is special comes first and what is general after it: so lists of rules are read, and that is never reported. Where two rules cross, as one for \
          a header on all paths and one for a path, only their order says which of them has the requests of both, and a reader has to guess whether that \
          was thought of. A rule that crosses many is told once.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - method: {exact: POST}
      directResponse: {status: 201}
    - match:
        - uri: {prefix: /admin}
      directResponse: {status: 403}
    - directResponse: {status: 200}
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
        - uri: {prefix: /admin}
          method: {exact: POST}
      directResponse: {status: 405}
    - match:
        - uri: {prefix: /admin}
      directResponse: {status: 403}
    - directResponse: {status: 200}
",
    ),
    facts: &["B.3", "B9"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for partial in context.partial() {
        let [earlier, later] = partial.rows.rows.as_slice() else { continue };
        let others = match partial.others {
            0 => String::new(),
            1 => "; so with one more rule".to_owned(),
            MOST_OTHERS => format!("; so with {MOST_OTHERS} more rules, or even more"),
            others => format!("; so with {others} more rules"),
        };
        let message = format!(
            "{} takes a part of the requests of `{}` and treats them differently, though it is no special case of it{others}",
            partial.rows.matches_of(&[0], later).join(""),
            ServiceProof::field(later),
        );
        let finding = Finding::new(RULE.info, later.location, message)
            .help("if the order is meant, write a rule for the requests of both before them, or let the rules exclude each other")
            .related(earlier.location, "takes the requests of both")
            .field(ServiceProof::field(later))
            .resource(partial.rows.resource(later));
        findings.push(proved(finding, partial.proof.as_ref()));
    }
}
