//! Where in a program a decision was made.

use malha_mesh::program::{Filter, Origin, Program, Proxy, RouteTable};
use malha_model::Resource;
use malha_syntax::Location;
use malha_table::{Decision, Rule};
use std::collections::BTreeSet;

/// The proxy that decided.
pub(super) fn proxy<'p>(program: &'p Program, decision: &Decision) -> Option<&'p Proxy> {
    let identity = decision.proxy.as_ref()?;
    let mut proxies = program.proxies.iter();
    proxies.find(|proxy| {
        proxy.namespace == *identity.namespace
            && proxy
                .labels
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .eq(identity.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            && decision
                .listener
                .as_ref()
                .is_some_and(|known| proxy.program.listeners.iter().any(|listener| listener.port == known.port))
    })
}

/// The route tables of the listeners of the port that took the request, each once; of those that go by names of services
/// none, for a Host does not lead there.
pub(super) fn tables<'p>(proxy: &'p Proxy, decision: &Decision) -> impl Iterator<Item = &'p RouteTable> {
    let port = decision.listener.as_ref().map(|listener| listener.port);
    let listeners = proxy.program.listeners.iter().filter(|listener| Some(listener.port) == port);
    let filters = listeners.filter(|listener| !listener.goes_by_name()).flat_map(|listener| &listener.filter_chains);
    let tables: BTreeSet<usize> = filters
        .filter_map(|chain| match chain.filter {
            Filter::Http(index) => Some(index),
            Filter::Tcp(_) => None,
        })
        .collect();
    tables.into_iter().filter_map(|index| proxy.program.route_tables.get(index))
}

/// A rule as decisions name it.
pub(super) fn rule(origin: &Origin, places: &dyn Fn(Location) -> (String, u32)) -> Rule {
    let (file, line) = places(origin.location);
    Rule {
        kind: "VirtualService".to_owned(),
        namespace: origin.namespace.to_string(),
        name: origin.name.to_string(),
        section: origin.section.to_owned(),
        index: origin.index,
        match_index: origin.match_index,
        route_name: origin.route_name.as_ref().map(ToString::to_string),
        file,
        line,
        delegate: origin.delegate.as_deref().map(|delegate| Box::new(rule(delegate, places))),
    }
}

/// Where an object is named.
pub(super) fn named(resource: &Resource) -> Location {
    resource.location(resource.metadata.name.as_ref().map_or(resource.span, |name| name.span))
}
