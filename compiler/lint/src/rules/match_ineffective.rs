use crate::{
    proof::{Fate, ServiceProof, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "R002",
        name: "match-ineffective",
        group: Group::Suspicious,
        aliases: &["IST0131"],
    },
    what: "A match of a rule is never needed: earlier matches take every request that it asks for, while other matches of the rule are live.",
    why: "It does nothing. Mostly it is a leftover, or was meant to say something narrower than what stands before it.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - uri: {prefix: /a}
        - uri: {prefix: /a/b}
      directResponse: {status: 200}
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
        - uri: {prefix: /a}
        - uri: {prefix: /b}
      directResponse: {status: 200}
",
    ),
    facts: &["B.3", "B9"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        for row in &proof.rows {
            let Fate::Taken { blockers, proof: shown, .. } = &row.fate else { continue };
            if proof.is_dead_rule(row) {
                continue;
            }
            let takers = proof.matches_of(blockers, row);
            let take = if takers.len() > 1 { "take" } else { "takes" };
            let message =
                format!("`{}` is never needed: {} already {take} what it asks for", ServiceProof::field(row), takers.join(" and "));
            let finding = Finding::new(RULE.info, row.location, message)
                .help("delete this match, or move it above what takes its requests")
                .field(ServiceProof::field(row)).resource(proof.resource(row));
            let mut finding = proof.with_blockers(finding, blockers);
            finding.fix = proof.without_match(context, row);
            findings.push(proved(finding, shown.as_ref()));
        }
    }
}
