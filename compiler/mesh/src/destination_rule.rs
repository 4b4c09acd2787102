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

    /// Whether it is for some workloads alone (semantics D6).
    pub(crate) fn has_workload_selector(&self) -> bool {
        self.selector.is_some()
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

#[cfg(test)]
mod tests {
    use crate::{
        mesh::Mesh,
        proxy::ProxySpec,
        testing::{mesh, object, sidecar},
    };

    /// A rule as `NAMESPACE/NAME HOST EXPORT_TO SUBSET...`.
    fn rule(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, host, export_to, subsets @ ..] = words.as_slice() else { panic!("{line}") };
        let subsets: Vec<String> = subsets.iter().map(|name| format!("{{name: {name}, labels: {{v: x}}}}")).collect();
        let export_to = match *export_to {
            "-" => String::new(),
            names => format!("\n  exportTo: ['{}']", names.replace(',', "', '")),
        };
        let spec = format!("spec:\n  host: '{host}'{export_to}\n  subsets: [{}]", subsets.join(", "));
        object(&format!("DestinationRule {name}"), &spec)
    }

    fn linked(lines: &[&str]) -> Mesh {
        let service = object("Service prod/a", "spec: {ports: [{name: http, port: 80}]}");
        mesh(&lines.iter().map(|line| rule(line)).chain([service]).collect::<Vec<_>>())
    }

    /// The rule for the service, with its subsets, as `NAMESPACE/NAME SUBSET...`.
    fn found(mesh: &Mesh, proxy: &ProxySpec) -> String {
        let Some(service) = mesh.registry().service_in("a.prod.svc.cluster.local", "prod") else {
            panic!("no service")
        };
        let Some(rule) = mesh.destination_rule(proxy, service) else { return "none".to_owned() };
        let subsets = rule.subset_names().map(|name| format!(" {name}"));
        subsets.fold(rule.name().to_string(), |all, name| all + &name)
    }

    #[test]
    fn the_first_step_with_a_hit_ends_the_search() {
        const FQDN: &str = "a.prod.svc.cluster.local";
        let own = "test/own *.local - o";
        let of_service = "prod/of-service a - s";
        let root = &format!("istio-system/root {FQDN} - r");
        let fourth = &format!("else/fourth {FQDN} - f");
        let cases: &[(&str, &[&str], &str, &str)] = &[
            ("D1, D3: a wildcard of the client's namespace", &[own, of_service, root, fourth], "test", "test/own o"),
            ("D1: the service's namespace", &[own, of_service, root, fourth], "third", "prod/of-service s"),
            ("D1: the root namespace", &[own, root, fourth], "third", "istio-system/root r"),
            ("D2: never a fourth", &[fourth], "third", "none"),
            (
                "D1: the root's own proxies look at the service first",
                &[of_service, root],
                "istio-system",
                "prod/of-service s",
            ),
            ("D5: not expanded twice", &["prod/a a.prod - s"], "prod", "none"),
        ];
        for (fact, rules, namespace, expected) in cases {
            assert_eq!(found(&linked(rules), &sidecar(namespace)), *expected, "{fact}");
        }
        let private = format!("istio-system/private {FQDN} . p");
        assert_eq!(found(&linked(&[of_service, &private]), &sidecar("istio-system")), "istio-system/private p", "D1");
    }

    #[test]
    fn the_most_specific_host_is_chosen_before_export_to_is_looked_at() {
        let rules = ["prod/exact a other e", "prod/wild *.prod.svc.cluster.local - w"];
        assert_eq!(found(&linked(&rules), &sidecar("test")), "none", "D4");
        assert_eq!(found(&linked(&rules), &sidecar("other")), "prod/exact e", "D4");
        assert_eq!(found(&linked(&rules), &sidecar("prod")), "prod/wild w", "D4: nor is it for its own namespace");
    }

    #[test]
    fn rules_for_one_host_merge_and_the_first_of_a_name_wins() {
        let rules = ["prod/aa a - v1", "prod/bb a.prod.svc.cluster.local - v1 v2", "prod/cc a - v3"];
        let mesh = linked(&rules);
        assert_eq!(found(&mesh, &sidecar("prod")), "prod/aa v1 v2 v3", "D7");
        assert_eq!(found(&mesh, &sidecar("test")), "prod/aa v1 v2 v3", "D7");
    }

    #[test]
    fn the_first_policy_wins_whole() {
        let policy = |name: &str, policy: &str| {
            let spec = format!("spec: {{host: a, trafficPolicy: {policy}}}");
            object(&format!("DestinationRule prod/{name}"), &spec)
        };
        let mesh = mesh(&[
            rule("prod/aa a - v1"),
            policy("bb", "{loadBalancer: {simple: RANDOM}}"),
            policy("cc", "{connectionPool: {tcp: {maxConnections: 5}}}"),
            object("Service prod/a", "spec: {ports: [{name: http, port: 80}]}"),
        ]);
        let service = mesh.registry().service_in("a.prod.svc.cluster.local", "prod").expect("it is there");
        let rule = mesh.destination_rule(&sidecar("prod"), service).expect("it has a rule");
        let policy = rule.traffic_policy().expect("it has a policy");
        assert!(policy.load_balancer.is_some() && policy.connection_pool.is_none(), "D7");
    }

    #[test]
    fn rules_with_other_export_to_stay_apart_and_the_last_visible_is_used() {
        let mesh = linked(&["prod/aa a . s1", "prod/bb a .,test s2", "prod/cc a * s3"]);
        for namespace in ["prod", "test", "third"] {
            assert_eq!(found(&mesh, &sidecar(namespace)), "prod/cc s3", "D8: {namespace}");
        }
        let mesh = linked(&["prod/aa a . s1", "prod/bb a .,test s2"]);
        assert_eq!(found(&mesh, &sidecar("prod")), "prod/aa s1 s2", "D8: the larger merges into the smaller");
        assert_eq!(found(&mesh, &sidecar("test")), "prod/bb s2", "D8");
        assert_eq!(found(&linked(&["prod/aa a - s1", "prod/dd a . s3"]), &sidecar("prod")), "prod/dd s3", "D8");
    }

    #[test]
    fn a_selector_holds_in_its_own_namespace_alone() {
        let selecting = object(
            "DestinationRule prod/zz",
            "spec: {host: a, workloadSelector: {matchLabels: {app: c}}, subsets: [{name: s, labels: {v: x}}]}",
        );
        let mesh = mesh(&[
            rule("prod/plain a - p"),
            selecting,
            object("Service prod/a", "spec: {ports: [{name: http, port: 80}]}"),
        ]);
        let with_label = |namespace| ProxySpec { labels: [("app".into(), "c".into())].into(), ..sidecar(namespace) };
        assert_eq!(found(&mesh, &with_label("prod")), "prod/zz s", "D6: preferred, and not merged");
        assert_eq!(found(&mesh, &sidecar("prod")), "prod/plain p", "D6");
        assert_eq!(found(&mesh, &with_label("test")), "prod/plain p", "D6: not in other namespaces");
    }
}
