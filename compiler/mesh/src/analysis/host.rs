//! The routes of one lowered virtual host as one list.

use super::{
    authority,
    entrance::{Entrance, identity},
    world::Worlds,
};
use crate::program::{FilterChain, Listener, Origin, Proxy, Role, Route, RouteTable, VirtualHost};
use crate::{GatewayRef, ObjectName, ProxySpec};
use malha_algebra::language::Limits;
use malha_algebra::{Axis, Field, List, Point, Space};
use malha_table::Request;
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;

/// A virtual host, ready to be asked.
pub struct HostSpace<'a> {
    /// The virtual host.
    pub host: &'a VirtualHost,
    /// The requests there are.
    pub space: Space,
    /// Its routes in order.
    pub rows: Vec<HostRow<'a>>,
    /// The same, as the algebra has them.
    pub list: List,
    entrance: Entrance,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct HostRow<'a> {
    /// The route.
    pub route: &'a Route,
    /// Where it comes from.
    pub origin: Option<&'a Arc<Origin>>,
}

/// The names whose requests are looked at: those of a domain, without those of narrower ones beside it.
#[derive(Clone, Debug, Default)]
pub struct Names<'a> {
    /// Exact, `*.suffix` or `*`.
    domains: Vec<&'a str>,
    /// Domains below these, which have their names for themselves.
    narrower: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// The names that a virtual host of a table has for itself.
    pub fn of(host: &'a VirtualHost, table: &'a RouteTable) -> Names<'a> {
        Names::among(host.domains.iter().map(SmolStr::as_str).collect(), [table])
    }

    /// The names of one domain, where these tables are.
    pub fn of_domain(domain: &'a str, tables: impl IntoIterator<Item = &'a RouteTable>) -> Names<'a> {
        Names::among(vec![domain], tables)
    }

    fn among(domains: Vec<&'a str>, tables: impl IntoIterator<Item = &'a RouteTable>) -> Names<'a> {
        let all = tables.into_iter().flat_map(|table| &table.virtual_hosts).flat_map(|host| &host.domains);
        let is_below = |name: &&str| {
            !domains.contains(name)
                && domains.iter().any(|own| own.starts_with('*') && crate::host::is_subset(name, own))
        };
        let narrower = all.map(SmolStr::as_str).filter(is_below).collect();
        Names { domains, narrower }
    }

    /// Leaves out the names of these domains.
    pub(super) fn without(&mut self, domains: impl IntoIterator<Item = &'a str>) {
        self.narrower.extend(domains);
    }

    /// One of them.
    pub fn example(&self) -> String {
        let is_taken = |name: &str| self.narrower.iter().any(|domain| crate::host::is_subset(name, domain));
        let exact = self.domains.iter().find(|domain| !domain.starts_with('*'));
        if let Some(exact) = exact {
            return (*exact).to_owned();
        }
        let mut names = self.domains.iter().flat_map(|domain| {
            let suffix = domain.strip_prefix('*').filter(|suffix| !suffix.is_empty()).unwrap_or(".example.com");
            ["www", "other", "x", "y", "zz9"].map(|first| format!("{first}{suffix}"))
        });
        names.find(|name| !is_taken(name)).unwrap_or_default()
    }
}

impl<'a> HostSpace<'a> {
    /// A virtual host behind `entrance`, for requests to these names.
    pub fn new(host: &'a VirtualHost, names: &Names<'_>, entrance: Entrance, worlds: &Worlds) -> HostSpace<'a> {
        HostSpace::with_limits(host, names, entrance, worlds, Limits::of_rows(host.routes.len()))
    }

    /// The same, where its routes are not all that is asked about.
    pub(super) fn with_limits(
        host: &'a VirtualHost,
        names: &Names<'_>,
        entrance: Entrance,
        worlds: &Worlds,
        limits: Limits,
    ) -> HostSpace<'a> {
        let rows: Vec<HostRow<'a>> =
            host.routes.iter().map(|route| HostRow { route, origin: route.origin.as_ref() }).collect();
        let world = if entrance.role() == Role::Gateway { &worlds.gateway } else { &worlds.sidecar };
        let mut space = Space::new(Arc::clone(world), Vec::new(), limits);
        let products = rows.iter().map(|row| space.product(&row.route.predicate)).collect();
        let axis = Axis::Field(Field::Authority);
        if let Some(test) = authority::of_domains(names.domains.iter().copied()) {
            let literal = space.literal(&axis, test, true);
            space.assume(literal);
        }
        // A more specific domain takes its names away.
        if !names.narrower.is_empty()
            && let Some(test) = authority::of_domains(names.narrower.iter().copied())
        {
            let literal = space.literal(&axis, test, false);
            space.assume(literal);
        }
        let list = List::new(products, &space);
        HostSpace { host, space, rows, list, entrance }
    }

    /// The request that a point stands for; none if a value of it is no text.
    pub fn request(&mut self, point: &Point) -> Option<Request> {
        self.entrance.request(&mut self.space, point)
    }
}

/// Whether a route reads the authority itself, beyond what its virtual host asks of it.
pub(super) fn reads_authority(route: &Route) -> bool {
    route.predicate.conditions.iter().any(|condition| condition.field == Field::Authority)
}

/// Where requests to these names come in, through this listener and filter chain of `proxy`.
pub fn entrance_of_table(proxy: &Proxy, listener: &Listener, chain: &FilterChain, names: &Names<'_>) -> Entrance {
    let example = names.example();
    let server_name = (!leads_to(&example, chain, listener)).then(|| {
        let below = chain.server_names.iter().map(|name| authority::example(name));
        let mut names = below.chain(["sni.example".to_owned()]);
        names.find(|name| leads_to(name, chain, listener)).unwrap_or_default()
    });
    let gateway = match proxy.gateways.first() {
        Some((namespace, name)) if proxy.role == Role::Gateway => {
            GatewayRef::Named(ObjectName::new(namespace.clone(), name.clone()))
        }
        _ => GatewayRef::Mesh,
    };
    let spec = ProxySpec {
        role: proxy.role,
        namespace: proxy.namespace.clone(),
        name: proxy.name.clone(),
        labels: proxy.labels.clone(),
    };
    Entrance {
        name: listener.name.clone(),
        gateway,
        number: listener.server_ports.first().copied(),
        port: Some(listener.port),
        address: listener.address().map(|address| format_smolstr!("{address}")),
        tls: chain.termination.is_some(),
        server_name,
        proxy: Some(identity(&spec)),
        host: example,
    }
}

/// Whether a client that says this server name comes to a filter chain: no other has a more specific name (semantics A52).
fn leads_to(name: &str, chain: &FilterChain, listener: &Listener) -> bool {
    let rank = |chain: &FilterChain| {
        let names = chain.server_names.iter().filter(|own| crate::host::is_subset(name, own));
        names.map(|own| (!own.starts_with('*'), own.len())).max()
    };
    let own = rank(chain);
    (own.is_some() || chain.server_names.is_empty()) && listener.filter_chains.iter().all(|other| rank(other) <= own)
}
