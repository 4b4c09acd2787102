use crate::{
    proof::{Fate, ServiceProof, proved},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "R007",
        name: "rule-needs-repeated-header",
        group: Group::Suspicious,
        aliases: &[],
    },
    what: "A match is reached only by requests that send a header on several lines.",
    why: "Envoy matches each line of a header by itself, so a request with two lines can meet conditions that exclude each other for one. Few clients \
          send such requests: to everybody else this match is dead.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - withoutHeaders: {x-version: {exact: \"1\"}}
      directResponse: {status: 200}
    - match:
        - headers: {x-version: {exact: \"2\"}}
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
        - headers: {x-version: {exact: \"2\"}}
      directResponse: {status: 404}
    - match:
        - withoutHeaders: {x-version: {exact: \"1\"}}
      directResponse: {status: 200}
",
    ),
    facts: &["B.3"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        for row in &proof.rows {
            let Fate::NeedsRepeatedHeader { blockers, proof: shown } = &row.fate else { continue };
            let message = format!(
                "only a request that sends a header on several lines reaches `{}`; all others are taken before",
                ServiceProof::field(row)
            );
            let finding = Finding::new(RULE.info, row.location, message)
                .help("say what single values are meant, or move this above what takes them")
                .field(ServiceProof::field(row)).resource(proof.resource(row));
            let finding = proof.with_blockers(finding, blockers);
            findings.push(proved(finding, shown.as_ref()));
        }
    }
}
