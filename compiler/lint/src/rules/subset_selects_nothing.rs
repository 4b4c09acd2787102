use crate::{
    clients::{Client, Clients},
    destinations::{Sent, destinations},
    rule::{Context, Example, Rule},
    shown::{Shown, is_given_by_cluster},
};
use hashbrown::HashSet;
use malha_mesh::{Labels, ProxySpec, Service, config::Completeness, labels, names::fully_qualified, satisfies};
use malha_model::{Resource, Spanned, istio::destination_rule::Subset};
use malha_syntax::{Finding, Group, Location, RuleInfo, Severity, nearest};
use smol_str::SmolStr;
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "D013",
        name: "subset-selects-nothing",
        group: Group::Correctness,
        aliases: &["IST0173", "KIA0203"],
    },
    what: "A route or a mirror sends to a subset whose labels no workload of the service has.",
    why: "The subset exists and is empty: requests get 503 with the flag UH, or NC where the service is resolved by DNS. It is told only where the files show \
          workloads of the service: Pods, what makes Pods (whatever its replicas), WorkloadEntries that the service selects, or endpoints of a ServiceEntry. \
          Labels that the cluster gives, of zones or hashes, are passed over. Where the mesh is not declared `closed` other workloads may live elsewhere, so \
          this is a warning; in an open mesh it is silent.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  selector: {app: orders}
  ports:
    - {name: http, port: 8000}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  selector:
    matchLabels: {app: orders}
  template:
    metadata:
      labels: {app: orders, version: v1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: \"1\"}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, subset: v1}
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  selector: {app: orders}
  ports:
    - {name: http, port: 8000}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  selector:
    matchLabels: {app: orders}
  template:
    metadata:
      labels: {app: orders, version: v1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - route:
        - destination: {host: orders, subset: v1}
",
    ),
    facts: &["D16", "D19", "E12", "E13"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    if context.mesh.config().registry == Completeness::Open {
        return;
    }
    let domain = &context.mesh.config().cluster_domain;
    let clients = Clients::of(context.mesh);
    let mut asked: HashSet<(Client<'_>, SmolStr, SmolStr)> = HashSet::new();
    let mut told: HashSet<Location> = HashSet::new();
    for rules in context.mesh.virtual_services() {
        let mut found = destinations(&rules.resource);
        found.retain(|destination| destination.value.subset.as_ref().is_some_and(|name| !name.is_empty()));
        for destination in found {
            let (Some(written), Some(name)) = (&destination.value.host, &destination.value.subset) else { continue };
            let host = fully_qualified(written, &rules.resource.namespace, domain);
            for client in clients.executing(rules) {
                if !asked.insert((client, host.clone(), name.value.clone())) {
                    continue;
                }
                let client = client.proxy();
                let Some(service) = context.mesh.service(&client, &host) else { continue };
                let Some((resource, subset)) = subset(context, &client, service, name) else { continue };
                let place = resource.location(subset.span);
                if !told.contains(&place)
                    && let Some(finding) = empty(context, service, resource, subset, destination.sent)
                {
                    told.insert(place);
                    let what = format!("`{}` sends to it", destination.field());
                    findings.push(finding.related(rules.resource.location(name.span), what));
                }
            }
        }
    }
}

/// The subset of a service that a client means by `name`, and the object that says it.
fn subset<'a>(
    context: &Context<'a>,
    client: &ProxySpec,
    service: &Service,
    name: &str,
) -> Option<(&'a Arc<Resource>, &'a Spanned<Subset>)> {
    let rule = context.mesh.destination_rule(client, service)?;
    let subset = rule.subset(name)?;
    let is_of = |resource: &&Arc<Resource>| {
        resource.span.start <= subset.span.start && subset.span.end <= resource.span.end
    };
    Some((rule.rules.iter().find(is_of)?, subset))
}

fn empty(context: &Context<'_>, service: &Service, resource: &Resource, subset: &Subset, sent: Sent) -> Option<Finding> {
    let mut wanted = labels(&subset.labels);
    wanted.retain(|name, _| !is_given_by_cluster(name));
    let shown = context.known.workloads(context.mesh).behind(service)?;
    if shown.iter().any(|workload| satisfies(&workload.labels, &wanted)) {
        return None;
    }
    let mut written = subset.labels.iter();
    let (label, value) = written.find(|(name, value)| wanted.contains_key(&name.value) && !is_any(&shown, name, value))
        .or_else(|| subset.labels.iter().next())?;
    let name = subset.name.as_ref().map_or("", |name| name.value.as_str());
    let message = format!(
        "no workload of `{}` in these files has the labels of subset `{name}`, {}, so {}",
        service.hostname,
        pairs(&labels(&subset.labels)),
        sent.fate()
    );
    let closed = context.mesh.config().registry == Completeness::Closed;
    let values = shown.iter().filter_map(|workload| workload.labels.get(&label.value)).map(SmolStr::as_str);
    let values: std::collections::BTreeSet<&str> = values.collect();
    let help = match nearest(value, values.iter().copied()) {
        _ if values.is_empty() => format!("no workload of it has a label `{}`", label.value),
        Some(near) => format!("did you mean `{}: {near}`?", label.value),
        None => {
            let values: Vec<&str> = values.into_iter().take(SHOWN).collect();
            format!("its workloads have `{}` {}", label.value, values.join(", "))
        }
    };
    let index = rule_subsets(resource).iter().position(|own| std::ptr::eq(&raw const own.value, subset))?;
    let finding = Finding::new(RULE.info, resource.location(value.span), message)
        .severity(if closed { Severity::Error } else { Severity::Warning })
        .help(help)
        .resource(resource.resource_name())
        .field(format!("spec.subsets[{index}].labels.{}", label.value));
    Some(finding)
}

/// How many values of a label a finding names.
const SHOWN: usize = 4;

fn rule_subsets(resource: &Resource) -> &[Spanned<Subset>] {
    match &resource.spec {
        malha_model::Spec::DestinationRule(rule) => &rule.subsets,
        _ => &[],
    }
}

fn is_any(shown: &[Shown], name: &str, value: &str) -> bool {
    shown.iter().any(|workload| workload.labels.get(name).is_some_and(|own| own == value))
}

fn pairs(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("`{name}: {value}`")).collect::<Vec<_>>().join(", ")
}
