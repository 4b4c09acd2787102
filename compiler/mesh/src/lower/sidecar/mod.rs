//! Sidecars: the outbound listeners of a workload, and the route table of each port (semantics B.2, B.6, B.7, E).

mod domains;
mod network;
mod tables;

use super::context::{Context, TableIndex};
use super::listeners;
use crate::config::OutboundMode;
use crate::program::{Fallback, Filter, FilterChain, Listener, ProxyProgram};
use crate::registry::{Protocol, Resolution, Service, ServiceOrigin, ServicePort};
use crate::{GatewayRef, VirtualService};
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use tables::Ports;

/// What the listeners of one sidecar are made of.
struct Outbound<'a> {
    context: &'a Context<'a>,
    /// The VirtualServices that apply to the mesh, those first that win (semantics 0.1, A22).
    virtual_services: Vec<&'a Arc<VirtualService>>,
    fallback: Fallback,
    opened: BTreeMap<(u32, Option<SmolStr>), Opened>,
}

/// What a listener is put together from.
#[derive(Default)]
struct Opened {
    protocol: SmolStr,
    names: Vec<SmolStr>,
    /// The table that plain HTTP is routed by.
    http: Option<Table>,
    chains: Vec<FilterChain>,
}

/// Which route table: that of a port, or that of one service whose protocol is detected.
#[derive(Clone, Debug)]
enum Table {
    Port,
    Service(SmolStr),
}

/// Lowers the mesh for one sidecar.
pub(super) fn lower(context: &Context<'_>) -> ProxyProgram {
    let fallback = match context.mesh.config().outbound {
        OutboundMode::RegistryOnly => Fallback::Blackhole,
        OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => Fallback::Passthrough,
    };
    // Services that are hidden from the namespace are reached by routes alone: they open no listeners. Nor do those that
    // only stand for others, which have their names (semantics E28).
    let is_visible = |service: &&Arc<Service>| {
        service.visibility.includes(&context.proxy.namespace) && !matches!(service.resolution, Resolution::Alias(_))
    };
    let services: Vec<Arc<Service>> = context.mesh.services(context.proxy).iter().filter(is_visible).cloned().collect();
    let virtual_services = context.mesh.virtual_services_for(&GatewayRef::Mesh, &context.proxy.namespace);
    let mut outbound = Outbound { context, virtual_services, fallback, opened: BTreeMap::new() };
    for service in &services {
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            outbound.open(service, port);
        }
    }
    outbound.finish(&services)
}

impl Outbound<'_> {
    /// Opens the listener of a port, or adds to one that is open.
    fn open(&mut self, service: &Service, port: &ServicePort) {
        if port.protocol.is_http() {
            self.add(None, service, port, Some(Table::Port), Vec::new());
            return;
        }
        let is_detected = port.protocol == Protocol::Auto;
        let http_of = |bind: Option<&SmolStr>| match bind {
            _ if !is_detected => None,
            // A service with an address of its own has a table of its own (semantics B36).
            Some(_) => Some(Table::Service(service.hostname.clone())),
            None => Some(Table::Port),
        };
        let (addresses, ranges): (Vec<&SmolStr>, Vec<&SmolStr>) =
            service.addresses.iter().partition(|address| address.parse::<IpAddr>().is_ok());
        if addresses.is_empty() && ranges.is_empty() && service.resolution == Resolution::Passthrough {
            self.open_each_endpoint(service, port, http_of);
            return;
        }
        if addresses.is_empty() {
            let ranges: Vec<SmolStr> = ranges.into_iter().cloned().collect();
            let chains = network::chains(self.context, &self.virtual_services, service, port, &ranges, true);
            self.add(None, service, port, http_of(None), chains);
            return;
        }
        for address in addresses {
            let chains = network::chains(self.context, &self.virtual_services, service, port, &[], false);
            self.add(Some(address.clone()), service, port, http_of(Some(address)), chains);
        }
    }

    /// Without an address of its own, and with connections going where the client meant them to, a service is reached
    /// at the addresses of its endpoints.
    fn open_each_endpoint(
        &mut self,
        service: &Service,
        port: &ServicePort,
        http_of: impl Fn(Option<&SmolStr>) -> Option<Table>,
    ) {
        let endpoints = self.context.mesh.registry().endpoints(service, port);
        if service.origin == ServiceOrigin::ServiceEntry && endpoints.is_empty() && service.selector.is_none() {
            let chains = network::chains(self.context, &self.virtual_services, service, port, &[], true);
            self.add(None, service, port, http_of(None), chains);
            return;
        }
        for address in endpoints.iter().filter_map(|endpoint| endpoint.address.as_ref()) {
            if address.parse::<IpAddr>().is_ok() {
                let chains = network::chains(self.context, &self.virtual_services, service, port, &[], false);
                self.add(Some(address.clone()), service, port, http_of(Some(address)), chains);
            }
        }
    }

    fn add(
        &mut self,
        bind: Option<SmolStr>,
        service: &Service,
        port: &ServicePort,
        http: Option<Table>,
        chains: Vec<FilterChain>,
    ) {
        let names = if bind.is_some() { domains::of_service(service, self.context) } else { Vec::new() };
        let opened = self.opened.entry((port.number, bind)).or_insert_with(|| Opened {
            protocol: SmolStr::new_static(port.protocol.as_str()),
            names,
            ..Opened::default()
        });
        if opened.http.is_none() {
            opened.http = http;
        }
        for chain in chains {
            // Of chains that match alike, the first stays.
            let is_taken = opened
                .chains
                .iter()
                .any(|other| other.server_names == chain.server_names && other.destinations == chain.destinations);
            if !is_taken {
                opened.chains.push(chain);
            }
        }
    }

    fn finish(self, services: &[Arc<Service>]) -> ProxyProgram {
        let Outbound { context, virtual_services, fallback, opened } = self;
        let mut program = ProxyProgram { fallback, ..ProxyProgram::default() };
        let mut tables = TableIndex::default();
        let mut ports = Ports::new(context, &virtual_services, services, fallback);
        for ((port, bind), opened) in opened {
            let mut filter_chains = opened.chains;
            if let Some(http) = opened.http {
                let (name, host) = match &http {
                    Table::Port => (format_smolstr!("{port}"), None),
                    Table::Service(host) => (format_smolstr!("{host}:{port}"), Some(host)),
                };
                let table = tables.get_or_insert(&name, || match host {
                    None => ports.table(&name, port),
                    Some(host) => ports.service_table(&name, port, host),
                });
                let chain = FilterChain {
                    server_names: Vec::new(),
                    destinations: Vec::new(),
                    tls: None,
                    inspected: true,
                    termination: None,
                    filter: Filter::Http(table),
                    location: None,
                };
                filter_chains.insert(0, chain);
            }
            let name = format_smolstr!("{}_{port}", bind.as_deref().unwrap_or("0.0.0.0"));
            let mut listener = Listener {
                bind,
                port,
                server_ports: Vec::new(),
                protocol: opened.protocol,
                name,
                names: opened.names,
                filter_chains,
                rejected: None,
                fallback,
            };
            listeners::judge(&mut listener, &tables, &mut program.notes);
            program.listeners.push(listener);
        }
        program.route_tables = tables.into_tables();
        program
    }
}
