//! Why the other routes did not take a request.

use crate::words;
use malha_mesh::{
    program::{Filter, Program, Proxy, RouteTable, VirtualHost},
    unmet,
};
use malha_syntax::Location;
use malha_table::{
    Decision, Request,
    http::{HttpSettings, admit},
};
use std::fmt::Write as _;

/// More than these are counted.
const SHOWN: usize = 12;

/// The routes that were tried before the one that took the request, a line each: what it asks for and the request
/// lacks. Where no virtual host took it, those that there are.
pub(super) fn losers(
    program: &Program,
    request: &Request,
    decision: &Decision,
    places: &dyn Fn(Location) -> (String, u32),
) -> String {
    let Some(proxy) = proxy(program, decision) else { return String::new() };
    let settings = HttpSettings {
        path_normalization: program.settings.path_normalization,
        edge: proxy.role == malha_table::Role::Gateway,
    };
    let Ok(head) = admit(request, settings) else { return String::new() };
    let Some(host) = &decision.host else {
        let hosts = tables(proxy, decision).flat_map(|table| &table.virtual_hosts);
        let domains = hosts.filter(|host| host.catch_all.is_none()).flat_map(|host| &host.domains);
        return page("the listener's hosts", &domains.map(ToString::to_string).collect::<Vec<_>>());
    };
    let mut told = Vec::new();
    let routes = tables(proxy, decision).find_map(|table| virtual_host(table, host)).map(|host| &*host.routes);
    for route in routes.unwrap_or_default() {
        let Some(missing) = unmet(&route.predicate, &head) else { break };
        let place = route.origin.as_ref().map(|origin| {
            let (file, line) = places(origin.location);
            format!(" of {}/{} at {file}:{line}", origin.namespace, origin.name)
        });
        told.push(format!("{}{}", words::unmet(missing), place.unwrap_or_default()));
    }
    page("not taken: asks for", &told)
}

fn page(heading: &str, lines: &[String]) -> String {
    let mut page = String::new();
    if lines.is_empty() {
        return page;
    }
    let _ = writeln!(page, "{heading}");
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(page, "  {line}");
    }
    if lines.len() > SHOWN {
        let _ = writeln!(page, "  and {} more", lines.len() - SHOWN);
    }
    page
}

fn proxy<'p>(program: &'p Program, decision: &Decision) -> Option<&'p Proxy> {
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
fn tables<'p>(proxy: &'p Proxy, decision: &Decision) -> impl Iterator<Item = &'p RouteTable> {
    let port = decision.listener.as_ref().map(|listener| listener.port);
    let listeners = proxy.program.listeners.iter().filter(move |listener| Some(listener.port) == port);
    let filters = listeners.flat_map(|listener| &listener.filter_chains).map(|chain| &chain.filter);
    filters.filter_map(|filter| match filter {
        Filter::Http(index) => proxy.program.route_tables.get(*index),
        Filter::Tcp(_) => None,
    })
}

fn virtual_host<'p>(table: &'p RouteTable, domain: &str) -> Option<&'p VirtualHost> {
    table.virtual_hosts.iter().find(|host| host.domains.iter().any(|known| known == domain)).map(|host| &**host)
}
