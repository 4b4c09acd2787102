//! What a route does, as texts that are equal exactly if it is the same.

use super::{Class, Detail, Side};
use crate::program::{
    Action, ActionKind, Cluster, Destination, Discovery, Endpoint, Forward, HashKey, LoadBalancer, PathRewrite, Policy,
    Retries, Route, UpstreamProtocol,
};
use malha_algebra::PathTest;
use malha_algebra::language::Test;
use malha_algebra::re2::Pattern;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// What a route does, with what the proxy knows of where it leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Effect {
    /// Where requests go and how they arrive.
    pub(super) target: String,
    /// Everything that the rule says, but `rewrite`.
    pub(super) whole: String,
    /// The pattern by which paths are rewritten, and what by: it matters to paths alone that have it in them.
    rewrite: Option<(String, SmolStr)>,
    /// What a rewrite or redirect replaces of the path, if it depends on what the rule matched.
    replaced: Option<Replaced>,
    /// What no decision shows, by what it is: where clusters lead.
    pub(super) reached: BTreeMap<String, String>,
    /// How they are spoken to, and what of the rule is about that.
    pub(super) policies: BTreeMap<String, String>,
}

/// What of the path is replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Replaced {
    /// All of it.
    Whole,
    /// This prefix, in lower case: two that begin one path are of the same length if they are equal so.
    Prefix(SmolStr),
}

impl Replaced {
    /// Where the route's action asks for it.
    fn by(route: &Route) -> Option<Replaced> {
        let depends = match &route.action.kind {
            ActionKind::Forward(forward) => matches!(forward.path_rewrite, Some(PathRewrite::Matched(_))),
            ActionKind::Redirect(redirect) => redirect.prefix.is_some(),
            _ => false,
        };
        depends.then(|| match &route.predicate.path {
            PathTest::Any => Replaced::Prefix(SmolStr::new_static("/")),
            PathTest::Prefix { value, .. } => Replaced::Prefix(value.to_ascii_lowercase().into()),
            PathTest::Exact { .. } | PathTest::Regex(_) => Replaced::Whole,
        })
    }
}

impl Effect {
    /// What each of some routes does.
    pub(super) fn of_routes(side: Side<'_>, routes: &[Route]) -> Vec<Arc<Effect>> {
        let mut effects: Vec<Arc<Effect>> = Vec::with_capacity(routes.len());
        for (at, route) in routes.iter().enumerate() {
            // The matches of a rule share their action.
            let replaced = Replaced::by(route);
            let before = at.checked_sub(1).filter(|&before| Arc::ptr_eq(&routes[before].action, &route.action));
            let effect = match before.map(|before| &effects[before]) {
                Some(before) if before.replaced == replaced => Arc::clone(before),
                Some(before) => Arc::new(Effect { replaced, ..Effect::clone(before) }),
                None => Arc::new(Effect { replaced, ..Effect::of_action(side, &route.action) }),
            };
            effects.push(effect);
        }
        effects
    }

    fn of_action(side: Side<'_>, action: &Action) -> Effect {
        let mut effect = Effect::default();
        effect.target = match &action.kind {
            ActionKind::Forward(forward) => {
                let mut forward = Forward::clone(forward);
                if let Some(PathRewrite::Regex { pattern, substitution }) = &forward.path_rewrite {
                    effect.rewrite = Some((pattern.as_str().to_owned(), substitution.clone()));
                    forward.path_rewrite = None;
                }
                effect.whole = format!("{forward:?}");
                effect.policies.insert("consistent hash".to_owned(), hash(&forward.hash));
                effect.policies.insert("tries after the first".to_owned(), tries(forward.retries.as_deref()));
                let to: Vec<String> = forward.destinations.iter().map(|to| effect.destination(side, to)).collect();
                for mirror in &forward.mirrors {
                    let copy = effect.destination(side, &mirror.destination);
                    // A copy is no part of where the request goes.
                    effect.whole.push_str(&copy);
                }
                format!("{to:?} {:?} {:?}", forward.path_rewrite, forward.authority)
            }
            other => format!("{other:?}"),
        };
        // Writing to a string cannot fail.
        let _ = write!(effect.whole, "{:?} {:?}", action.request_headers, action.response_headers);
        effect
    }

    /// Where the two differ in nothing but what they make of paths: the paths of which they make different ones, each
    /// test with whether these pass it.
    pub(super) fn only_paths(old: Option<&Effect>, new: Option<&Effect>) -> Option<Vec<(Test, bool)>> {
        let (old, new) = (old?, new?);
        let rest = |effect: &Effect| Effect { rewrite: None, replaced: None, ..effect.clone() };
        if rest(old) != rest(new) {
            return None;
        }
        if old.rewrite != new.rewrite {
            let patterns = [old, new].into_iter().filter_map(|effect| effect.rewrite.as_ref());
            let in_it = patterns.map(|(pattern, _)| Pattern::parse(&format!("(?s:.*)(?:{pattern})(?s:.*)")));
            return in_it.map(|pattern| Some((Test::Regex(pattern.ok()?), true))).collect();
        }
        match (&old.replaced, &new.replaced) {
            // Of the prefix alone nothing is left.
            (Some(Replaced::Whole), Some(Replaced::Prefix(prefix)))
            | (Some(Replaced::Prefix(prefix)), Some(Replaced::Whole)) => {
                Some(vec![(Test::Exact { value: prefix.clone(), ignore_case: true }, false)])
            }
            _ => None,
        }
    }

    /// All of it, as a text.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}\n{:?} {:?}", self.target, self.whole, self.rewrite, self.replaced)
    }

    /// Where a destination leads; what its cluster is, is noted.
    pub(super) fn destination(&mut self, side: Side<'_>, to: &Destination) -> String {
        let clusters = side.proxy.map_or(&[][..], |proxy| &proxy.program.clusters);
        let cluster = to.cluster.as_ref().and_then(|name| clusters.iter().find(|cluster| cluster.name == *name));
        if let Some(cluster) = cluster {
            self.reached.insert(format!("endpoints of {}", cluster.name), endpoints(cluster));
            self.policies.insert(format!("policy of {}", cluster.name), policy(cluster));
        }
        format!("{}:{} {:?} {:?} {}", to.host, to.port, to.subset, to.authority, cluster.is_some())
    }

    /// What of it says where requests arrive, besides `target`.
    fn rest(&self) -> impl PartialEq + use<'_> {
        (&self.rewrite, &self.replaced, &self.reached)
    }

    /// How the treatment changes from one to the other; none stands for nothing that takes the requests.
    pub(super) fn class(old: Option<&Effect>, new: Option<&Effect>) -> Class {
        match (old, new) {
            (None, _) => Class::Added,
            (_, None) => Class::Removed,
            (Some(old), Some(new)) if old.target == new.target && old.rest() == new.rest() => Class::Policy,
            _ => Class::Rerouted,
        }
    }

    /// What a decision does not show of the difference.
    pub(super) fn details(old: Option<&Effect>, new: Option<&Effect>) -> Vec<Detail> {
        let (Some(old), Some(new)) = (old, new) else { return Vec::new() };
        let differing = |old: &BTreeMap<String, String>, new: &BTreeMap<String, String>| -> Vec<Detail> {
            let both = old.iter().filter_map(|(what, before)| Some((what, before, new.get(what)?)));
            let differing = both.filter(|(_, before, after)| before != after);
            differing
                .map(|(what, before, after)| Detail {
                    what: what.clone(),
                    before: before.clone(),
                    after: after.clone(),
                })
                .collect()
        };
        let mut details = differing(&old.reached, &new.reached);
        details.extend(differing(&old.policies, &new.policies));
        details
    }
}

/// What a consistent hash reads.
fn hash(keys: &[HashKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

/// When and where it is tried again.
fn tries(retries: Option<&Retries>) -> String {
    let Some(retries) = retries else { return "none".to_owned() };
    let mut text = match retries.backoff {
        Some(time) => format!("after {time:?}"),
        None => "after the usual time".to_owned(),
    };
    if retries.avoid_previous_hosts {
        text.push_str(", at other hosts");
    }
    if retries.remote_localities {
        text.push_str(", in other localities");
    }
    text
}

/// Where a cluster leads.
fn endpoints(cluster: &Cluster) -> String {
    let mut endpoints: Vec<String> = cluster.endpoints.iter().map(endpoint).collect();
    endpoints.sort_unstable();
    if endpoints.is_empty() { "none".to_owned() } else { endpoints.join(", ") }
}

fn endpoint(endpoint: &Endpoint) -> String {
    let mut text = match (&endpoint.address, &endpoint.workload) {
        (Some(address), _) => address.to_string(),
        (None, Some((namespace, name))) => format!("{namespace}/{name}"),
        (None, None) => "unknown".to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = write!(text, ":{}", endpoint.port);
    if endpoint.weight != 1 {
        let _ = write!(text, " weight {}", endpoint.weight);
    }
    if let Some(locality) = &endpoint.locality {
        let _ = write!(text, " in {locality}");
    }
    if endpoint.priority > 0 {
        let _ = write!(text, " priority {}", endpoint.priority);
    }
    if let Some(weight) = endpoint.locality_weight {
        let _ = write!(text, " locality weight {weight}");
    }
    text
}

/// How the endpoints of a cluster are found and spoken to.
fn policy(cluster: &Cluster) -> String {
    let Policy { load_balancer, connect_timeout, limits, source } = &cluster.policy;
    let mut text = source.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    // What the text of the policy does not say by itself: defaults of the mesh, and what other objects make of it.
    if *load_balancer != LoadBalancer::default() {
        let _ = write!(text, ", {load_balancer:?}");
    }
    if let Some(timeout) = connect_timeout {
        let _ = write!(text, ", connect timeout {timeout:?}");
    }
    for (name, value) in limits {
        let _ = write!(text, ", {name} {value}");
    }
    if cluster.discovery != Discovery::default() {
        let _ = write!(text, ", {:?}", cluster.discovery);
    }
    match cluster.protocol {
        UpstreamProtocol::Http1 => {}
        UpstreamProtocol::Http2 => text.push_str(", HTTP/2"),
        UpstreamProtocol::Clients => text.push_str(", the client's protocol"),
    }
    text
}
