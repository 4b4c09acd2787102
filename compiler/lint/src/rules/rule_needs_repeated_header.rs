use crate::{
    proof::{Fate, Oddity, ServiceProof, proved},
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
    what: "A match is reached only by requests that send a header on several lines, or with bytes that are not UTF-8.",
    why: "Envoy matches each line of a header by itself, so a request with two lines can meet conditions that exclude each other for one. Few clients \
          send such requests: to everybody else this match is dead. Likewise a regular expression takes no bytes that are not UTF-8, so that \
          `withoutHeaders` with `.*` leaves only those: it also takes the absent header, for an empty one.",
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
            let Fate::NeedsOddHeader { oddity, blockers, proof: shown } = &row.fate else { continue };
            let others = if blockers.is_empty() { "no other meets its conditions" } else { "all others are taken before" };
            let (sends, help) = match oddity {
                Oddity::SeveralLines => {
                    ("a header on several lines", "say what single values are meant, or move this above what takes them")
                }
                Oddity::NotUtf8 => (
                    "a header that is not UTF-8",
                    "a regex that takes every text takes the absent header for an empty one too: leave the value empty (`{}`) \
                     to ask whether the header is there",
                ),
            };
            let message = format!("only a request that sends {sends} reaches `{}`; {others}", ServiceProof::field(row));
            let finding = Finding::new(RULE.info, row.location, message)
                .help(help)
                .field(ServiceProof::field(row)).resource(proof.resource(row));
            let finding = proof.with_blockers(finding, blockers);
            findings.push(proved(finding, shown.as_ref()));
        }
    }
}
