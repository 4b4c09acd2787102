use crate::{
    rule::{Context, Example, Rule},
    shown::is_given_by_cluster,
    sidecars::sidecars,
};
use malha_mesh::{config::Completeness, labels};
use malha_syntax::{Finding, Group, RuleInfo, Severity};

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H024",
        name: "sidecar-selects-nothing",
        group: Group::Correctness,
        aliases: &["IST0101", "KIA0004"],
    },
    what: "A Sidecar selects no workload of its namespace, of which the files show some.",
    why: "It then holds for nobody, and the workloads that were meant have the Sidecar of their namespace, or none. Pods, what makes Pods, CronJobs included, and WorkloadEntries \
          count. Where the mesh is not declared `closed` the workload may live elsewhere: then this is a warning, and in an open mesh it is silent.",
    bad: Example::yaml(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  selector:
    matchLabels: {app: orders}
  template:
    metadata:
      labels: {app: orders}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: orders
spec:
  workloadSelector:
    labels: {app: order}
  egress:
    - hosts: [\"./*\"]
",
    ),
    good: Example::yaml(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  selector:
    matchLabels: {app: orders}
  template:
    metadata:
      labels: {app: orders}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: orders
spec:
  workloadSelector:
    labels: {app: orders}
  egress:
    - hosts: [\"./*\"]
",
    ),
    facts: &["E29"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let config = context.mesh.config();
    let severity = match config.registry {
        Completeness::Closed => Severity::Error,
        Completeness::Auto => Severity::Warning,
        Completeness::Open => return,
    };
    let workloads = context.known.workloads(context.mesh);
    for (resource, sidecar) in sidecars(context.mesh) {
        let Some(selector) = &sidecar.workload_selector else { continue };
        // Of the root namespace another rule has more to say.
        if resource.namespace == config.root_namespace || !workloads.shows(&resource.namespace) {
            continue;
        }
        let mut wanted = labels(&selector.labels);
        wanted.retain(|name, _| !is_given_by_cluster(name));
        if workloads.matching(&resource.namespace, &wanted).next().is_some() {
            continue;
        }
        let message = format!(
            "no workload of namespace `{}` in these files has the labels that this selects, so it holds for nobody",
            resource.namespace
        );
        findings.push(
            Finding::new(RULE.info, resource.location(selector.span), message)
                .severity(severity)
                .help("select by labels that the workloads' Pods have; those of the Deployment itself do not count")
                .resource(resource.resource_name())
                .field("spec.workloadSelector"),
        );
    }
}
