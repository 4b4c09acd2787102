use crate::{
    proof::{LostPart, RuleLoss},
    rule::{Context, Example, Rule},
};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D002",
        name: "dr-host-conflict",
        group: Group::Correctness,
        aliases: &["KIA0201"],
    },
    what: "Several DestinationRules of a namespace are for one host, and something of one of them is lost as they merge.",
    why: "Istio takes the subsets of all of them, but of two that have one name the older object's alone; and of the policies that of the older object whole, so that \
          no block of another is used, its `portLevelSettings` included. Which object is older no file says. Rules that add up, or that say the same, are no finding.",
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
  name: orders-limits
spec:
  host: orders
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 100}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    connectionPool:
      tcp: {maxConnections: 100}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders-versions
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
",
    ),
    facts: &["0.1", "D6", "D7"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for loss in context.rule_losses() {
        let (winner, age) = (loss.winner(), loss.age());
        let (message, other) = match &loss.what {
            LostPart::Subset(name) => (
                format!("DestinationRule {winner} has subset `{name}` of `{}` otherwise, and clients have that one{age}", loss.host),
                "the subset that they have",
            ),
            LostPart::Policy(blocks) => {
                let blocks: Vec<String> = blocks.iter().map(|block| format!("`{block}`")).collect();
                let message = format!(
                    "clients of `{}` have the policy of DestinationRule {winner}, and nothing of this one: {} not used{age}",
                    loss.host,
                    if blocks.len() == 1 { format!("its {} is", blocks.join(", ")) } else { format!("its {} are", blocks.join(", ")) }
                );
                (message, "the policy that they have")
            }
            LostPart::Whole => continue,
        };
        findings.push(
            Finding::new(RULE.info, loss.location, message)
                .help("write all that holds for the host in one DestinationRule")
                .field(loss.field.clone())
                .related(loss.place, other)
                .resource(loss.loser.resource_name()),
        );
    }
}

impl RuleLoss {
    /// The object that wins, for messages.
    pub(super) fn winner(&self) -> String {
        format!("`{}/{}`", self.winner.namespace, self.winner.name)
    }

    /// That nobody knows which of the two is older, where it is so.
    fn age(&self) -> &'static str {
        let is_dated = |resource: &malha_model::Resource| resource.metadata.creation_timestamp.is_some();
        if is_dated(&self.winner) && is_dated(&self.loser) {
            ""
        } else {
            " (the older one counts, and no file says which that is)"
        }
    }
}
