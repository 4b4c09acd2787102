use crate::rule::{Context, Example, Rule};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo, Span};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "O021", name: "empty-selector", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A `workloadSelector` of a DestinationRule, ServiceEntry or Sidecar names no label.",
    why: "It is there and selects nothing in particular: labels that were meant are missing. What Istio does with it differs \
          between the kinds, and between it and no selector at all.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  workloadSelector:
    matchLabels: {}
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  workloadSelector:
    matchLabels: {app: checkout}
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
",
    ),
    facts: &["D6"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let (selector, labels): (Option<(Span, Span)>, &str) = match &resource.spec {
            Spec::DestinationRule(spec) => {
                let empty = spec.workload_selector.as_ref().filter(|selector| selector.match_labels.is_empty());
                (empty.map(|selector| (selector.key, selector.span)), "matchLabels")
            }
            Spec::ServiceEntry(spec) => {
                let empty = spec.workload_selector.as_ref().filter(|selector| selector.labels.is_empty());
                (empty.map(|selector| (selector.key, selector.span)), "labels")
            }
            Spec::Sidecar(spec) => {
                let empty = spec.workload_selector.as_ref().filter(|selector| selector.labels.is_empty());
                (empty.map(|selector| (selector.key, selector.span)), "labels")
            }
            _ => continue,
        };
        let Some((key, span)) = selector else { continue };
        let place = if key.is_empty() { span } else { key };
        let finding = Finding::new(RULE.info, resource.location(place), "this selector names no label, so it does not select")
            .help(format!("name labels of the workloads under `{labels}`, or leave the selector out"))
            .resource(resource.resource_name())
            .field("spec.workloadSelector");
        findings.push(finding);
    }
}
