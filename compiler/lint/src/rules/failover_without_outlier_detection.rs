use crate::{
    policies::policies,
    rule::{Context, Example, Rule},
};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D020",
        name: "failover-without-outlier-detection",
        group: Group::Suspicious,
        aliases: &["IST0133"],
    },
    what: "A policy says where requests go when endpoints near by fail, and has no `outlierDetection`.",
    why: "Without it nobody tells which endpoints fail, and Istio then gives localities no priorities: all endpoints share \
          the requests, far ones too.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  trafficPolicy:
    loadBalancer:
      localityLbSetting:
        failover: [{from: eu-west, to: eu-north}]
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
    loadBalancer:
      localityLbSetting:
        failover: [{from: eu-west, to: eu-north}]
    outlierDetection: {consecutive5xxErrors: 5}
",
    ),
    facts: &["D29"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let default = context.mesh.config().default_traffic_policy.as_ref();
    if default.is_some_and(|policy| policy.get("outlierDetection").is_some()) {
        return;
    }
    for resource in context.mesh.resources() {
        let Spec::DestinationRule(spec) = &resource.spec else { continue };
        // A subset takes what it does not say itself from the host's policy (semantics D11).
        let of_host = spec.traffic_policy.as_ref().is_some_and(|policy| policy.outlier_detection.is_some());
        for policy in policies(spec) {
            let is_of_port = policy.path.contains(".portLevelSettings[");
            if policy.outlier_detection.is_some() || (of_host && !is_of_port) {
                continue;
            }
            let Some(setting) = policy.load_balancer.and_then(|balancer| balancer.locality_lb_setting.as_ref()) else {
                continue;
            };
            if setting.enabled.as_ref().is_some_and(|enabled| !enabled.value) {
                continue;
            }
            let failover = setting.failover.first().map(|item| ("failover", item.span));
            let priority = setting.failover_priority.first().map(|item| ("failoverPriority", item.span));
            let Some((name, span)) = failover.or(priority) else { continue };
            let message =
                format!("`{name}` has no effect: without `outlierDetection` endpoints of all localities share the requests");
            let finding = Finding::new(RULE.info, resource.location(span), message)
                .help("add `outlierDetection` beside `loadBalancer`; an empty one has Envoy's defaults")
                .resource(resource.resource_name())
                .field(format!("{}.loadBalancer.localityLbSetting.{name}", policy.path));
            findings.push(finding);
        }
    }
}
