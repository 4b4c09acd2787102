//! The routes that one VirtualService makes on one gateway, or on the mesh (semantics A25 to A28, B.3).

use super::destinations::{Leads, Scope};
use super::{Refusal, http_action, http_match};
use crate::cache::Key;
use crate::program::{Action, Origin, Route};
use crate::{DelegateRule, HttpMatch, HttpRule, VirtualService};
use malha_algebra::Predicate;
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;

/// Routes, and what Envoy would not load of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteList {
    /// Of all that they are made of.
    pub(crate) key: Key,
    pub(crate) routes: Arc<[Route]>,
    pub(crate) refusals: Vec<Refusal>,
}

/// A list on its way.
#[derive(Default)]
struct Made {
    routes: Vec<Route>,
    refusals: Vec<Refusal>,
}

/// The routes of `service` for a listener, in order, up to the first that takes everything (semantics A27).
pub(super) fn lower(service: &VirtualService, scope: &Scope<'_>, key: Key) -> RouteList {
    let mut made = Made::default();
    for rule in service.http_rules() {
        if rule_routes(service, rule, scope, &mut made) {
            break;
        }
    }
    RouteList { key, routes: made.routes.into(), refusals: made.refusals }
}

/// Appends the routes of one rule; says whether nothing after it is ever reached.
fn rule_routes(service: &VirtualService, rule: HttpRule<'_>, scope: &Scope<'_>, list: &mut Made) -> bool {
    let source = rule.delegate.map_or(rule.location.source, |delegate| delegate.location.source);
    let first_refusal = list.refusals.len();
    let mut action: Option<Arc<Action>> = None;
    // Made only if some item applies, and once for all of them.
    let mut action_of_rule = |list: &mut Made| {
        let make = || shared(http_action::action(rule.route, scope, source, &mut list.refusals), &list.routes);
        Arc::clone(action.get_or_insert_with(make))
    };
    let mut is_last = false;
    if rule.route.matches.is_empty() {
        let origin = Some(Arc::new(origin(service, rule, None)));
        let action = action_of_rule(list);
        list.routes.push(Route { predicate: Predicate::any(), action, origin });
        is_last = true;
    }
    for item in rule.matches() {
        if !http_match::applies(item.request, &service.name.namespace, scope.proxy, scope.gateway, scope.port) {
            continue;
        }
        let predicate = http_match::predicate(item.request, source, &mut list.refusals);
        is_last = predicate.is_catch_all();
        let origin = Some(Arc::new(origin(service, rule, Some(item))));
        let action = action_of_rule(list);
        list.routes.push(Route { predicate, action, origin });
        if is_last {
            break;
        }
    }
    if let Some(delegate) = rule.delegate {
        // Spans of a merged rule may lie in either object: its refusals point at the delegate's rule as a whole.
        for refusal in list.refusals.iter_mut().skip(first_refusal) {
            refusal.location = delegate.location;
        }
    }
    is_last
}

/// The action, or the same one of a route just before: rules of one service often do alike.
fn shared(action: Action, routes: &[Route]) -> Arc<Action> {
    const LOOKED_AT: usize = 8;
    let known = routes.iter().rev().take(LOOKED_AT).map(|route| &route.action).find(|known| ***known == action);
    known.map_or_else(|| Arc::new(action), Arc::clone)
}

/// Where a route comes from: an item of a rule, or the rule where it has none.
pub(crate) fn origin(service: &VirtualService, rule: HttpRule<'_>, item: Option<HttpMatch<'_>>) -> Origin {
    let root = item.and_then(|item| item.root);
    Origin {
        namespace: service.name.namespace.clone(),
        name: service.name.name.clone(),
        section: "http",
        index: rule.index,
        match_index: root.map(|(index, _)| index),
        route_name: route_name(rule, item),
        location: root.map_or(rule.location, |(_, location)| location),
        delegate: rule.delegate.map(|delegate| Box::new(delegate_origin(delegate, item))),
    }
}

fn delegate_origin(rule: &DelegateRule, item: Option<HttpMatch<'_>>) -> Origin {
    let own = item.and_then(|item| item.delegate);
    Origin {
        namespace: rule.name.namespace.clone(),
        name: rule.name.name.clone(),
        section: "http",
        index: rule.index,
        match_index: own.map(|(index, _)| index),
        route_name: None,
        location: own.map_or(rule.location, |(_, location)| location),
        delegate: None,
    }
}

/// `rule.match`; a match name without a rule name keeps the dot (semantics B8).
fn route_name(rule: HttpRule<'_>, item: Option<HttpMatch<'_>>) -> Option<SmolStr> {
    let rule_name = rule.route.name.as_ref().map_or("", |name| name.as_str());
    let match_name = item.and_then(|item| item.request.name.as_ref()).map(|name| name.as_str());
    match match_name.filter(|name| !name.is_empty()) {
        Some(name) => Some(format_smolstr!("{rule_name}.{name}")),
        None => (!rule_name.is_empty()).then(|| rule_name.into()),
    }
}

/// The one route of a service that no VirtualService routes (semantics B38).
pub(super) fn plain(leads: &Leads, scope: &Scope<'_>, key: Key) -> RouteList {
    let action = http_action::plain(leads.into(), scope);
    let route = Route { predicate: Predicate::any(), action: Arc::new(action), origin: None };
    RouteList { key, routes: Arc::new([route]), refusals: Vec::new() }
}
