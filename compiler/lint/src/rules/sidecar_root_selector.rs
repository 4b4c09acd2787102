use crate::{
    rule::{Context, Example, Rule},
    sidecars::sidecars,
};
use malha_mesh::labels;
use malha_syntax::{Finding, Group, RuleInfo};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "H023", name: "sidecar-root-selector", group: Group::Suspicious, aliases: &["KIA1006"] },
    what: "A Sidecar of the root namespace has a selector, and no workload of that namespace in the files is selected.",
    why: "In the root namespace a Sidecar without a selector holds for every namespace that has none of its own. With a selector it is for workloads of the root namespace \
          alone, and not for those of the mesh that have the labels.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: default
  namespace: istio-system
spec:
  workloadSelector:
    labels: {tier: backend}
  egress:
    - hosts: [\"./*\"]
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: default
  namespace: istio-system
spec:
  egress:
    - hosts: [\"./*\"]
",
    ),
    facts: &["E29"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let root = &context.mesh.config().root_namespace;
    for (resource, sidecar) in sidecars(context.mesh).filter(|(resource, _)| resource.namespace == *root) {
        let Some(selector) = &sidecar.workload_selector else { continue };
        let wanted = labels(&selector.labels);
        if context.known.workloads(context.mesh).matching(root, &wanted).next().is_some() {
            continue;
        }
        let message = format!("with a selector this is for workloads of `{root}` alone, not for those of all namespaces");
        findings.push(
            Finding::new(RULE.info, resource.location(selector.span), message)
                .help("delete the selector, or move the Sidecar to the namespace of the workloads")
                .resource(resource.resource_name())
                .field("spec.workloadSelector"),
        );
    }
}
