//! The route tables of a sidecar: one for each port, shared by all services that have it (semantics B36 to B40), and those
//! of listeners for all ports (semantics E39).

use super::domains;
use super::egress_proxy::Unknown;
use crate::host::HostMap;
use crate::lower::context::{Context, LoweredTable};
use crate::lower::routes::RouteList;
use crate::program::RouteTable;
use crate::registry::{Protocol, Service, ServicePort};
use crate::{GatewayRef, ObjectName, VirtualService, host};
use hashbrown::{HashMap, HashSet, hash_map::Entry};
use smol_str::{SmolStr, StrExt, format_smolstr};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Makes the tables of a sidecar; what a port's virtual hosts are is found once.
pub(super) struct Ports<'a> {
    context: &'a Context<'a>,
    virtual_services: &'a [&'a Arc<VirtualService>],
    services: &'a [Arc<Service>],
    unknown: &'a Unknown,
    /// The VirtualService that owns each service: that with the most specific host, of equals the first.
    owners: HashMap<SmolStr, ObjectName>,
    drafts: HashMap<u32, PortDrafts>,
}

/// The virtual hosts of a port.
#[derive(Default)]
struct PortDrafts {
    list: Vec<Draft>,
    /// Which of them has a domain: none has that of another.
    by_domain: HashMap<SmolStr, usize>,
}

/// A virtual host on its way.
#[derive(Clone, Debug)]
struct Draft {
    domains: Vec<SmolStr>,
    list: Arc<RouteList>,
}

impl<'a> Ports<'a> {
    pub(super) fn new(
        context: &'a Context<'a>,
        virtual_services: &'a [&'a Arc<VirtualService>],
        services: &'a [Arc<Service>],
        unknown: &'a Unknown,
    ) -> Self {
        let owners = owners(virtual_services, services);
        Ports { context, virtual_services, services, unknown, owners, drafts: HashMap::new() }
    }

    /// The table of a port; unknown hosts end in its catch-all (semantics B39).
    pub(super) fn table(&mut self, name: &SmolStr, port: u32) -> LoweredTable {
        let hosts = all(self.drafts(port));
        let mut lowered = self.lower(name, hosts);
        lowered.table.virtual_hosts.push(self.unknown.catch_all());
        lowered
    }

    /// The table of one service whose protocol is detected: whatever Host is sent to its address goes there (semantics
    /// B36). Where the service has no virtual host of its own, that is the port's table without the catch-all.
    pub(super) fn service_table(&mut self, name: &SmolStr, port: u32, service: &str) -> LoweredTable {
        let drafts = self.drafts(port);
        let own = drafts.by_domain.get(service).and_then(|at| drafts.list.get(*at));
        let chosen = match own {
            Some(draft) => vec![(vec![SmolStr::new_static("*")], Arc::clone(&draft.list))],
            None => all(drafts),
        };
        self.lower(name, chosen)
    }

    /// The table of a listener for all ports of its services: a Host that names no port is for port 80 (semantics E39).
    pub(super) fn all_ports_table(&self, name: &SmolStr) -> LoweredTable {
        let drafts = self.make_drafts_of_all_ports();
        let mut lowered = self.lower(name, all(&drafts));
        lowered.table.counts_ports = true;
        lowered.table.virtual_hosts.push(self.unknown.catch_all());
        lowered
    }

    fn lower(&self, name: &SmolStr, hosts: Vec<(Vec<SmolStr>, Arc<RouteList>)>) -> LoweredTable {
        let table = RouteTable { name: name.clone(), ..RouteTable::default() };
        let mut lowered = LoweredTable { table, refusals: Vec::new(), notes: Vec::new() };
        for (domains, list) in hosts {
            lowered.refusals.extend(list.refusals.iter().cloned());
            lowered.table.virtual_hosts.push(self.context.virtual_host(domains, false, &[list], None));
        }
        lowered
    }

    fn drafts(&mut self, port: u32) -> &PortDrafts {
        if !self.drafts.contains_key(&port) {
            let drafts = self.make_drafts(port);
            self.drafts.insert(port, drafts);
        }
        self.drafts.entry(port).or_default()
    }

    fn make_drafts(&self, port: u32) -> PortDrafts {
        let on_port: Vec<&Arc<Service>> = self.services.iter().filter(|service| service.port(port).is_some()).collect();
        let by_name: HashMap<&str, &Arc<Service>> =
            on_port.iter().map(|service| (service.hostname.as_str(), *service)).collect();
        let wildcards: Vec<&str> = by_name.keys().copied().filter(|name| host::is_wildcard(name)).collect();
        let mut drafts = Drafts::new(self.context, &on_port);
        let mut routed: HashSet<&str> = HashSet::new();
        for service in self.virtual_services {
            // Hosts that are no service have a virtual host on port 80 alone (semantics B37).
            if port != 80 && !touches(service, &by_name, &wildcards) {
                continue;
            }
            let hosts = self.hosts_of(service, &on_port, &by_name);
            let is_routable = |service: &&&Arc<Service>| is_http_on(service, port);
            let services: Vec<&Arc<Service>> = hosts.services.iter().filter(is_routable).copied().collect();
            if services.is_empty() && port != 80 {
                continue;
            }
            let gateway = GatewayRef::Mesh;
            let list =
                self.context.routes(service, &self.context.scope(&gateway, &service.name.namespace, port, false));
            if list.routes.is_empty() {
                continue;
            }
            for host in hosts.others {
                drafts.add_host(host, &list);
            }
            for service in services {
                drafts.add_service(service, &list);
                routed.insert(&service.hostname);
            }
        }
        for service in &on_port {
            if is_http_on(service, port) && !routed.contains(service.hostname.as_str()) {
                drafts.add_service(service, &self.plain_routes(service, port));
            }
        }
        drafts.made
    }

    fn make_drafts_of_all_ports(&self) -> PortDrafts {
        let services: Vec<&Arc<Service>> = self.services.iter().collect();
        let by_name: HashMap<&str, &Arc<Service>> =
            services.iter().map(|service| (service.hostname.as_str(), *service)).collect();
        let mut drafts = Drafts::new(self.context, &services);
        let mut routed: HashSet<&str> = HashSet::new();
        for rules in self.virtual_services {
            let hosts = self.hosts_of(rules, &services, &by_name);
            let gateway = GatewayRef::Mesh;
            let list = self.context.routes(rules, &self.context.scope(&gateway, &rules.name.namespace, 0, false));
            if list.routes.is_empty() {
                continue;
            }
            let ports: BTreeSet<u32> = hosts.services.iter().flat_map(|service| http_ports(service)).collect();
            for port in ports {
                // Names that are no service are known on port 80 alone.
                for host in hosts.others.iter().filter(|_| port == USUAL_PORT) {
                    drafts.add_on_port(host, port, &[(*host).clone()], &[], &list);
                }
                for service in hosts.services.iter().filter(|service| is_http_on(service, port)) {
                    drafts.add_service_on_port(service, port, &list);
                    routed.insert(&service.hostname);
                }
            }
        }
        for service in services.iter().filter(|service| !routed.contains(service.hostname.as_str())) {
            for port in http_ports(service) {
                drafts.add_service_on_port(service, port, &self.plain_routes(service, port));
            }
        }
        drafts.made
    }

    /// The hosts of a VirtualService: services of the port that it owns, and names that are no service there.
    fn hosts_of<'s>(
        &self,
        virtual_service: &'s VirtualService,
        on_port: &[&'s Arc<Service>],
        by_name: &HashMap<&str, &'s Arc<Service>>,
    ) -> Hosts<'s> {
        let (wildcards, exact): (Vec<&SmolStr>, Vec<&SmolStr>) =
            virtual_service.hosts.iter().partition(|host| host::is_wildcard(host));
        let mut hosts = Hosts { services: Vec::new(), others: Vec::new() };
        for host in exact {
            match by_name.get(host.as_str()) {
                Some(service) => hosts.services.push(service),
                None => hosts.others.push(host),
            }
        }
        for host in wildcards {
            let mut covers_some = false;
            for service in on_port.iter().filter(|service| host::matches(host, &service.hostname)) {
                covers_some = true;
                if self.owners.get(&service.hostname) == Some(&virtual_service.name) {
                    hosts.services.push(service);
                }
            }
            if !covers_some {
                hosts.others.push(host);
            }
        }
        hosts
    }

    /// The route of a service without VirtualService: everything to its cluster (semantics B38).
    fn plain_routes(&self, service: &Service, port: u32) -> Arc<RouteList> {
        let gateway = GatewayRef::Mesh;
        let scope = self.context.scope(&gateway, &service.namespace, port, false);
        self.context.plain_routes(service, &scope)
    }
}

/// All virtual hosts of a port.
fn all(drafts: &PortDrafts) -> Vec<(Vec<SmolStr>, Arc<RouteList>)> {
    drafts.list.iter().map(|draft| (draft.domains.clone(), Arc::clone(&draft.list))).collect()
}

/// What the hosts of a VirtualService are on a port.
struct Hosts<'s> {
    services: Vec<&'s Arc<Service>>,
    others: Vec<&'s SmolStr>,
}

/// The virtual hosts of a port so far; a domain belongs to the first that asks for it.
struct Drafts<'a> {
    context: &'a Context<'a>,
    made: PortDrafts,
    names: HashSet<SmolStr>,
    /// Names of services: no short form of another takes them.
    whole_names: HashSet<SmolStr>,
}

impl<'a> Drafts<'a> {
    fn new(context: &'a Context<'a>, services: &[&Arc<Service>]) -> Self {
        let whole =
            services.iter().flat_map(|service| [service.hostname.clone(), format_smolstr!("{}.", service.hostname)]);
        Drafts { context, made: PortDrafts::default(), names: HashSet::new(), whole_names: whole.collect() }
    }

    fn add_host(&mut self, host: &SmolStr, list: &Arc<RouteList>) {
        self.add(host, vec![host.clone()], &[], list);
    }

    fn add_service(&mut self, service: &Service, list: &Arc<RouteList>) {
        let short = domains::short_forms(service, self.context);
        self.add(&service.hostname, domains::of_service(service, self.context), &short, list);
    }

    fn add_service_on_port(&mut self, service: &Service, port: u32, list: &Arc<RouteList>) {
        let short = domains::short_forms(service, self.context);
        self.add_on_port(&service.hostname, port, &domains::of_service(service, self.context), &short, list);
    }

    /// One whose domains have a port; that of [`USUAL_PORT`] may be left out.
    fn add_on_port(&mut self, name: &str, port: u32, hosts: &[SmolStr], short: &[SmolStr], list: &Arc<RouteList>) {
        let named = |host: &SmolStr| {
            if host.parse::<Ipv6Addr>().is_ok() { format_smolstr!("[{host}]") } else { host.clone() }
        };
        let hosts = hosts.iter().map(named);
        let without = |host: &SmolStr| (port == USUAL_PORT).then(|| host.clone());
        let domains =
            hosts.flat_map(|host| without(&host).into_iter().chain([format_smolstr!("{host}:{port}")])).collect();
        self.add(&format_smolstr!("{name}:{port}"), domains, short, list);
    }

    fn add(&mut self, name: &SmolStr, domains: Vec<SmolStr>, short: &[SmolStr], list: &Arc<RouteList>) {
        if !self.names.insert(name.clone()) {
            return;
        }
        let PortDrafts { list: made, by_domain } = &mut self.made;
        let mut own = Vec::with_capacity(domains.len());
        for domain in domains {
            if short.contains(&domain) && self.whole_names.contains(&domain) {
                continue;
            }
            let domain = domain.to_lowercase_smolstr();
            if let Entry::Vacant(free) = by_domain.entry(domain.clone()) {
                free.insert(made.len());
                own.push(domain);
            }
        }
        if !own.is_empty() {
            made.push(Draft { domains: own, list: Arc::clone(list) });
        }
    }
}

/// Whether a host of the VirtualService overlaps the name of a service; `wildcards` are those names that are patterns.
fn touches(virtual_service: &VirtualService, services: &HashMap<&str, &Arc<Service>>, wildcards: &[&str]) -> bool {
    virtual_service.hosts.iter().any(|wanted| {
        let matches = |name: &&str| host::matches(wanted, name);
        services.contains_key(wanted.as_str())
            || wildcards.iter().any(matches)
            || (host::is_wildcard(wanted) && services.keys().any(matches))
    })
}

/// The port of a Host that names none.
const USUAL_PORT: u32 = 80;

fn is_http_on(service: &Service, port: u32) -> bool {
    service.port(port).is_some_and(carries_http)
}

/// The numbers of its ports that carry HTTP, or may.
fn http_ports(service: &Service) -> impl Iterator<Item = u32> {
    service.ports.iter().filter(|port| carries_http(port)).map(|port| port.number)
}

fn carries_http(port: &ServicePort) -> bool {
    port.protocol.is_http() || port.protocol == Protocol::Auto
}

/// For each service the VirtualService with the most specific host for it (semantics B.2).
fn owners(virtual_services: &[&Arc<VirtualService>], services: &[Arc<Service>]) -> HashMap<SmolStr, ObjectName> {
    let mut by_host: HostMap<Option<&ObjectName>> = HostMap::default();
    for service in virtual_services {
        for host in &service.hosts {
            by_host.entry(host).get_or_insert(&service.name);
        }
    }
    let owner = |service: &Arc<Service>| {
        let owner = (*by_host.most_specific(&service.hostname)?)?;
        Some((service.hostname.clone(), owner.clone()))
    };
    services.iter().filter_map(owner).collect()
}
