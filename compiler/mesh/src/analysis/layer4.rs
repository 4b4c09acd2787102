//! The `tls` and `tcp` rules of one VirtualService as lists, before a proxy is known.
//!
//! Envoy takes the most specific server name and range, wherever it stands (semantics A52, B33): so a rule is in another's
//! way only where both name the same one, as written. Names and ranges are therefore told apart by their text here.

use super::{entrance::listener_name, service::source};
use crate::names::gateway_ref;
use crate::{GatewayRef, Mesh, VirtualService};
use malha_algebra::language::{Limits, Test};
use malha_algebra::{Axis, List, Product, Search, Space};
use malha_model::Spanned;
use malha_syntax::Location;
use malha_table::{Protocol, Request, Tls};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The rules of one section.
pub struct Layer4Rules {
    /// `tls` or `tcp`.
    pub section: &'static str,
    /// The requests there are.
    pub space: Space,
    /// The matches in order.
    pub rows: Vec<Layer4Row>,
    /// The same, as the algebra has them.
    pub list: List,
    listeners: Vec<Listener>,
}

/// One match; or the rule, where it has none.
#[derive(Clone, Debug)]
pub struct Layer4Row {
    /// Index of the rule.
    pub rule: usize,
    /// Index of the match, if there is one.
    pub item: Option<usize>,
    /// Where it is.
    pub location: Location,
    /// A server name that it takes, as a client would say it.
    pub server_name: Option<String>,
}

/// A match of either kind.
struct Item<'a> {
    port: Option<u32>,
    gateways: &'a [Spanned<SmolStr>],
    namespace: Option<&'a SmolStr>,
    labels: Vec<(&'a Spanned<SmolStr>, &'a Spanned<SmolStr>)>,
    server_names: &'a [Spanned<SmolStr>],
    ranges: &'a [Spanned<SmolStr>],
}

/// The range of a match that names none, on the mesh.
const ANY_RANGE: &str = "any";

impl Layer4Rules {
    /// The `tls` rules.
    pub fn tls(mesh: &Mesh, service: &VirtualService) -> Layer4Rules {
        let rules = service.tls_rules().iter().map(|rule| {
            let items = rule.matches.iter().map(|item| {
                let parts = Item {
                    port: item.port.as_ref().map(|port| port.value),
                    gateways: &item.gateways,
                    namespace: item.source_namespace.as_ref().map(|name| &name.value),
                    labels: item.source_labels.iter().collect(),
                    server_names: &item.sni_hosts,
                    ranges: &item.destination_subnets,
                };
                (service.resource.location(item.span), parts)
            });
            (service.resource.location(rule.span), items.collect::<Vec<_>>())
        });
        Layer4Rules::new(mesh, service, "tls", rules.collect())
    }

    /// The `tcp` rules.
    pub fn tcp(mesh: &Mesh, service: &VirtualService) -> Layer4Rules {
        let rules = service.tcp_rules().iter().map(|rule| {
            let items = rule.matches.iter().map(|item| {
                let parts = Item {
                    port: item.port.as_ref().map(|port| port.value),
                    gateways: &item.gateways,
                    namespace: item.source_namespace.as_ref().map(|name| &name.value),
                    labels: item.source_labels.iter().collect(),
                    server_names: &[],
                    ranges: &item.destination_subnets,
                };
                (service.resource.location(item.span), parts)
            });
            (service.resource.location(rule.span), items.collect::<Vec<_>>())
        });
        Layer4Rules::new(mesh, service, "tcp", rules.collect())
    }

    fn new(
        mesh: &Mesh,
        service: &VirtualService,
        section: &'static str,
        rules: Vec<(Location, Vec<(Location, Item<'_>)>)>,
    ) -> Layer4Rules {
        let ports: BTreeSet<u32> = rules
            .iter()
            .flat_map(|(_, items)| items)
            .filter_map(|(_, item)| item.port)
            .filter(|port| *port != 0)
            .collect();
        let listeners: Vec<Listener> =
            service.gateways.iter().flat_map(|gateway| listeners(mesh, gateway, &ports)).collect();
        let names = listeners.iter().map(|listener| listener.name.clone()).collect();
        let mut space = Space::new(Arc::default(), names, Limits::of_rows(rules.len()));
        // Gateways go by server names alone (semantics A58, A59).
        let ranges_count = service.gateways.contains(&GatewayRef::Mesh);
        let (mut rows, mut products) = (Vec::new(), Vec::new());
        for (rule, (rule_location, items)) in rules.into_iter().enumerate() {
            if items.is_empty() {
                rows.push(Layer4Row { rule, item: None, location: rule_location, server_name: None });
                products.push(Product::all());
            }
            for (at, (location, item)) in items.into_iter().enumerate() {
                products.push(product(&item, section, service, &listeners, ranges_count, &mut space));
                let server_name = item.server_names.first().map(|name| super::authority::example(name));
                rows.push(Layer4Row { rule, item: Some(at), location, server_name });
            }
        }
        let list = List::new(products, &space);
        Layer4Rules { section, space, rows, list, listeners }
    }

    /// A connection that a match asks for, as far as a request can say it.
    pub fn request(&mut self, row: usize) -> Option<Request> {
        let Search::Found(point) = self.space.point(self.list.rows().get(row)?) else { return None };
        let name = self.space.values(&point, &Axis::Listener).into_iter().next()?;
        let listener = self.listeners.iter().find(|listener| listener.name.as_bytes() == name)?;
        let tls = self.section == "tls";
        Some(Request {
            via: Some(match &listener.gateway {
                GatewayRef::Mesh => "mesh".to_owned(),
                GatewayRef::Named(name) => format!("gateway/{}/{}", name.namespace, name.name),
            }),
            port: listener.port,
            protocol: Some(if tls { Protocol::Tls } else { Protocol::Tcp }),
            tls: tls.then(|| Tls { sni: self.rows[row].server_name.clone(), alpn: Vec::new() }),
            ..Request::default()
        })
    }
}

/// One way in.
struct Listener {
    name: SmolStr,
    gateway: GatewayRef,
    port: Option<u32>,
}

fn listeners(mesh: &Mesh, gateway: &GatewayRef, ports: &BTreeSet<u32>) -> Vec<Listener> {
    let mut numbers: BTreeSet<Option<u32>> = match gateway {
        GatewayRef::Mesh => ports.iter().copied().map(Some).collect(),
        GatewayRef::Named(name) => {
            let servers = mesh.gateway(name).into_iter().flat_map(|gateway| gateway.servers());
            servers.map(|server| server.port.as_ref()?.number.as_ref().map(|number| number.value)).collect()
        }
    };
    // A port that nobody names; for a gateway that is not known, any.
    if *gateway == GatewayRef::Mesh || numbers.is_empty() {
        numbers.insert(None);
    }
    let listener = |port: Option<u32>| Listener { name: listener_name(gateway, port), gateway: gateway.clone(), port };
    numbers.into_iter().map(listener).collect()
}

fn product(
    item: &Item<'_>,
    section: &str,
    service: &VirtualService,
    listeners: &[Listener],
    ranges_count: bool,
    space: &mut Space,
) -> Product {
    let mut product = Product::all();
    let port = item.port.filter(|port| *port != 0);
    let gateways: Vec<GatewayRef> =
        item.gateways.iter().map(|name| gateway_ref(name, &service.name.namespace)).collect();
    let takes = |listener: &&Listener| {
        // On the mesh a listener without a number stands for the ports that no match names.
        let any = listener.port.is_none() && listener.gateway != GatewayRef::Mesh;
        (gateways.is_empty() || gateways.contains(&listener.gateway))
            && (port.is_none() || listener.port == port || any)
    };
    let names: Vec<SmolStr> = listeners.iter().filter(takes).map(|listener| listener.name.clone()).collect();
    if names.len() < listeners.len() {
        product.insert(space.literal(&Axis::Listener, Test::one_of(names), true));
    }
    source(item.namespace, item.labels.iter().copied(), space, &mut product);
    if section == "tls" {
        let names = item.server_names.iter().map(|name| SmolStr::from(name.to_ascii_lowercase()));
        product.insert(space.literal(&Axis::ServerName, Test::one_of(names), true));
    }
    if ranges_count && (section == "tls" || !item.ranges.is_empty()) {
        let mut ranges: Vec<SmolStr> = item.ranges.iter().map(|range| range.value.clone()).collect();
        if ranges.is_empty() {
            ranges.push(SmolStr::new_static(ANY_RANGE));
        }
        product.insert(space.literal(&Axis::Destination, Test::one_of(ranges), true));
    }
    product
}
