use crate::{
    proof::{Fate, ServiceProof},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "R004",
        name: "match-empty",
        group: Group::Correctness,
        aliases: &[],
    },
    what: "No request can meet the conditions of a match, whatever stands before it: they contradict each other, the hosts, the ports of the \
           gateways, or what HTTP lets a request say.",
    why: "The match is dead text: what it was written for does not happen.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - match:
        - {uri: {prefix: /a}, headers: {x-user: {exact: \"1\"}}, withoutHeaders: {x-user: {prefix: \"1\"}}}
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
        - {uri: {prefix: /a}, headers: {x-user: {exact: \"1\"}}, withoutHeaders: {x-user: {prefix: \"2\"}}}
      directResponse: {status: 200}
",
    ),
    facts: &["B.3", "B13"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for proof in context.services() {
        for row in &proof.rows {
            // What asks for a query is another rule's to tell.
            let Fate::Empty(why) = &row.fate else { continue };
            if row.asks_for_query {
                continue;
            }
            let message = format!("no request can meet `{}`: there is none with {why}", ServiceProof::field(row));
            findings.push(
                Finding::new(RULE.info, row.location, message)
                    .help("mend the condition, or delete the match")
                    .field(ServiceProof::field(row))
                    .resource(proof.resource(row)),
            );
        }
    }
}
