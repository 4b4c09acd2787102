use crate::{
    proof::LostPart,
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D003",
        name: "dr-exportto-merge",
        group: Group::Suspicious,
        aliases: &["KIA0201"],
    },
    what: "Two DestinationRules of a namespace are for one host and differ in `exportTo`: clients that see both have only one of them.",
    why: "Rules of one host merge where an older one's `exportTo` is contained, word by word, in that of the other; an absent list contains nothing, not even `*`. \
          Rules that do not merge stay apart, and of those that a client sees the youngest alone is used.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders-own
spec:
  host: orders
  exportTo: [\".\"]
  subsets:
    - {name: v1, labels: {version: v1}}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  exportTo: [\".\"]
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders-own
spec:
  host: orders
  exportTo: [\".\"]
  subsets:
    - {name: v1, labels: {version: v1}}
",
    ),
    facts: &["D7", "D8"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for loss in context.rule_losses().iter().filter(|loss| loss.what == LostPart::Whole) {
        let message = format!(
            "clients in namespace `{}` have what DestinationRule {} says of `{}`, and nothing of this one: their `exportTo` differ, \
             so they do not merge",
            loss.seen_from,
            loss.winner(),
            loss.host
        );
        findings.push(
            Finding::new(RULE.info, loss.location, message)
                .help("give both the same `exportTo`, or write all that such clients need in one DestinationRule")
                .field(loss.field.clone())
                .related(loss.place, "the rule that they have")
                .resource(loss.loser.resource_name()),
        );
    }
}
