//! The routes of one lowered virtual host as one list.

use super::{
    authority,
    entrance::{Entrance, identity},
    world::Worlds,
};
use crate::program::{Listener, Origin, Proxy, Role, Route, RouteTable, VirtualHost};
use crate::{GatewayRef, ObjectName, ProxySpec};
use malha_algebra::language::Limits;
use malha_algebra::{Axis, Field, List, Point, Predicate, Space};
use malha_table::Request;
use smol_str::SmolStr;
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

impl<'a> HostSpace<'a> {
    /// A virtual host of a table that is behind `entrance`.
    pub fn new(host: &'a VirtualHost, table: &RouteTable, entrance: Entrance, worlds: &Worlds) -> HostSpace<'a> {
        let rows: Vec<HostRow<'a>> =
            host.routes.iter().map(|route| HostRow { route, origin: route.origin.as_ref() }).collect();
        let predicates: Vec<&Predicate> = rows.iter().map(|row| &row.route.predicate).collect();
        let world = if entrance.role() == Role::Gateway { &worlds.gateway } else { &worlds.sidecar };
        let space = Space::new(Arc::clone(world), Vec::new(), Limits::default());
        let (space, list) = listed(space, &predicates, host, table);
        HostSpace { host, space, rows, list, entrance }
    }

    /// The request that a point stands for; none if a value of it is no text.
    pub fn request(&mut self, point: &Point) -> Option<Request> {
        self.entrance.request(&mut self.space, point)
    }
}

fn listed(mut space: Space, predicates: &[&Predicate], host: &VirtualHost, table: &RouteTable) -> (Space, List) {
    let products = predicates.iter().map(|predicate| space.product(predicate)).collect();
    let reads_authority = predicates
        .iter()
        .flat_map(|predicate| &predicate.conditions)
        .any(|condition| condition.field == Field::Authority);
    if reads_authority {
        let axis = Axis::Field(Field::Authority);
        if let Some(test) = authority::of_domains(host.domains.iter().map(SmolStr::as_str)) {
            let literal = space.literal(&axis, test, true);
            space.assume(literal);
        }
        // A more specific domain of another virtual host takes its names away.
        let narrower: Vec<&str> = narrower(host, table).collect();
        if !narrower.is_empty()
            && let Some(test) = authority::of_domains(narrower)
        {
            let literal = space.literal(&axis, test, false);
            space.assume(literal);
        }
    }
    let list = List::new(products, &space);
    (space, list)
}

/// The domains of other virtual hosts below those of this one.
fn narrower<'t>(host: &'t VirtualHost, table: &'t RouteTable) -> impl Iterator<Item = &'t str> {
    let others = table.virtual_hosts.iter().flat_map(|other| &other.domains).map(SmolStr::as_str);
    others.filter(|domain| {
        !host.domains.iter().any(|own| own == domain)
            && host.domains.iter().any(|own| own.starts_with('*') && crate::host::is_subset(domain, own))
    })
}

/// A name that a virtual host has for itself.
fn example(host: &VirtualHost, table: &RouteTable) -> String {
    let narrower: Vec<&str> = narrower(host, table).collect();
    let is_taken = |name: &str| narrower.iter().any(|domain| crate::host::is_subset(name, domain));
    let domains = || host.domains.iter();
    let exact = domains().find(|domain| !domain.starts_with('*')).map(ToString::to_string);
    exact
        .or_else(|| {
            let names = domains().flat_map(|domain| {
                let suffix = domain.strip_prefix('*').unwrap_or_default().to_owned();
                let suffix = if suffix.is_empty() { ".example.com".to_owned() } else { suffix };
                ["www", "other", "x", "y", "zz9"].map(|first| format!("{first}{suffix}"))
            });
            names.into_iter().find(|name| !is_taken(name))
        })
        .unwrap_or_default()
}

/// Where requests of a table of `proxy` come in, through this listener, to be taken by this virtual host.
pub fn entrance_of_table(
    proxy: &Proxy,
    listener: &Listener,
    tls: bool,
    table: &RouteTable,
    host: &VirtualHost,
) -> Entrance {
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
        tls,
        proxy: Some(identity(&spec)),
        host: example(host, table),
    }
}
