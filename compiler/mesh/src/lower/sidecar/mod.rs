//! Sidecars: the outbound listeners of a workload, and the route table of each port (semantics B.2, B.6, B.7, E).

mod domains;
mod egress_proxy;
mod names;
mod network;
mod tables;

use super::context::{Context, TableIndex};
use super::listeners;
use crate::VirtualService;
use crate::egress::{EgressListener, EgressPort};
use crate::program::{Bind, Filter, FilterChain, Listener, Note, ProxyProgram};
use crate::registry::{Protocol, Resolution, Service, ServiceOrigin, ServicePort};
use egress_proxy::Unknown;
use hashbrown::HashSet;
use smol_str::{SmolStr, format_smolstr};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use tables::Ports;

/// What the listeners of one sidecar are made of.
struct Outbound<'a> {
    context: &'a Context<'a>,
    unknown: Unknown,
    opened: BTreeMap<Key, Opened>,
    /// Listeners to which nothing is added any more.
    locked: BTreeSet<Key>,
    /// Ports on which services are told apart by their names.
    named_ports: BTreeSet<u32>,
}

/// What no two listeners share.
type Key = (u32, Bind<SmolStr>);

/// What a listener is put together from.
#[derive(Default)]
struct Opened {
    protocol: SmolStr,
    names: Vec<SmolStr>,
    /// The table that plain HTTP is routed by.
    http: Option<Table>,
    /// All bytes are HTTP, so that nothing is looked at first: a listener with HTTP alone that says its address.
    is_http_alone: bool,
    chains: Vec<FilterChain>,
    /// What these match: server names and destinations.
    taken: HashSet<(Vec<SmolStr>, Vec<SmolStr>)>,
}

/// Which route table: that of a port, or that of one service whose protocol is detected, ...
#[derive(Clone, Debug)]
enum Table {
    Port,
    Service(SmolStr),
    /// That of a listener for all ports of its services.
    AllPorts,
}

/// How a port routes plain HTTP.
#[derive(Clone)]
struct Http {
    table: Option<Table>,
    /// See [`Opened::is_http_alone`].
    is_alone: bool,
}

impl Http {
    /// That of a port which is not of the HTTP family, on a listener that is bound so.
    fn of(service: &Service, port: &ServicePort, bind: &Bind<SmolStr>) -> Self {
        let table = match bind {
            _ if port.protocol != Protocol::Auto => None,
            Bind::Any => Some(Table::Port),
            // A service with an address of its own has a table of its own (semantics B36).
            _ => Some(Table::Service(service.hostname.clone())),
        };
        Http { table, is_alone: false }
    }
}

/// For whom listeners are opened: an `egress[]` entry, or all that a proxy without a Sidecar sees.
struct Source<'a> {
    listener: &'a EgressListener,
    /// Without those that only stand for others, which have their names (semantics E28).
    services: Vec<Arc<Service>>,
    /// Those first that win (semantics 0.1, A22).
    virtual_services: Vec<&'a Arc<VirtualService>>,
}

/// Lowers the mesh for one sidecar.
pub(super) fn lower(context: &Context<'_>) -> ProxyProgram {
    let unknown = Unknown::of(context);
    let open: [EgressListener; 1];
    let listeners = if let Some(egress) = context.mesh.egress(context.proxy) {
        egress.listeners.as_slice()
    } else {
        open = [context.mesh.open_listener(context.proxy)];
        &open
    };
    let stands_for_itself = |service: &&Arc<Service>| !matches!(service.resolution, Resolution::Alias(_));
    let sources = listeners.iter().map(|listener| Source {
        listener,
        services: listener.services.iter().filter(stands_for_itself).cloned().collect(),
        virtual_services: listener.virtual_services.iter().collect(),
    });
    let sources: Vec<Source<'_>> = sources.collect();
    let (opened, locked, named_ports) = (BTreeMap::new(), BTreeSet::new(), names::ports(&sources));
    let mut outbound = Outbound { context, unknown, opened, locked, named_ports };
    for source in &sources {
        outbound.open_all(source);
    }
    outbound.finish(&sources)
}

/// Where an `egress[]` entry listens; none: at the addresses of the services.
fn bind(listener: &EgressListener) -> Option<Bind<SmolStr>> {
    let bind = listener.bind.as_ref()?;
    Some(match bind.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Bind::Any,
        Ok(address) => Bind::Address(address),
        Err(_) => Bind::Socket(bind.clone()),
    })
}

impl Outbound<'_> {
    /// Opens what one `egress[]` entry asks for (semantics E35, E36).
    fn open_all(&mut self, source: &Source<'_>) {
        let services = &source.services;
        let bind = bind(source.listener);
        let Some(port) = source.listener.port else {
            // What earlier listeners have is theirs.
            self.locked.extend(self.opened.keys().cloned());
            for service in services {
                for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
                    self.open(source, bind.as_ref(), service, port);
                }
            }
            return;
        };
        if port.protocol == Protocol::Udp {
            return;
        }
        let bind = bind.as_ref();
        if !port.is_of_services() {
            let bind = bind.cloned().unwrap_or_default();
            self.open_for_all_ports(source, &bind, port);
            // Names are for it as addresses are.
            if bind == Bind::Any && !services.is_empty() {
                self.locked.insert((port.number, Bind::OtherNames));
            }
            return;
        }
        for service in services {
            if let Some(own) = service.port(port.number) {
                self.open(source, bind, service, &ServicePort { protocol: port.protocol, ..own.clone() });
            }
        }
    }

    /// Opens a listener that is an HTTP proxy, or a socket: all ports of its services are reached by it (semantics E39).
    fn open_for_all_ports(&mut self, source: &Source<'_>, bind: &Bind<SmolStr>, port: EgressPort) {
        for service in &source.services {
            let Some(any) = service.ports.first() else { continue };
            let own = ServicePort { number: port.number, protocol: port.protocol, ..any.clone() };
            let (is_http, is_detected) = (port.protocol.is_http(), port.protocol == Protocol::Auto);
            let table = (is_http || is_detected).then_some(Table::AllPorts);
            let chains = if is_http {
                Vec::new()
            } else {
                let is_by_name = service.addresses.iter().any(|address| address.contains('/'));
                network::chains(self.context, &source.virtual_services, service, &own, &[], is_by_name)
            };
            let http = Http { table, is_alone: is_http };
            self.add(source, bind.clone(), (service, &own), http, chains);
        }
    }

    /// Opens the listener of a port, or adds to one that is open.
    fn open(&mut self, source: &Source<'_>, bind: Option<&Bind<SmolStr>>, service: &Service, port: &ServicePort) {
        let context = self.context;
        if port.protocol.is_http() {
            let bind = bind.cloned().unwrap_or_default();
            let http = Http { table: Some(Table::Port), is_alone: bind != Bind::Any };
            self.add_for_all(source, bind, (service, port), http, Vec::new());
            return;
        }
        let chains = |ranges: &[SmolStr], is_wildcard: bool| {
            network::chains(context, &source.virtual_services, service, port, ranges, is_wildcard)
        };
        let address = |text: &SmolStr| text.parse::<IpAddr>().ok();
        let addresses: Vec<IpAddr> = service.addresses.iter().filter_map(address).collect();
        let ranges: Vec<&SmolStr> = service.addresses.iter().filter(|text| address(text).is_none()).collect();
        if let Some(bind) = bind {
            // The address tells no services apart: only those without one are known by their server names.
            let chains = chains(&[], addresses.is_empty() && (*bind == Bind::Any || !ranges.is_empty()));
            let http = Http::of(service, port, bind);
            self.add_for_all(source, bind.clone(), (service, port), http, chains);
            return;
        }
        let is_anywhere = addresses.is_empty() && ranges.is_empty() && service.resolution == Resolution::Passthrough;
        if is_anywhere && source.listener.port.is_none() {
            self.open_each_endpoint(source, service, port);
            return;
        }
        if addresses.is_empty() {
            let ranges: Vec<SmolStr> = ranges.into_iter().cloned().collect();
            let (http, of_any) = (Http::of(service, port, &Bind::Any), chains(&ranges, true));
            if !names::stands_for_address(service) {
                self.add_for_all(source, Bind::Any, (service, port), http, of_any);
                return;
            }
            self.add(source, Bind::Any, (service, port), http, of_any);
            let name = Bind::Service(service.hostname.clone());
            let http = Http::of(service, port, &name);
            self.add(source, name, (service, port), http, names::chains(chains(&[], false)));
            return;
        }
        for address in addresses {
            let bind = Bind::Address(address);
            let http = Http::of(service, port, &bind);
            self.add(source, bind, (service, port), http, chains(&[], false));
        }
    }

    /// Without an address of its own, and with connections going where the client meant them to, a service is reached
    /// at the addresses of its endpoints.
    fn open_each_endpoint(&mut self, source: &Source<'_>, service: &Service, port: &ServicePort) {
        let context = self.context;
        let chains =
            |is_wildcard: bool| network::chains(context, &source.virtual_services, service, port, &[], is_wildcard);
        let endpoints = context.mesh.registry().endpoints(service, port);
        if service.origin == ServiceOrigin::ServiceEntry && endpoints.is_empty() && service.selector.is_none() {
            self.add_for_all(source, Bind::Any, (service, port), Http::of(service, port, &Bind::Any), chains(true));
            return;
        }
        for address in endpoints.iter().filter_map(|endpoint| endpoint.address.as_ref()) {
            if let Ok(address) = address.parse::<IpAddr>() {
                let bind = Bind::Address(address);
                let http = Http::of(service, port, &bind);
                self.add(source, bind, (service, port), http, chains(false));
            }
        }
    }

    /// Adds to a listener; if that is for any address, to the one for any name too, where the port has one.
    fn add_for_all(
        &mut self,
        source: &Source<'_>,
        bind: Bind<SmolStr>,
        of: (&Service, &ServicePort),
        http: Http,
        chains: Vec<FilterChain>,
    ) {
        if bind == Bind::Any && self.named_ports.contains(&of.1.number) {
            self.add(source, Bind::OtherNames, of, http.clone(), chains.clone());
        }
        self.add(source, bind, of, http, chains);
    }

    fn add(
        &mut self,
        source: &Source<'_>,
        bind: Bind<SmolStr>,
        (service, port): (&Service, &ServicePort),
        http: Http,
        chains: Vec<FilterChain>,
    ) {
        let key = (port.number, bind);
        if self.locked.contains(&key) {
            return;
        }
        let names = || match &key.1 {
            Bind::Address(address) if source.listener.bind.is_some() => vec![format_smolstr!("{address}")],
            Bind::Address(_) | Bind::Service(_) => domains::of_service(service, self.context),
            Bind::Any | Bind::OtherNames | Bind::Socket(_) => Vec::new(),
        };
        let protocol = SmolStr::new_static(port.protocol.as_str());
        let is_new = match self.opened.get(&key) {
            None => true,
            // Of HTTP and other bytes at one address the first stays; what is to be detected displaces it.
            Some(opened) if opened.is_http_alone && port.protocol != Protocol::Auto => return,
            Some(opened) => opened.is_http_alone,
        };
        if is_new {
            let opened = Opened { protocol, names: names(), ..Opened::default() };
            self.opened.insert(key.clone(), opened);
        }
        let Some(opened) = self.opened.get_mut(&key) else { return };
        if http.is_alone && !is_new {
            return;
        }
        opened.is_http_alone = http.is_alone;
        if opened.http.is_none() {
            opened.http = http.table;
        }
        for chain in chains {
            // Of chains that match alike, the first stays.
            if opened.taken.insert((chain.server_names.clone(), chain.destinations.clone())) {
                opened.chains.push(chain);
            }
        }
    }

    fn finish<'s>(self, sources: &'s [Source<'s>]) -> ProxyProgram
    where
        Self: 's,
    {
        let Outbound { context, unknown, mut opened, named_ports, .. } = self;
        let fallback = unknown.fallback();
        for &port in &named_ports {
            // Even an empty one keeps other names from what is for any address.
            let none = || Opened { protocol: SmolStr::new_static(Protocol::Tcp.as_str()), ..Opened::default() };
            opened.entry((port, Bind::OtherNames)).or_insert_with(none);
        }
        let egress_proxy = unknown.egress_proxy.clone();
        let mut program = ProxyProgram { fallback, egress_proxy, ..ProxyProgram::default() };
        let mut tables = TableIndex::default();
        let make = |source: &'s Source<'s>| Ports::new(context, &source.virtual_services, &source.services, &unknown);
        let mut ports: Vec<Ports<'_>> = sources.iter().map(make).collect();
        for ((port, bind), opened) in opened {
            let mut filter_chains = opened.chains;
            if let Some(http) = opened.http {
                let name = match (&http, &bind) {
                    (Table::Service(host), _) => format_smolstr!("{host}:{port}"),
                    (_, Bind::Socket(socket)) => socket.clone(),
                    (Table::Port | Table::AllPorts, _) => format_smolstr!("{port}"),
                };
                // The first listener with this port has it, else the one without a port (semantics E36); of sockets that
                // which is bound there.
                let is_bound_there =
                    |source: &Source<'_>| port != 0 || self::bind(source.listener).as_ref() == Some(&bind);
                let has_port = |source: &Source<'_>| {
                    source.listener.port.is_none_or(|own| own.number == port && is_bound_there(source))
                };
                let Some(ports) = sources.iter().position(has_port).and_then(|at| ports.get_mut(at)) else { continue };
                let table = tables.get_or_insert(&name, || match &http {
                    Table::Port => ports.table(&name, port),
                    Table::Service(host) => ports.service_table(&name, port, host),
                    Table::AllPorts => ports.all_ports_table(&name),
                });
                let chain = FilterChain {
                    server_names: Vec::new(),
                    destinations: Vec::new(),
                    tls: None,
                    inspected: !opened.is_http_alone,
                    termination: None,
                    filter: Filter::Http(table),
                    location: None,
                };
                filter_chains.insert(0, chain);
            }
            let name = format_smolstr!("{}_{port}", bind.text().unwrap_or("0.0.0.0".into()));
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
            let mut notes = Vec::new();
            listeners::judge(&mut listener, &tables, &mut notes);
            // A cluster keeps apart what comes together at any address. What is told of one listener for names is not told
            // again of another.
            let is_together = listener.bind == Bind::Any && named_ports.contains(&port);
            let is_told = |note: &Note| program.notes.iter().any(|told| told.location == note.location);
            notes.retain(|note| !(is_together || listener.goes_by_name() && is_told(note)));
            program.notes.extend(notes);
            program.listeners.push(listener);
        }
        program.route_tables = tables.into_tables();
        program
    }
}
