use crate::rule::{Context, Example, Rule};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D014",
        name: "subset-without-labels",
        group: Group::Suspicious,
        aliases: &["KIA0209"],
    },
    what: "A subset names no labels, and has no policy of its own.",
    why: "It then holds every endpoint of the service, those of other versions too: a route to it is a route to the service. A subset without labels that has \
          a policy of its own is fine; it is a second way to treat the same endpoints.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
",
    ),
    facts: &["D16"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::DestinationRule(rule) = &resource.spec else { continue };
        for (index, subset) in rule.subsets.iter().enumerate() {
            let Some(name) = subset.name.as_ref().filter(|_| subset.labels.is_empty()) else { continue };
            if subset.traffic_policy.is_some() {
                continue;
            }
            let message = format!("subset `{}` names no labels, so it holds every endpoint of the service", name.value);
            findings.push(
                Finding::new(RULE.info, resource.location(name.span), message)
                    .help("add the labels of its workloads, or delete it and send to the service itself")
                    .resource(resource.resource_name())
                    .field(format!("spec.subsets[{index}]")),
            );
        }
    }
}
