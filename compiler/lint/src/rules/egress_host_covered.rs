use crate::rule::{Context, Example, Rule};
use malha_model::{Resource, Spanned, Spec, istio::sidecar::IstioEgressListener};
use malha_syntax::{Finding, Group, RuleInfo};
use std::collections::HashMap;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo { code: "O023", name: "egress-host-covered", group: Group::Suspicious, aliases: &["IST0133"] },
    what: "A host of a Sidecar's egress listener is covered by another of the same listener.",
    why: "The wider one imports it already. The narrower one suggests that the list narrows what the workload sees, which it \
          does not.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: checkout
spec:
  egress:
    - hosts: [\"./*\", \"./orders.default.svc.cluster.local\"]
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: checkout
spec:
  egress:
    - hosts: [\"./*\", \"istio-system/*\"]
",
    ),
    facts: &[],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for resource in context.mesh.resources() {
        let Spec::Sidecar(spec) = &resource.spec else { continue };
        for (index, listener) in spec.egress.iter().enumerate() {
            of_listener(resource, index, listener, findings);
        }
    }
}

fn of_listener(resource: &Resource, index: usize, listener: &Spanned<IstioEgressListener>, findings: &mut Vec<Finding>) {
    let namespace = |written: &str| if written == "." { resource.namespace.to_string() } else { written.to_owned() };
    // What a `~` leaves out is covered by nothing.
    let split = |host: &Spanned<smol_str::SmolStr>| {
        let (scope, name) = host.split_once('/')?;
        (!scope.starts_with('~')).then(|| (namespace(scope), name.to_owned()))
    };
    let mut first: HashMap<(String, String), usize> = HashMap::new();
    for (at, host) in listener.hosts.iter().enumerate() {
        if let Some(entry) = split(host) {
            first.entry(entry).or_insert(at);
        }
    }
    for (at, host) in listener.hosts.iter().enumerate() {
        let Some((scope, name)) = split(host) else { continue };
        let any = || "*".to_owned();
        let wider = [(any(), any()), (scope.clone(), any()), (scope, name)];
        let covering = wider.into_iter().filter_map(|entry| first.get(&entry).copied()).find(|&other| other != at);
        let Some(other) = covering.and_then(|other| listener.hosts.get(other)) else { continue };
        let message = format!("`{}` is covered by `{}`, which is in the list too", host.value, other.value);
        let finding = Finding::new(RULE.info, resource.location(host.span), message)
            .help("remove one of the two: this one, if the workload is to see all of the other")
            .related(resource.location(other.span), "covers it")
            .resource(resource.resource_name())
            .field(format!("spec.egress[{index}].hosts[{at}]"));
        findings.push(finding);
    }
}
