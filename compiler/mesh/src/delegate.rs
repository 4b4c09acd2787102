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
    /// Its `match` and the root's multiply to more items than Malha merges.
    TooMany {
        /// Whether it is all merged rules together that have more than [`MOST_MERGED_MATCHES`], and not this one that
        /// has more than [`MOST_MATCHES_OF_RULE`].
        in_all: bool,
    },
}

/// Most items that the `match` of one merged rule may have: two lists of some length multiply beyond all memory.
pub const MOST_MATCHES_OF_RULE: usize = 4096;

/// Most items that all merged rules may have together.
pub const MOST_MERGED_MATCHES: usize = 262_144;

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
    let mut budget = MOST_MERGED_MATCHES;
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
                        DelegationOutcome::Merged(merge_one(place, &name, &targets, config, &mut budget, &mut merged))
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
    budget: &mut usize,
    merged: &mut Vec<MergedRule>,
) -> Vec<DroppedRule> {
    let Some(target) = targets.get(name) else { return Vec::new() };
    let domain = &config.cluster_domain;
    let mut dropped = Vec::new();
    for (at, rule) in rules(&target.resource).iter().enumerate() {
        let location = target.resource.location(rule.span);
        let result = match rule.delegate.as_deref() {
            Some(nested) => {
                let nested = target_name(nested, &target.resource);
                Err(DropReason::Nested { cycle: cycle(name, &nested, targets), target: nested })
            }
            None => merge::merge(root, RuleOf { resource: &target.resource, route: rule }, domain, *budget),
        };
        match result {
            Err(reason) => dropped.push(DroppedRule { rule: at as u32, location, reason }),
            Ok((route, matches)) => {
                *budget = budget.saturating_sub(matches.len().max(1));
                merged.push(MergedRule {
                    root: index,
                    delegate: DelegateRule {
                        name: name.clone(),
                        index: at as u32,
                        location,
                        resource: Arc::clone(&target.resource),
                    },
                    route: Box::new(route),
                    matches,
                });
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mesh::Mesh,
        testing::{mesh, object, unjudged},
    };

    const TO_A: &str = "route: [{destination: {host: a}}]";

    fn root(http: &str) -> String {
        object("VirtualService prod/root", &format!("spec:\n  hosts: [x.org]\n  http:\n{http}"))
    }

    fn delegate(name: &str, http: &str) -> String {
        object(&format!("VirtualService {name}"), &format!("spec:\n  http:\n{http}"))
    }

    fn of_root(mesh: &Mesh) -> &VirtualService {
        mesh.virtual_service(&ObjectName::new("prod", "root")).expect("it is there")
    }

    /// The rules in force as `INDEX[:DELEGATE.INDEX][ ROOT-ITEM+DELEGATE-ITEM]...`.
    fn rules_of(mesh: &Mesh) -> Vec<String> {
        let index = |place: Option<(u32, Location)>| place.map_or("-".to_owned(), |(index, _)| index.to_string());
        let rules = of_root(mesh).http_rules().map(|rule| {
            let delegate = rule.delegate.map(|delegate| format!(":{}.{}", delegate.name, delegate.index));
            let items = rule.matches().map(|item| format!(" {}+{}", index(item.root), index(item.delegate)));
            format!("{}{}{}", rule.index, delegate.unwrap_or_default(), items.collect::<String>())
        });
        rules.collect()
    }

    fn outcomes(mesh: &Mesh) -> Vec<&DelegationOutcome> {
        of_root(mesh).delegations.iter().map(|delegation| &delegation.outcome).collect()
    }

    #[test]
    fn delegates_stand_in_the_place_of_the_rule_that_delegates() {
        let mesh = mesh(&[
            root(&format!(
                "  - {{match: [{{uri: {{prefix: /d}}}}], delegate: {{name: d}}}}\n  - {{delegate: {{name: e, namespace: test}}}}\n  - {{{TO_A}}}"
            )),
            delegate("prod/d", &format!("  - {{match: [{{uri: {{prefix: /d/1}}}}], {TO_A}}}\n  - {{{TO_A}}}")),
            delegate("test/e", &format!("  - {{match: [{{port: 80}}, {{port: 81}}], {TO_A}}}")),
        ]);
        let expected = ["0:prod/d.0 0+0", "0:prod/d.1 0+-", "1:test/e.0 -+0 -+1", "2"];
        assert_eq!(rules_of(&mesh), expected, "B14, B16, B17");
        assert!(mesh.virtual_services_for(&crate::GatewayRef::Mesh, "prod").len() == 1, "B5: delegates route nothing");
    }

    #[test]
    fn a_delegate_that_cannot_be_merged_drops_that_rule_alone() {
        let hidden = format!("spec: {{exportTo: [.], http: [{{{TO_A}}}]}}");
        let with_hosts = format!("spec: {{hosts: [y.org], http: [{{{TO_A}}}]}}");
        let mesh = mesh(&[
            root(&format!(
                "  - {{delegate: {{name: nosuch}}}}\n  - {{delegate: {{name: hidden, namespace: test}}}}\n  - {{delegate: {{name: hosts}}}}\n  - {{{TO_A}}}"
            )),
            object("VirtualService test/hidden", &hidden),
            object("VirtualService prod/hosts", &with_hosts),
        ]);
        assert_eq!(rules_of(&mesh), ["3"], "B14");
        let [missing, invisible, has_hosts] = outcomes(&mesh)[..] else { panic!("three outcomes") };
        assert_eq!(*missing, DelegationOutcome::Missing, "B14");
        assert!(matches!(invisible, DelegationOutcome::Invisible(_)), "B14");
        assert!(matches!(has_hosts, DelegationOutcome::HasHosts(_)), "B14");
    }

    #[test]
    fn an_item_without_a_partner_drops_the_whole_rule_of_the_delegate() {
        let mesh = mesh(&[
            root("  - {match: [{uri: {prefix: /a}}, {uri: {prefix: /b}}], delegate: {name: d}}"),
            delegate(
                "prod/d",
                &format!(
                    "  - {{match: [{{uri: {{prefix: /a/1}}}}, {{uri: {{prefix: /c}}}}], {TO_A}}}\n  - {{match: [{{method: {{exact: GET}}}}, {{uri: {{exact: /b}}}}], {TO_A}}}"
                ),
            ),
        ]);
        assert_eq!(
            rules_of(&mesh),
            ["0:prod/d.1 0+0 1+0 1+1"],
            "B17: items of the delegate outside, of the root inside"
        );
        let [DelegationOutcome::Merged(dropped)] = outcomes(&mesh)[..] else { panic!("merged") };
        let [DroppedRule { rule: 0, reason: DropReason::Conflict { item: 1, field: "uri", .. }, .. }] = &dropped[..]
        else {
            panic!("B17: {dropped:?}")
        };
    }

    #[test]
    fn what_a_delegate_leaves_open_its_root_fills() {
        let mesh = mesh(&[
            root(
                "  - name: r\n    match: [{name: m, uri: {prefix: /a}, method: {exact: GET}, headers: {h: {exact: r}, k: {prefix: k}}}]\n    \
                 delegate: {name: d, namespace: test}\n    timeout: 7s\n    retries: {attempts: 4}\n    mirror: {host: m}\n    \
                 headers: {request: {set: {x: root}}}",
            ),
            delegate(
                "test/d",
                "  - name: l\n    match: [{name: leaf, uri: {prefix: /a/b}, headers: {h: {exact: r}}}]\n    \
                 route: [{destination: {host: a}}]\n    timeout: 1s\n    headers: {response: {set: {x: leaf}}}",
            ),
        ]);
        let rule = of_root(&mesh).http_rules().next().expect("it is merged");
        let route = rule.route;
        let item = rule.matches().next().expect("it has an item").request;
        let text = |field: &Option<Spanned<smol_str::SmolStr>>| field.as_ref().map(|text| text.value.to_string());
        assert_eq!(text(&route.name).as_deref(), Some("r-l"), "B22");
        assert_eq!(text(&item.name).as_deref(), Some("m-leaf"), "B18");
        assert_eq!(
            item.uri.as_ref().and_then(|uri| uri.text()).map(|text| text.value.as_str()),
            Some("/a/b"),
            "B18, B19"
        );
        assert!(item.method.is_some(), "B18");
        let mut headers: Vec<&str> = item.headers.keys().map(|name| name.value.as_str()).collect();
        headers.sort_unstable();
        assert_eq!(headers, ["h", "k"], "B18");
        assert_eq!(route.timeout.map(|timeout| timeout.value), malha_model::Duration::parse("1s"), "B22");
        assert_eq!(
            route.retries.as_ref().and_then(|retries| retries.attempts).map(|attempts| attempts.value),
            Some(4),
            "B22"
        );
        let headers = route.headers.as_ref().expect("it has header operations");
        assert!(headers.request.is_none() && headers.response.is_some(), "B22: a field is taken whole");
        let hosts: Vec<_> = of_root(&mesh).destinations().filter_map(|to| text(&to.host)).collect();
        assert_eq!(hosts, ["a.test.svc.cluster.local", "m.prod.svc.cluster.local"], "B23");
    }

    #[test]
    fn matches_do_not_multiply_without_bound() {
        let items = |count: usize| vec!["{port: 80}"; count].join(", ");
        let rule = |count| format!("  - {{match: [{}], {TO_A}}}", items(count));
        let mesh = mesh(&[
            root(&format!("  - {{match: [{}], delegate: {{name: d}}}}", items(64))),
            delegate("prod/d", &[rule(65), rule(64)].join("\n")),
        ]);
        assert_eq!(of_root(&mesh).http_rules().map(|rule| rule.matches().count()).collect::<Vec<_>>(), [64 * 64]);
        let [DelegationOutcome::Merged(dropped)] = outcomes(&mesh)[..] else { panic!("merged") };
        let reasons: Vec<_> = dropped.iter().map(|rule| (rule.rule, &rule.reason)).collect();
        assert_eq!(reasons, [(0, &DropReason::TooMany { in_all: false })]);
    }

    #[test]
    fn merged_matches_are_bounded_in_all() {
        let items = vec!["{port: 80}"; 64].join(", ");
        let rule = format!("  - {{match: [{items}], {TO_A}}}");
        let mesh = mesh(&[
            root(&format!("  - {{match: [{items}], delegate: {{name: d}}}}")),
            delegate("prod/d", &vec![rule; MOST_MERGED_MATCHES / MOST_MATCHES_OF_RULE + 1].join("\n")),
        ]);
        assert_eq!(of_root(&mesh).http_rules().count(), MOST_MERGED_MATCHES / MOST_MATCHES_OF_RULE);
        let [DelegationOutcome::Merged(dropped)] = outcomes(&mesh)[..] else { panic!("merged") };
        let reasons: Vec<_> = dropped.iter().map(|rule| &rule.reason).collect();
        assert_eq!(reasons, [&DropReason::TooMany { in_all: true }]);
    }

    #[test]
    fn delegates_do_not_delegate() {
        // The webhook refuses these, but not every cluster had it from the start.
        let mesh = unjudged(&[
            root("  - {delegate: {name: d}}"),
            delegate(
                "prod/d",
                &format!("  - {{delegate: {{name: e}}}}\n  - {{delegate: {{name: nosuch}}}}\n  - {{{TO_A}}}"),
            ),
            delegate("prod/e", "  - {delegate: {name: d}}"),
        ]);
        assert_eq!(rules_of(&mesh), ["0:prod/d.2"], "B15");
        let [DelegationOutcome::Merged(dropped)] = outcomes(&mesh)[..] else { panic!("merged") };
        let cycles: Vec<usize> = dropped
            .iter()
            .map(|rule| match &rule.reason {
                DropReason::Nested { cycle, .. } => cycle.len(),
                _ => panic!("B15: {rule:?}"),
            })
            .collect();
        assert_eq!(cycles, [2, 0], "B15: d and e go in circles");
    }
}
