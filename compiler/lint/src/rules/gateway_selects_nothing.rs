use crate::rule::{Context, Example, Rule};
use hashbrown::HashMap;
use malha_mesh::{
    Gateway,
    config::Completeness,
    registry::{Workload, WorkloadKind},
};
use malha_model::Spec;
use malha_syntax::{Finding, Group, RuleInfo, Severity, nearest};
use smol_str::SmolStr;
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "H030",
        name: "gateway-selects-nothing",
        group: Group::Suspicious,
        aliases: &["IST0101", "KIA0302"],
    },
    what: "No workload has the labels that a Gateway selects.",
    why: "Then no proxy takes its configuration, and nobody listens. Gateways' workloads are often installed from elsewhere, so \
          this is told only where one in the files almost has the labels; and where the registry is `closed`. Deployments and \
          the like count by the labels of their Pods.",
    bad: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingresgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ingressgateway
spec:
  selector:
    matchLabels: {istio: ingressgateway}
  template:
    metadata:
      labels: {istio: ingressgateway}
    spec:
      containers:
        - {name: istio-proxy, image: auto}
",
    ),
    good: Example::yaml(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: shop
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ingressgateway
spec:
  selector:
    matchLabels: {istio: ingressgateway}
  template:
    metadata:
      labels: {istio: ingressgateway}
    spec:
      containers:
        - {name: istio-proxy, image: auto}
",
    ),
    facts: &["A1"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let workloads = Labelled::of(context);
    // Of each selector once: many Gateways share one.
    let mut known: BTreeMap<Vec<(&SmolStr, &SmolStr)>, Option<Miss<'_>>> = BTreeMap::new();
    for gateway in context.mesh.gateways().iter().filter(|gateway| !gateway.selector.is_empty()) {
        let selector: Vec<_> = gateway.selector.iter().collect();
        let miss = known.entry(selector).or_insert_with(|| workloads.miss(context, gateway));
        let Some(miss) = miss else { continue };
        findings.extend(told(context, gateway, miss));
    }
}

/// A selector that selects nothing: the label that is in the way, and the workload that has the others.
#[derive(Clone, Copy)]
struct Miss<'a> {
    near: Option<(&'a Workload, &'a SmolStr, Option<&'a SmolStr>)>,
}

fn told(context: &Context<'_>, gateway: &Gateway, miss: &Miss<'_>) -> Option<Finding> {
    let severity = match context.mesh.config().registry {
        Completeness::Closed => Severity::Error,
        Completeness::Auto | Completeness::Open => miss.near.map(|_| Severity::Warning)?,
    };
    let Spec::Gateway(spec) = &gateway.resource.spec else { return None };
    let wrong = miss.near.and_then(|(_, name, _)| spec.selector.iter().find(|(key, _)| key.value == *name));
    let (_, first) = wrong.or_else(|| spec.selector.iter().next())?;
    let message = "no workload in the files has the labels of this selector, so no proxy takes this Gateway";
    let mut finding = Finding::new(RULE.info, gateway.resource.location(first.span), message)
        .severity(severity)
        .resource(gateway.resource.resource_name())
        .field("spec.selector");
    finding = match miss.near {
        Some((_, name, Some(value))) => finding.help(format!("did you mean `{name}: {value}`?")),
        Some((_, name, None)) => finding.help(format!("remove `{name}`, or give the workload this label")),
        None => finding.help("select labels of the gateway's Pods, or add the gateway as `[[mesh.gateways]]`"),
    };
    Some(match miss.near {
        Some((workload, ..)) => finding.related(crate::place::named(&workload.resource), "has almost these labels"),
        None => finding,
    })
}

/// The workloads that may be gateways, by their labels.
struct Labelled<'a> {
    by_label: HashMap<(&'a str, &'a str), Vec<&'a Workload>>,
    values: HashMap<&'a str, BTreeMap<&'a str, &'a Workload>>,
}

impl<'a> Labelled<'a> {
    fn of(context: &Context<'a>) -> Labelled<'a> {
        let mut found = Labelled { by_label: HashMap::new(), values: HashMap::new() };
        let workloads = context.mesh.registry().workloads().iter();
        for workload in workloads.filter(|workload| workload.kind != WorkloadKind::WorkloadEntry) {
            for (name, value) in &workload.labels {
                found.by_label.entry((name, value)).or_default().push(workload);
                found.values.entry(name).or_default().entry(value).or_insert(workload);
            }
        }
        found
    }

    /// None if something is selected.
    fn miss<'m>(&'m self, context: &Context<'_>, gateway: &'m Gateway) -> Option<Miss<'m>> {
        let configured = &context.mesh.config().gateways;
        if configured.iter().any(|configured| gateway.selects(&configured.labels)) {
            return None;
        }
        let of_label = |(name, value): (&'m SmolStr, &'m SmolStr)| {
            self.by_label.get(&(name.as_str(), value.as_str())).map(Vec::as_slice).unwrap_or_default()
        };
        let mut candidates: Vec<&[&Workload]> = gateway.selector.iter().map(of_label).collect();
        candidates.sort_by_key(|candidates| candidates.len());
        let rarest = candidates.first().copied().unwrap_or_default();
        if rarest.iter().any(|workload| gateway.selects(&workload.labels)) {
            return None;
        }
        Some(Miss { near: self.near(gateway, &candidates) })
    }

    fn near<'m>(
        &'m self,
        gateway: &'m Gateway,
        candidates: &[&'m [&'m Workload]],
    ) -> Option<(&'m Workload, &'m SmolStr, Option<&'m SmolStr>)> {
        if let (1, Some((name, value))) = (gateway.selector.len(), gateway.selector.iter().next()) {
            let values = self.values.get(name.as_str())?;
            let near = nearest(value, values.keys().copied())?;
            let workload = *values.get(near)?;
            return Some((workload, name, workload.labels.get(name)));
        }
        // One that has all labels but one: it has the rarest, or the next.
        let wanted = candidates.iter().filter(|workloads| !workloads.is_empty()).take(2).flat_map(|workloads| workloads.iter());
        wanted.copied().find_map(|workload| {
            let mut lacking = gateway.selector.iter().filter(|(name, value)| workload.labels.get(*name) != Some(*value));
            let (name, _) = lacking.next()?;
            lacking.next().is_none().then(|| (workload, name, workload.labels.get(name)))
        })
    }
}
