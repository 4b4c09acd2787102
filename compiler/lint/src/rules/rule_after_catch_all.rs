use crate::{
    proof::{Fate, ServiceProof, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "R006",
        name: "rule-after-catch-all",
        group: Group::Correctness,
        aliases: &["IST0130"],
    },
    what: "A rule stands after one that takes every request.",
    why: "Istio stops making routes at the first rule without conditions: what stands below is not even sent to the proxies.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - directResponse: {status: 200}
    - match:
        - uri: {prefix: /old}
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
        - uri: {prefix: /old}
      directResponse: {status: 404}
    - directResponse: {status: 200}
",
    ),
    facts: &["A25", "A27"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        for row in &proof.rows {
            let Fate::Taken { blockers, proof: shown, .. } = &row.fate else { continue };
            if !proof.is_first_of_dead_rule(row) || !proof.is_after_catch_all(row) {
                continue;
            }
            let rule = ServiceProof::rule_field(row);
            let takers = proof.rules_of(blockers, row).join(" and ");
            let message = format!("`{rule}` stands after {takers}, which takes every request: Istio makes no route of it");
            let finding = Finding::new(RULE.info, row.location, message)
                .help("move the rule that takes everything to the end")
                .field(ServiceProof::field(row)).resource(proof.resource(row));
            let mut finding = proof.with_blockers(finding, blockers);
            finding.fix = proof.without_rule(context, row);
            findings.push(proved(finding, shown.as_ref()));
        }
    }
}
