use crate::{
    place::named,
    rule::{Context, Example, Rule},
    sidecars::{age, sidecars},
};
use hashbrown::HashMap;
use malha_model::Resource;
use malha_syntax::{Finding, Group, RuleInfo};
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H020",
        name: "sidecar-several-defaults",
        group: Group::Correctness,
        aliases: &["IST0111", "KIA0002"],
    },
    what: "A namespace has several Sidecars without a selector, which say different things.",
    why: "Such a Sidecar is for all workloads of the namespace that no other one selects. Istio takes the oldest and does not read the others; they are not merged. Which is \
          older no file says.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
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
  name: more
spec:
  egress:
    - hosts: [\"infra/*\"]
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: default
spec:
  egress:
    - hosts: [\"./*\", \"infra/*\"]
",
    ),
    facts: &["0.1", "E29"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut first_of: HashMap<&str, &Arc<Resource>> = HashMap::new();
    for (resource, _) in sidecars(context.mesh).filter(|(_, sidecar)| sidecar.workload_selector.is_none()) {
        let first = *first_of.entry(&resource.namespace).or_insert(resource);
        if first.spec == resource.spec {
            continue;
        }
        let message = format!(
            "workloads of namespace `{}` have what Sidecar `{}` says, and nothing of this one{}",
            resource.namespace,
            first.name,
            age(first, resource)
        );
        findings.push(
            Finding::new(RULE.info, named(resource), message)
                .help("write one Sidecar for the namespace, or give this one a `workloadSelector`")
                .related(named(first), "the Sidecar that they have")
                .resource(resource.resource_name())
                .field("metadata.name"),
        );
    }
}
