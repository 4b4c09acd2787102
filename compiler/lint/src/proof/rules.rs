//! DestinationRules that say the same host in one namespace: what of them clients do not have (semantics D6 to D8).

use malha_mesh::{DestinationRule, Labels, Mesh, ProxySpec, Visibility, labels, names::fully_qualified};
use malha_model::{
    Resource, Spec,
    istio::{self, destination_rule::TrafficPolicy},
};
use malha_syntax::Location;
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Something of a DestinationRule that another keeps from being used.
#[derive(Clone, Debug)]
pub(crate) struct RuleLoss {
    pub(crate) host: SmolStr,
    /// The rule that loses.
    pub(crate) loser: Arc<Resource>,
    /// The rule that clients have instead.
    pub(crate) winner: Arc<Resource>,
    /// A namespace whose clients have it so.
    pub(crate) seen_from: SmolStr,
    /// Where the loss is written, and its path.
    pub(crate) location: Location,
    pub(crate) field: String,
    /// Where the winner says what counts.
    pub(crate) place: Location,
    pub(crate) what: LostPart,
}

/// What is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LostPart {
    /// A subset of this name: both rules define it, and otherwise.
    Subset(SmolStr),
    /// These blocks of its policy: the policy of the first rule that has one is taken whole.
    Policy(Vec<String>),
    /// All of it: rules whose `exportTo` differ do not merge for these clients.
    Whole,
}

/// A rule as one of several for a host.
struct Rule<'a> {
    resource: &'a Arc<Resource>,
    spec: &'a istio::DestinationRule,
    selector: Option<Labels>,
    visibility: Visibility,
}

/// What is lost among the DestinationRules of a mesh.
pub(super) fn prove(mesh: &Mesh) -> Vec<RuleLoss> {
    let mut by_host: BTreeMap<(&str, SmolStr), Vec<Rule<'_>>> = BTreeMap::new();
    for resource in mesh.resources() {
        let Spec::DestinationRule(spec) = &resource.spec else { continue };
        let Some(host) = &spec.host else { continue };
        let host = fully_qualified(host, &resource.namespace, &mesh.config().cluster_domain);
        let selector = spec.workload_selector.as_ref().map(|selector| labels(&selector.match_labels));
        let entries = spec.export_to.iter().map(|entry| entry.value.as_str());
        let default = &mesh.config().default_destination_rule_export_to;
        // A rule with a selector is private to its namespace, whatever it says (semantics D6).
        let visibility = match &selector {
            Some(_) => Visibility::Namespaces(vec![resource.namespace.clone()]),
            None => Visibility::new(entries, &resource.namespace, default),
        };
        let rule = Rule { resource, spec, selector, visibility };
        by_host.entry((&resource.namespace, host)).or_default().push(rule);
    }
    let mut losses = Vec::new();
    for ((namespace, host), rules) in by_host.iter().filter(|(_, rules)| rules.len() > 1) {
        of_host(mesh, namespace, host, rules, &mut losses);
    }
    losses
}

fn of_host(mesh: &Mesh, namespace: &str, host: &SmolStr, rules: &[Rule<'_>], losses: &mut Vec<RuleLoss>) {
    let mut told: BTreeSet<(Location, String)> = BTreeSet::new();
    for viewer in viewers(mesh, namespace, rules) {
        let Some(used) = mesh.destination_rule_of_host(&viewer, host, namespace) else { continue };
        // A rule of the client's own namespace is meant to stand in place of others.
        if used.namespace != namespace || used.host != *host {
            continue;
        }
        for rule in rules {
            if rule.selector != used.selector || !rule.visibility.includes(&viewer.namespace) {
                continue;
            }
            for loss in lost(rule, used, host, &viewer.namespace) {
                if told.insert((loss.location, loss.field.clone())) {
                    losses.push(loss);
                }
            }
        }
    }
}

/// Clients that tell how rules of `namespace` are seen: of the namespace itself, of those that they are exported to, and of
/// one other; and those that selectors choose.
fn viewers(mesh: &Mesh, namespace: &str, rules: &[Rule<'_>]) -> Vec<ProxySpec> {
    let mut names = BTreeSet::from([SmolStr::new(namespace)]);
    for rule in rules {
        if let Visibility::Namespaces(exported) = &rule.visibility {
            names.extend(exported.iter().cloned());
        }
    }
    let other =
        [SmolStr::new_static("default"), mesh.config().root_namespace.clone(), SmolStr::new_static("elsewhere")];
    names.extend(other.into_iter().find(|name| !names.contains(name)));
    let sidecar = |namespace, labels| ProxySpec { namespace, labels, ..ProxySpec::default_sidecar() };
    let chosen: BTreeSet<&Labels> = rules.iter().filter_map(|rule| rule.selector.as_ref()).collect();
    let chosen = chosen.into_iter().map(|labels| sidecar(SmolStr::new(namespace), labels.clone()));
    names.into_iter().map(|name| sidecar(name, Labels::new())).chain(chosen).collect()
}

/// What of `rule` clients of `seen_from` do not have, who have `used`.
fn lost(rule: &Rule<'_>, used: &DestinationRule, host: &SmolStr, seen_from: &SmolStr) -> Vec<RuleLoss> {
    let resource = rule.resource;
    let loss = |winner: &Arc<Resource>, location, field: String, place, what| RuleLoss {
        host: host.clone(),
        loser: Arc::clone(resource),
        winner: Arc::clone(winner),
        seen_from: seen_from.clone(),
        location,
        field,
        place,
        what,
    };
    let is_merged = used.rules.iter().any(|other| Arc::ptr_eq(other, resource));
    let mut found = Vec::new();
    let mut is_any_missing = false;
    for (index, subset) in rule.spec.subsets.iter().enumerate() {
        let Some(name) = &subset.name else { continue };
        let Some(taken) = used.subset(name) else {
            is_any_missing = true;
            continue;
        };
        if taken.value == subset.value {
            continue;
        }
        let holds = |other: &&Arc<Resource>| other.span.start <= taken.span.start && taken.span.end <= other.span.end;
        let Some(winner) = used.rules.iter().find(|other| holds(other) && !Arc::ptr_eq(other, resource)) else {
            continue;
        };
        let place = winner.location(taken.name.as_ref().map_or(taken.span, |name| name.span));
        let what = LostPart::Subset(name.value.clone());
        found.push(loss(winner, resource.location(name.span), format!("spec.subsets[{index}]"), place, what));
    }
    if let Some(policy) = &rule.spec.traffic_policy {
        let blocks = lost_blocks(policy, used.traffic_policy());
        let winner = used.rules.iter().find_map(|other| Some((other, policy_of(other)?)));
        match winner {
            Some((winner, place)) if !blocks.is_empty() && !Arc::ptr_eq(winner, resource) => {
                let what = LostPart::Policy(blocks);
                found.push(loss(winner, resource.location(policy.key), "spec.trafficPolicy".to_owned(), place, what));
            }
            _ => is_any_missing |= !blocks.is_empty(),
        }
    }
    if is_merged {
        return found;
    }
    // What is no part of the merged rule is not there at all, however little it differs.
    if found.is_empty() && !is_any_missing {
        return Vec::new();
    }
    let Some(winner) = used.rules.first() else { return Vec::new() };
    let (span, field) = match (rule.spec.export_to.first(), &rule.spec.host) {
        (Some(entry), _) => (entry.span, "spec.exportTo"),
        (None, Some(host)) => (host.span, "spec.host"),
        (None, None) => return Vec::new(),
    };
    vec![loss(winner, resource.location(span), field.to_owned(), crate::place::named(winner), LostPart::Whole)]
}

/// Where a rule writes a policy, if it has one.
fn policy_of(resource: &Resource) -> Option<Location> {
    let Spec::DestinationRule(rule) = &resource.spec else { return None };
    rule.traffic_policy.as_ref().map(|policy| resource.location(policy.key))
}

/// The blocks of a policy that `used` does not have alike.
fn lost_blocks(policy: &TrafficPolicy, used: Option<&TrafficPolicy>) -> Vec<String> {
    let read = |policy: &TrafficPolicy| match serde_json::to_value(policy) {
        Ok(Value::Object(blocks)) => blocks,
        _ => serde_json::Map::new(),
    };
    let used = used.map(read).unwrap_or_default();
    read(policy).into_iter().filter(|(name, block)| used.get(name) != Some(block)).map(|(name, _)| name).collect()
}
