//! Delegation: rules of one VirtualService that refine a rule of another (semantics B.4).

mod conflict;
mod merge;

use crate::{config::MeshConfig, names::ObjectName, virtual_service::VirtualService, visibility::Visibility};
use hashbrown::HashMap;
use malha_model::{
    Resource, Spanned, Spec,
    istio::virtual_service::{Delegate, HttpRoute},
};
use malha_syntax::Location;
use merge::RuleOf;
use std::sync::Arc;

/// What became of a rule that delegates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// Index of the root's rule.
    pub rule: u32,
    /// Its `delegate` field.
    pub location: Location,
    /// The VirtualService that it names.
    pub target: ObjectName,
    /// What became of it.
    pub outcome: DelegationOutcome,
}

/// What became of a rule that delegates. All but `Merged` drop that root rule and no other (semantics B14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DelegationOutcome {
    /// The delegate's rules stand in its place, but for these.
    Merged(Vec<DroppedRule>),
    /// There is no such VirtualService.
    Missing,
    /// It is there, but not exported to the root's namespace.
    Invisible(Location),
    /// It has hosts, so it is no delegate.
    HasHosts(Location),
}

/// A rule of a delegate that takes no part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedRule {
    /// Its index in the delegate's `spec.http`.
    pub rule: u32,
    /// Where it is.
    pub location: Location,
    /// Why.
    pub reason: DropReason,
}

/// Why a rule of a delegate takes no part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It delegates itself (semantics B15). The names are those on the way back to it, where it comes back.
    Nested {
        /// The VirtualService that it names.
        target: ObjectName,
        /// The way from the delegate back to itself; empty where there is none.
        cycle: Vec<ObjectName>,
    },
    /// An item of its `match` agrees with no item of the root's (semantics B17).
    Conflict {
        /// The item.
        item: u32,
        /// Where it is.
        location: Location,
        /// The field that disagrees with the root's last item, as `uri`.
        field: &'static str,
        /// The root's item.
        root: Location,
    },
}

/// The rule of a delegate.
#[derive(Clone, Debug)]
pub struct DelegateRule {
    /// The delegate.
    pub name: ObjectName,
    /// Index of the rule in its `spec.http`.
    pub index: u32,
    /// Where it is.
    pub location: Location,
    /// The delegate's object.
    pub resource: Arc<Resource>,
}

/// A rule of a root with a delegate's rule merged in.
#[derive(Clone, Debug)]
pub(crate) struct MergedRule {
    /// Index of the root's rule.
    pub(crate) root: u32,
    /// The delegate's rule.
    pub(crate) delegate: DelegateRule,
    /// Both in one; hosts and gateways are whole names.
    pub(crate) route: Box<HttpRoute>,
    /// Where the items of its `match` come from.
    pub(crate) matches: Vec<MergedMatch>,
}

/// Where an item of a merged `match` comes from, as index and place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergedMatch {
    pub(crate) root: Option<(u32, Location)>,
    pub(crate) delegate: Option<(u32, Location)>,
}

/// A VirtualService that may be delegated to.
struct Target {
    resource: Arc<Resource>,
    visibility: Visibility,
}

/// Merges delegates into the rules that delegate to them.
pub(crate) fn merge_all(virtual_services: &mut [VirtualService], config: &MeshConfig) {
    let delegates = |service: &VirtualService| rules(&service.resource).iter().any(|rule| rule.delegate.is_some());
    if !virtual_services.iter().any(delegates) {
        return;
    }
    let target = |service: &VirtualService| Target {
        resource: Arc::clone(&service.resource),
        visibility: service.visibility.clone(),
    };
    let targets: HashMap<ObjectName, Target> =
        virtual_services.iter().map(|service| (service.name.clone(), target(service))).collect();
    for service in virtual_services.iter_mut().filter(|service| !service.hosts.is_empty()) {
        let root = Arc::clone(&service.resource);
        for (index, rule) in rules(&root).iter().enumerate() {
            let Some(delegate) = rule.delegate.as_deref() else { continue };
            let name = target_name(delegate, &root);
            let mut merged = Vec::new();
            let outcome = match targets.get(&name) {
                None => DelegationOutcome::Missing,
                Some(target) => {
                    let location = target.resource.location(target.resource.span);
                    if !has_no_hosts(&target.resource) {
                        DelegationOutcome::HasHosts(location)
                    } else if !target.visibility.includes(&root.namespace) {
                        DelegationOutcome::Invisible(location)
                    } else {
                        let place = (index as u32, RuleOf { resource: &root, route: rule });
                        DelegationOutcome::Merged(merge_one(place, &name, &targets, config, &mut merged))
                    }
                }
            };
            service.merged.append(&mut merged);
            service.delegations.push(Delegation {
                rule: index as u32,
                location: root.location(delegate.span),
                target: name,
                outcome,
            });
        }
    }
}

/// Puts the rules of the delegate `name` in the place of one rule of its root; gives those that cannot stand there.
fn merge_one(
    (index, root): (u32, RuleOf<'_>),
    name: &ObjectName,
    targets: &HashMap<ObjectName, Target>,
    config: &MeshConfig,
    merged: &mut Vec<MergedRule>,
) -> Vec<DroppedRule> {
    let Some(target) = targets.get(name) else { return Vec::new() };
    let mut dropped = Vec::new();
    for (at, rule) in rules(&target.resource).iter().enumerate() {
        let location = target.resource.location(rule.span);
        let result = match rule.delegate.as_deref() {
            Some(nested) => {
                let nested = target_name(nested, &target.resource);
                Err(DropReason::Nested { cycle: cycle(name, &nested, targets), target: nested })
            }
            None => merge::merge(root, RuleOf { resource: &target.resource, route: rule }, &config.cluster_domain),
        };
        match result {
            Err(reason) => dropped.push(DroppedRule { rule: at as u32, location, reason }),
            Ok((route, matches)) => merged.push(MergedRule {
                root: index,
                delegate: DelegateRule {
                    name: name.clone(),
                    index: at as u32,
                    location,
                    resource: Arc::clone(&target.resource),
                },
                route: Box::new(route),
                matches,
            }),
        }
    }
    dropped
}

/// The way from `from` over `next` back to `from`; empty where delegation does not come back.
fn cycle(from: &ObjectName, next: &ObjectName, targets: &HashMap<ObjectName, Target>) -> Vec<ObjectName> {
    let mut seen: HashMap<ObjectName, ObjectName> = HashMap::new();
    let mut open = vec![(next.clone(), from.clone())];
    while let Some((name, came_from)) = open.pop() {
        if seen.contains_key(&name) {
            continue;
        }
        seen.insert(name.clone(), came_from);
        if name == *from {
            break;
        }
        let Some(target) = targets.get(&name) else { continue };
        let further = rules(&target.resource).iter().filter_map(|rule| rule.delegate.as_deref());
        open.extend(further.map(|delegate| (target_name(delegate, &target.resource), name.clone())));
    }
    let mut way = Vec::new();
    let mut at = seen.get(from);
    while let Some(name) = at {
        way.push(name.clone());
        if name == from {
            break;
        }
        at = seen.get(name);
    }
    way.reverse();
    way
}

fn rules(resource: &Resource) -> &[Spanned<HttpRoute>] {
    match &resource.spec {
        Spec::VirtualService(spec) => &spec.http,
        _ => &[],
    }
}

fn has_no_hosts(resource: &Resource) -> bool {
    matches!(&resource.spec, Spec::VirtualService(spec) if spec.hosts.is_empty())
}

/// The VirtualService that `delegate` names; in the root's namespace unless it says another (semantics B14).
fn target_name(delegate: &Delegate, root: &Resource) -> ObjectName {
    let namespace = delegate.namespace.as_ref().map(|name| &name.value).filter(|name| !name.is_empty());
    let name = delegate.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
    ObjectName::new(namespace.unwrap_or(&root.namespace).clone(), name)
}
