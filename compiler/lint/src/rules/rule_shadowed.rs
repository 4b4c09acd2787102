use crate::{
    proof::{Fate, ServiceProof, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo, Severity};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "R001",
        name: "rule-shadowed",
        group: Group::Correctness,
        aliases: &["IST0130"],
    },
    what: "No request reaches a rule: earlier rules of the VirtualService, one of them or several together, take everything that it asks for.",
    why: "The first rule that matches takes a request, whatever stands below. What this rule says never happens. The finding names the smallest \
          set of rules that are in the way, and a request that shows it.",
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
        - uri: {prefix: /b}
      directResponse: {status: 200}
    - match:
        - uri: {regex: \"/[ab]/old\"}
      directResponse: {status: 404}
    - directResponse: {status: 503}
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
        - uri: {regex: \"/[ab]/old\"}
      directResponse: {status: 404}
    - match:
        - uri: {prefix: /a}
        - uri: {prefix: /b}
      directResponse: {status: 200}
    - directResponse: {status: 503}
",
    ),
    facts: &["B.3", "B9"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        for row in &proof.rows {
            let Fate::Taken { blockers, proof: shown, same } = &row.fate else { continue };
            if !proof.is_first_of_dead_rule(row) || proof.is_after_catch_all(row) {
                continue;
            }
            let rule = ServiceProof::rule_field(row);
            let takers: Vec<String> = proof.rules_of(blockers, row);
            let (verb, them) = if takers.len() > 1 { ("take", "together ") } else { ("takes", "") };
            let message = format!("no request reaches `{rule}`: {} {them}{verb} all that it asks for", takers.join(" and "));
            let help = if *same {
                "they do the same, so this rule can be deleted"
            } else {
                "rules are tried in the order of the file: move this one above them, or delete it"
            };
            let mut finding = Finding::new(RULE.info, row.location, message).help(help).field(ServiceProof::field(row)).resource(proof.resource(row));
            if *same {
                finding = finding.severity(Severity::Warning);
            }
            let mut finding = proof.with_blockers(finding, blockers);
            finding.fix = proof.without_rule(context, row);
            findings.push(proved(finding, shown.as_ref()));
        }
    }
}
