//! The HTTP rules of one VirtualService as one list, before a proxy is known.
//!
//! Gateway, port and client of a match are axes like the others here, so that what is proved holds on every proxy.

use super::{
    authority,
    entrance::{Entrance, entrances},
    world::Worlds,
};
use crate::lower::{http_origin, http_predicate};
use crate::names::gateway_ref;
use crate::program::{Origin, Role};
use crate::{GatewayRef, HttpRule, Mesh, VirtualService};
use malha_algebra::language::{Limits, Test};
use malha_algebra::{Axis, Field, List, Point, Predicate, Product, Search, Space};
use malha_model::istio::virtual_service::HttpMatchRequest;
use malha_table::{ProxyIdentity, Request, Tls};
use smol_str::SmolStr;
use std::sync::Arc;

/// The rules of one VirtualService, ready to be asked.
pub struct ServiceRules<'a> {
    /// The VirtualService.
    pub service: &'a VirtualService,
    /// Where its requests come in.
    pub entrances: Vec<Entrance>,
    /// The requests there are.
    pub space: Space,
    /// Its matches in order, one a row.
    pub rows: Vec<RuleRow<'a>>,
    /// The same, as the algebra has them.
    pub list: List,
}

/// One match of a rule; or the rule, where it has none.
pub struct RuleRow<'a> {
    /// The rule.
    pub rule: HttpRule<'a>,
    /// Which of the rules it is, delegates' rules counted one by one.
    pub number: usize,
    /// Where the match is; else the rule.
    pub origin: Origin,
    /// What it asks of a request.
    pub predicate: Predicate,
    /// It takes every request of every entrance.
    pub is_catch_all: bool,
}

impl RuleRow<'_> {
    /// Where the row is said: in the delegate, where one is merged.
    pub fn own(&self) -> &Origin {
        self.origin.delegate.as_deref().unwrap_or(&self.origin)
    }
}

impl<'a> ServiceRules<'a> {
    /// The rules of a VirtualService.
    pub fn new(mesh: &'a Mesh, service: &'a VirtualService, worlds: &Worlds) -> ServiceRules<'a> {
        let entrances = entrances(mesh, service);
        let world = if service.gateways.contains(&GatewayRef::Mesh) { &worlds.sidecar } else { &worlds.gateway };
        let listeners = entrances.iter().map(|entrance| entrance.name.clone()).collect();
        let count = service.http_rules().map(|rule| rule.route.matches.len().max(1)).sum();
        let mut space = Space::new(Arc::clone(world), listeners, Limits::of_rows(count));
        let (mut rows, mut products) = (Vec::new(), Vec::new());
        for (number, rule) in service.http_rules().enumerate() {
            if rule.route.matches.is_empty() {
                let (origin, predicate) = (http_origin(service, rule, None), Predicate::any());
                rows.push(RuleRow { rule, number, origin, predicate, is_catch_all: true });
                products.push(Product::all());
            }
            for item in rule.matches() {
                let source = rule.delegate.map_or(rule.location.source, |delegate| delegate.location.source);
                let predicate = http_predicate(item.request, source);
                let mut product = space.product(&predicate);
                let demands = fixed(item.request, service, &entrances, &mut space);
                let is_catch_all = predicate.is_catch_all() && demands.literals().is_empty();
                product = product.and(&demands);
                let origin = http_origin(service, rule, Some(item));
                rows.push(RuleRow { rule, number, origin, predicate, is_catch_all });
                products.push(product);
            }
        }
        // Where no rule reads it, the authority is the entrance's.
        if rows.iter().flat_map(|row| &row.predicate.conditions).any(|condition| condition.field == Field::Authority)
            && let Some(test) = authorities(service)
        {
            let literal = space.literal(&Axis::Field(Field::Authority), test, true);
            space.assume(literal);
        }
        let list = List::new(products, &space);
        ServiceRules { service, entrances, space, rows, list }
    }

    /// A point of the product through each way in that it has requests of.
    pub fn through_each(&mut self, product: &Product) -> Vec<Point> {
        let names: Vec<SmolStr> = self.entrances.iter().map(|entrance| entrance.name.clone()).collect();
        let through = names.into_iter().filter_map(|name| {
            let mut part = product.clone();
            part.insert(self.space.literal(&Axis::Listener, Test::exact(name), true));
            match self.space.point(&part) {
                Search::Found(point) => Some(point),
                Search::Empty | Search::Unknown => None,
            }
        });
        through.collect()
    }

    /// The request that a point stands for, to each of the first hosts.
    pub fn requests(&mut self, point: &Point) -> Vec<Request> {
        const HOSTS: usize = 8;
        let Some(request) = self.request(point) else { return Vec::new() };
        let mut requests = vec![request.clone()];
        if self.space.reads(&Axis::Field(Field::Authority)) {
            return requests;
        }
        let says_host = |tls: &Tls| tls.sni == request.authority;
        for host in self.service.hosts.iter().take(HOSTS) {
            let host = authority::example(host);
            if request.authority.as_ref() == Some(&host) {
                continue;
            }
            let mut other = request.clone();
            if let Some(tls) = other.tls.as_mut().filter(|tls| says_host(tls)) {
                tls.sni = Some(host.clone());
            }
            other.authority = Some(host);
            requests.push(other);
        }
        requests
    }

    /// The request that a point stands for; none if a value of it is no text.
    pub fn request(&mut self, point: &Point) -> Option<Request> {
        let listener = self.space.values(point, &Axis::Listener).into_iter().next()?;
        let entrance = self.entrances.iter().find(|entrance| entrance.name.as_bytes() == listener)?;
        let mut request = entrance.request(&mut self.space, point)?;
        // A client in a namespace that sees the rules.
        let client =
            || ProxyIdentity { namespace: self.service.name.namespace.to_string(), ..ProxyIdentity::default() };
        if entrance.role() == Role::Sidecar && !self.service.visibility.includes("default") {
            request.proxy.get_or_insert_with(client);
        }
        Some(request)
    }
}

/// The authorities that can lead to a VirtualService; none: any.
fn authorities(service: &VirtualService) -> Option<Test> {
    // Addresses of services, names below headless ones, ports of unknown protocol: too many names lead there to tell.
    if service.gateways.contains(&GatewayRef::Mesh) {
        return None;
    }
    let domains: Vec<String> = service.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    authority::of_domains(domains.iter().map(String::as_str))
}

/// What a match asks of proxy and listener (semantics B.3): a match that names gateways is not asked for its client.
fn fixed(item: &HttpMatchRequest, service: &VirtualService, entrances: &[Entrance], space: &mut Space) -> Product {
    let mut product = Product::all();
    let port = item.port.as_ref().map(|port| port.value).filter(|port| *port != 0);
    let gateways: Vec<GatewayRef> =
        item.gateways.iter().map(|name| gateway_ref(name, &service.name.namespace)).collect();
    if port.is_some() || !gateways.is_empty() {
        let takes = |entrance: &&Entrance| {
            (gateways.is_empty() || gateways.contains(&entrance.gateway)) && (port.is_none() || entrance.number == port)
        };
        let names: Vec<SmolStr> = entrances.iter().filter(takes).map(|entrance| entrance.name.clone()).collect();
        if names.len() < entrances.len() {
            product.insert(space.literal(&Axis::Listener, Test::one_of(names), true));
        }
    }
    if gateways.is_empty() {
        source(item.source_namespace.as_ref().map(|name| &name.value), item.source_labels.iter(), space, &mut product);
    }
    product
}

/// What a match asks of the client's workload.
pub(super) fn source<'l>(
    namespace: Option<&SmolStr>,
    labels: impl IntoIterator<Item = (&'l malha_model::Spanned<SmolStr>, &'l malha_model::Spanned<SmolStr>)>,
    space: &mut Space,
    product: &mut Product,
) {
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        product.insert(space.literal(&Axis::SourceNamespace, Test::exact(namespace.clone()), true));
    }
    for (name, value) in labels {
        let axis = Axis::SourceLabel(name.value.clone());
        product.insert(space.literal(&axis, Test::exact(value.value.clone()), true));
    }
}
