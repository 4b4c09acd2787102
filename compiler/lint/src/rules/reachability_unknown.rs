use crate::{
    proof::{Fate, ServiceProof},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo, Severity};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "R008",
        name: "reachability-unknown",
        group: Group::Suspicious,
        aliases: &[],
    },
    what: "Whether a match is reached was not decided: the proof would take more time or memory than allowed.",
    why: "It happens with regular expressions whose automata are very large, or with many rules of many conditions each. Nothing is claimed of the match.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {regex: \".*a.{200}\"}
      directResponse: {status: 200}
    - match:
        - uri: {regex: \".*b.{200}\"}
      directResponse: {status: 201}
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
        - uri: {regex: \".*a\"}
      directResponse: {status: 200}
    - match:
        - uri: {regex: \".*b\"}
      directResponse: {status: 201}
",
    ),
    facts: &["B.3"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        for row in proof.rows.iter().filter(|row| matches!(row.fate, Fate::Unknown)) {
            let message = format!("whether requests reach `{}` is not decided: it would take too long", ServiceProof::field(row));
            findings.push(
                Finding::new(RULE.info, row.location, message)
                    .severity(Severity::Info)
                    .help("a simpler regular expression, or fewer conditions, can be decided")
                    .field(ServiceProof::field(row))
                    .resource(proof.resource(row)),
            );
        }
    }
    for (host, origin) in context.merges().undecided.values() {
        let message = format!("whether other VirtualServices of `{host}` are in the way of this rule is not decided: it would take too long");
        findings.push(
            context
                .finding_at(origin, RULE.info, message)
                .severity(Severity::Info)
                .help("fewer rules on one host, or simpler ones, can be compared"),
        );
    }
}
