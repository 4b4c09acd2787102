use crate::{
    place::named,
    rule::{Context, Example, Rule},
    sidecars::{age, sidecars},
};
use hashbrown::HashMap;
use malha_mesh::{Labels, ObjectName, labels};
use malha_model::{Kind, Resource, istio::Sidecar};
use malha_syntax::{Finding, Group, RuleInfo};
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H021",
        name: "sidecar-overlap",
        group: Group::Correctness,
        aliases: &["IST0110", "KIA0003"],
    },
    what: "Two Sidecars of a namespace select one workload, and say different things.",
    why: "A workload has one Sidecar: the oldest of those that select it. They are not merged, and which is older no file says. It is told where the files show a workload \
          that both select, and where the selectors are equal.",
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
      labels: {app: orders, tier: backend}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: backend
spec:
  workloadSelector:
    labels: {tier: backend}
  egress:
    - hosts: [\"./*\"]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: orders
spec:
  workloadSelector:
    labels: {app: orders}
  egress:
    - hosts: [\"./*\", \"infra/*\"]
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
      labels: {app: orders, tier: backend}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: default
spec:
  egress:
    - hosts: [\"./*\"]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: orders
spec:
  workloadSelector:
    labels: {app: orders}
  egress:
    - hosts: [\"./*\", \"infra/*\"]
",
    ),
    facts: &["0.1", "E29"],
    check: Some(check),
};

/// A Sidecar, and whether another says the same beside its selector.
type Selecting<'a> = (&'a Arc<Resource>, &'a Sidecar);

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let workloads = context.known.workloads(context.mesh);
    let mut by_workload: HashMap<(Kind, &ObjectName), Selecting<'_>> = HashMap::new();
    let mut by_selector: HashMap<(&str, Labels), Selecting<'_>> = HashMap::new();
    for (resource, sidecar) in sidecars(context.mesh) {
        let Some(selector) = &sidecar.workload_selector else { continue };
        let selector = labels(&selector.labels);
        let mut other: Option<(Selecting<'_>, Option<&ObjectName>)> = None;
        for workload in workloads.matching(&resource.namespace, &selector) {
            let taken = *by_workload.entry((workload.kind, &workload.name)).or_insert((resource, sidecar));
            if other.is_none() && !says_the_same(taken.1, sidecar) {
                other = Some((taken, Some(&workload.name)));
            }
        }
        let equal = *by_selector.entry((&resource.namespace, selector)).or_insert((resource, sidecar));
        if other.is_none() && !says_the_same(equal.1, sidecar) {
            other = Some((equal, None));
        }
        if let Some(((first, _), workload)) = other {
            findings.push(overlapping(first, resource, sidecar, workload));
        }
    }
}

fn overlapping(first: &Resource, resource: &Resource, sidecar: &Sidecar, workload: Option<&ObjectName>) -> Finding {
    let who = match workload {
        Some(workload) => format!("workload `{}`", workload.name),
        None => "every workload that this selects".to_owned(),
    };
    let message =
        format!("{who} has what Sidecar `{}` says, which selects it too, and nothing of this one{}", first.name, age(first, resource));
    let place = sidecar.workload_selector.as_ref().map_or_else(|| named(resource), |selector| resource.location(selector.span));
    Finding::new(RULE.info, place, message)
        .help("let each workload be selected by one Sidecar of its namespace")
        .related(named(first), "the Sidecar that it has")
        .resource(resource.resource_name())
        .field("spec.workloadSelector")
}

/// Whether two Sidecars differ in nothing but what they select.
fn says_the_same(one: &Sidecar, other: &Sidecar) -> bool {
    one.ingress == other.ingress
        && one.egress == other.egress
        && one.inbound_connection_pool == other.inbound_connection_pool
        && one.outbound_traffic_policy == other.outbound_traffic_policy
}
