//! DestinationRules: which rule applies to which service for whom (semantics D.1).

use crate::{
    config::MeshConfig,
    host::HostMap,
    labels::{Labels, labels, satisfies},
    names::{ObjectName, fully_qualified},
    proxy::ProxySpec,
    visibility::Visibility,
};
use hashbrown::HashMap;
use malha_model::{
    Resource, Spanned, Spec,
    istio::destination_rule::{Subset, TrafficPolicy},
};
use smol_str::SmolStr;
use std::sync::Arc;

/// One or several DestinationRules for one host, merged (semantics D7, D8).
#[derive(Clone, Debug)]
pub struct DestinationRule {
    /// The host, fully qualified; may be a wildcard.
    pub host: SmolStr,
    /// The namespace of all of them.
    pub namespace: SmolStr,
    /// The rules, the first first: its name stands for all.
    pub rules: Vec<Arc<Resource>>,
    /// Labels of the client workloads that it is for; none: all (semantics D6).
    pub selector: Option<Labels>,
    /// Who sees the first of them.
    visibility: Visibility,
    /// What the first of them writes under `exportTo`, sorted.
    export_to: Vec<SmolStr>,
    /// The first rule that has a policy of its own, as index into `rules`.
    policy: Option<usize>,
    /// Subsets by name: index into `rules`, and there.
    subsets: Vec<(SmolStr, usize, usize)>,
}

impl DestinationRule {
    /// The name of the first rule.
    pub fn name(&self) -> ObjectName {
        let name = self.rules.first().map(|rule| rule.name.clone()).unwrap_or_default();
        ObjectName::new(self.namespace.clone(), name)
    }

    /// The policy for the whole host.
    pub fn traffic_policy(&self) -> Option<&TrafficPolicy> {
        let rule = self.rules.get(self.policy?)?;
        rule_of(rule)?.traffic_policy.as_deref().map(|policy| &policy.value)
    }

    /// The subset `name`; where several rules define it, that of the first (semantics D7).
    pub fn subset(&self, name: &str) -> Option<&Spanned<Subset>> {
        let (_, rule, index) = self.subsets.iter().find(|(subset, ..)| subset == name)?;
        rule_of(self.rules.get(*rule)?)?.subsets.get(*index)
    }

    /// The names of its subsets, in order.
    pub fn subset_names(&self) -> impl Iterator<Item = &SmolStr> {
        self.subsets.iter().map(|(name, ..)| name)
    }

    fn single(resource: &Arc<Resource>, host: SmolStr, config: &MeshConfig) -> Option<Self> {
        let spec = rule_of(resource)?;
        let namespace = &resource.namespace;
        let selector = spec.workload_selector.as_ref().map(|selector| labels(&selector.match_labels));
        // A rule with a selector is private to its namespace, whatever it says (semantics D6).
        let mut export_to: Vec<SmolStr> = match &selector {
            Some(_) => vec![SmolStr::new_static(".")],
            None => spec.export_to.iter().map(|entry| entry.value.clone()).collect(),
        };
        export_to.sort();
        export_to.dedup();
        let entries = export_to.iter().map(SmolStr::as_str);
        let visibility = Visibility::new(entries, namespace, &config.default_destination_rule_export_to);
        let mut rule = DestinationRule {
            host,
            namespace: namespace.clone(),
            rules: Vec::new(),
            selector,
            visibility,
            export_to,
            policy: None,
            subsets: Vec::new(),
        };
        rule.merge(resource);
        Some(rule)
    }

    /// Adds a later rule: new subsets, and its policy if there is none yet (semantics D7).
    fn merge(&mut self, resource: &Arc<Resource>) {
        let Some(spec) = rule_of(resource) else { return };
        let at = self.rules.len();
        self.rules.push(Arc::clone(resource));
        if self.policy.is_none() && spec.traffic_policy.is_some() {
            self.policy = Some(at);
        }
        for (index, subset) in spec.subsets.iter().enumerate() {
            let Some(name) = &subset.name else { continue };
            if self.subsets.iter().all(|(known, ..)| *known != name.value) {
                self.subsets.push((name.value.clone(), at, index));
            }
        }
    }

    /// Whether `other`, a later rule for the same host, merges into this one (semantics D6 to D8).
    ///
    /// What `exportTo` writes is compared as it is written: `*` is no larger than `.`.
    fn takes(&self, other: &DestinationRule) -> bool {
        let more = !self.export_to.is_empty() && self.export_to.iter().all(|entry| other.export_to.contains(entry));
        self.selector == other.selector && (more || self.export_to == other.export_to)
    }
}

fn rule_of(resource: &Resource) -> Option<&malha_model::istio::DestinationRule> {
    match &resource.spec {
        Spec::DestinationRule(rule) => Some(rule),
        _ => None,
    }
}

/// Rules of one namespace by host.
type ByHost = HostMap<Vec<DestinationRule>>;

/// All DestinationRules, as they are looked up (semantics D1).
#[derive(Clone, Debug, Default)]
pub(crate) struct DestinationRules {
    /// By namespace: what its own clients see.
    local: HashMap<SmolStr, ByHost>,
    /// By namespace: what others may see.
    exported: HashMap<SmolStr, ByHost>,
    /// What the root namespace keeps to itself.
    root_private: ByHost,
}

impl DestinationRules {
    /// Links the rules among `resources`, which are in the order of semantics 0.1.
    pub(crate) fn link(resources: &[Arc<Resource>], config: &MeshConfig) -> Self {
        let mut linked: Vec<DestinationRule> = Vec::new();
        for resource in resources {
            let Some(host) = rule_of(resource).and_then(|spec| spec.host.as_ref()) else { continue };
            let host = fully_qualified(host, &resource.namespace, &config.cluster_domain);
            linked.extend(DestinationRule::single(resource, host, config));
        }
        // Rules with a selector come first (semantics 0.2).
        linked.sort_by_key(|rule| rule.selector.is_none());

        let mut rules = DestinationRules::default();
        for rule in linked {
            let namespace = rule.namespace.clone();
            if rule.export_to.is_empty() || rule.visibility.includes(&namespace) {
                add(rules.local.entry(namespace.clone()).or_default(), rule.clone());
            }
            if !rule.visibility.is_private_to(&namespace) {
                add(rules.exported.entry(namespace).or_default(), rule);
            } else if namespace == config.root_namespace {
                add(&mut rules.root_private, rule);
            }
        }
        rules
    }

    /// The rule for the service `hostname` of `namespace` as `proxy` sees it (semantics D1 to D6).
    pub(crate) fn find(
        &self,
        proxy: &ProxySpec,
        hostname: &str,
        namespace: &str,
        config: &MeshConfig,
    ) -> Option<&DestinationRule> {
        let client = &proxy.namespace;
        let own = if *client == config.root_namespace { Some(&self.root_private) } else { self.local.get(client) };
        if let Some(rules) = own.and_then(|own| own.most_specific(hostname)) {
            return choose(rules.iter(), proxy);
        }
        [namespace, config.root_namespace.as_str()].into_iter().find_map(|owner| {
            let rules = self.exported.get(owner)?.most_specific(hostname)?;
            let mut exported = rules.iter().filter(|rule| rule.visibility.includes(client)).peekable();
            exported.peek()?;
            Some(choose(exported, proxy))
        })?
    }
}

fn add(by_host: &mut ByHost, rule: DestinationRule) {
    let entries = by_host.entry(&rule.host);
    let Some(resource) = rule.rules.first() else { return };
    let mut separate = true;
    for entry in entries.iter_mut() {
        if entry.takes(&rule) {
            entry.merge(resource);
            separate = false;
        }
    }
    if separate {
        entries.push(rule);
    }
}

/// Of rules for one host the first whose selector the proxy satisfies, else the last without one (semantics D6, D8).
fn choose<'a>(rules: impl Iterator<Item = &'a DestinationRule>, proxy: &ProxySpec) -> Option<&'a DestinationRule> {
    let mut for_all = None;
    for rule in rules {
        match &rule.selector {
            None => for_all = Some(rule),
            Some(selector) if rule.namespace == proxy.namespace && satisfies(&proxy.labels, selector) => {
                return Some(rule);
            }
            Some(_) => {}
        }
    }
    for_all
}
