use crate::rule::{Context, Example, Rule};
use malha_model::{Spec, istio::service_entry::Resolution};
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "S021",
        name: "se-selector-without-resolution",
        group: Group::Suspicious,
        aliases: &["IST0133"],
    },
    what: "A ServiceEntry selects workloads, but its resolution is `NONE`.",
    why: "With `NONE`, which holds where no resolution is written, connections go to the address that the client asked for: \
          the workloads that are selected are never chosen.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: ledger
spec:
  hosts: [ledger.example.com]
  location: MESH_INTERNAL
  ports:
    - {number: 8080, name: http, protocol: HTTP}
  workloadSelector:
    labels: {app: ledger}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: ledger
spec:
  hosts: [ledger.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
    - {number: 8080, name: http, protocol: HTTP}
  workloadSelector:
    labels: {app: ledger}
",
    ),
    facts: &["E3"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::ServiceEntry(spec) = &resource.spec else { continue };
        let Some(selector) = &spec.workload_selector else { continue };
        if spec.resolution.as_ref().is_some_and(|resolution| resolution.value != Resolution::None) {
            continue;
        }
        let place = if selector.key.is_empty() { selector.span } else { selector.key };
        let message = "these workloads are never chosen: with resolution `NONE` connections go where the client asked for";
        let mut finding = Finding::new(RULE.info, resource.location(place), message)
            .help("write `resolution: STATIC`")
            .resource(resource.resource_name())
            .field("spec.workloadSelector");
        if let Some(resolution) = &spec.resolution {
            finding = finding.related(resource.location(resolution.span), "the resolution");
        }
        findings.push(finding);
    }
}
