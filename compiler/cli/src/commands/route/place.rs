//! Where in a program a decision was made.

use malha_mesh::program::{Filter, Origin, Program, Proxy, RouteTable};
use malha_model::Resource;
use malha_syntax::Location;
use malha_table::{Decision, Rule};

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

/// The route tables of the listener that took the connection.
pub(super) fn tables<'p>(proxy: &'p Proxy, decision: &Decision) -> impl Iterator<Item = &'p RouteTable> {
    let port = decision.listener.as_ref().map(|listener| listener.port);
    let listeners = proxy.program.listeners.iter().filter(move |listener| Some(listener.port) == port);
    let filters = listeners.flat_map(|listener| &listener.filter_chains).map(|chain| &chain.filter);
    filters.filter_map(|filter| match filter {
        Filter::Http(index) => proxy.program.route_tables.get(*index),
        Filter::Tcp(_) => None,
    })
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
