//! Where a request comes in, and how a point of the space is sent there.

use super::{authority, world::FORWARDED_PROTO};
use crate::program::Role;
use crate::registry::Protocol;
use crate::{GatewayRef, HttpRule, Mesh, ProxySpec, VirtualService};
use malha_algebra::{Axis, Field, Point, Space};
use malha_model::istio::gateway::ServerTlsMode;
use malha_table::{Address, Lines, ProxyIdentity, Request, Tls};
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeMap;

/// One way in: a gateway's port or the mesh's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// A name that is the same for the same entrance: the value of [`Axis::Listener`].
    pub name: SmolStr,
    /// Which gateway, or the mesh.
    pub gateway: GatewayRef,
    /// The number that files know it by: of the Gateway's server, or of the service; none: one that no match
    /// names.
    pub number: Option<u32>,
    /// The listener's own port.
    pub port: Option<u32>,
    /// The address that connections are for, where the listener has one of its own.
    pub address: Option<SmolStr>,
    /// TLS ends there.
    pub tls: bool,
    /// The server name that a TLS client must say to come here; none: that of the request's host.
    pub server_name: Option<String>,
    /// The proxy that listens, where one is known.
    pub proxy: Option<ProxyIdentity>,
    /// A host that leads there.
    pub host: String,
}

/// The ways in to the HTTP rules of a VirtualService.
///
/// A gateway whose servers are not known has one without a port, so that nothing is said of its ports.
pub fn entrances(mesh: &Mesh, service: &VirtualService) -> Vec<Entrance> {
    let mut found: Vec<Entrance> = Vec::new();
    for gateway in &service.gateways {
        let before = found.len();
        match gateway {
            GatewayRef::Mesh => found.extend(of_mesh(mesh, service)),
            GatewayRef::Named(name) => {
                if let Some(known) = mesh.gateway(name) {
                    found.extend(of_gateway(mesh, service, known, gateway));
                }
            }
        }
        // The mesh has ports that these files do not tell, and so has a gateway that they do not hold.
        let is_open = found.len() == before || *gateway == GatewayRef::Mesh;
        if is_open {
            found.extend(named_ports(service).map(|port| entrance(gateway, Some(port), service)));
            found.push(entrance(gateway, None, service));
        }
    }
    let mut names = std::collections::BTreeSet::new();
    found.retain(|entrance| names.insert(entrance.name.clone()));
    found
}

fn entrance(gateway: &GatewayRef, number: Option<u32>, service: &VirtualService) -> Entrance {
    let name = listener_name(gateway, number);
    let host = service.hosts.first().map_or_else(String::new, |host| authority::example(host));
    Entrance {
        name,
        gateway: gateway.clone(),
        number,
        port: number,
        address: None,
        tls: false,
        server_name: None,
        proxy: None,
        host,
    }
}

/// The name of a way in, as [`Axis::Listener`] has it.
pub(super) fn listener_name(gateway: &GatewayRef, number: Option<u32>) -> SmolStr {
    number.map_or_else(|| format_smolstr!("{gateway}"), |number| format_smolstr!("{gateway} port {number}"))
}

fn of_gateway(mesh: &Mesh, service: &VirtualService, known: &crate::Gateway, gateway: &GatewayRef) -> Vec<Entrance> {
    let proxy = mesh.proxies().iter().find(|proxy| known.selects(&proxy.labels));
    let servers = known.servers().iter().filter_map(|server| {
        let port = server.port.as_ref()?;
        let (number, protocol) = (port.number.as_ref()?.value, Protocol::parse(port.protocol.as_ref()?));
        let mode = server.tls.as_ref().and_then(|tls| tls.mode.as_ref()).map(|mode| mode.value);
        let ends_tls = !matches!(mode, None | Some(ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough));
        let tls = protocol == Protocol::Https && ends_tls;
        (protocol.is_http() || tls).then_some((number, tls, server))
    });
    servers
        .map(|(number, tls, server)| {
            let hosts: Vec<&str> =
                server.hosts.iter().map(|host| host.rsplit('/').next().unwrap_or_default()).collect();
            let shared = crate::host::intersection(hosts, service.hosts.iter().map(SmolStr::as_str));
            let mut entrance = entrance(gateway, Some(number), service);
            entrance.tls = tls;
            if let Some(host) = shared.first() {
                entrance.host = authority::example(host);
            }
            if let Some(proxy) = proxy {
                entrance.port = Some(mesh.listener_port(proxy, number));
                entrance.proxy = Some(identity(proxy));
            }
            entrance
        })
        .collect()
}

/// The ports of the services that the hosts name; 80 for hosts that are none (semantics B37).
fn of_mesh(mesh: &Mesh, service: &VirtualService) -> Vec<Entrance> {
    // What a Sidecar lets through there does not count: clients of other namespaces have these rules too.
    let seen = mesh.registry().view(&service.name.namespace).services();
    let mut found = Vec::new();
    for host in &service.hosts {
        let known = seen.iter().filter(|service| crate::host::matches(&service.hostname, host));
        for known in known {
            for port in &known.ports {
                let mut entrance = entrance(&GatewayRef::Mesh, Some(port.number), service);
                entrance.host = authority::example(&known.hostname);
                found.push(entrance);
            }
        }
        let mut outside = entrance(&GatewayRef::Mesh, Some(80), service);
        outside.host = authority::example(host);
        found.push(outside);
    }
    found
}

/// The ports that matches name.
fn named_ports(service: &VirtualService) -> impl Iterator<Item = u32> {
    let named = service.http_rules().flat_map(HttpRule::matches).filter_map(|item| item.request.port.as_ref());
    named.map(|port| port.value).filter(|port| *port != 0)
}

pub(super) fn identity(proxy: &ProxySpec) -> ProxyIdentity {
    let text = |(name, value): (&SmolStr, &SmolStr)| (name.to_string(), value.to_string());
    ProxyIdentity { namespace: proxy.namespace.to_string(), labels: proxy.labels.iter().map(text).collect() }
}

impl Entrance {
    /// Whether it is one of a gateway's, rather than the mesh's.
    pub fn role(&self) -> Role {
        if self.gateway == GatewayRef::Mesh { Role::Sidecar } else { Role::Gateway }
    }

    /// A request to its host.
    pub fn to_host(&self) -> Request {
        let mut request = self.start();
        self.finish(&mut request);
        request
    }

    fn start(&self) -> Request {
        Request {
            via: Some(match &self.gateway {
                GatewayRef::Mesh => "mesh".to_owned(),
                GatewayRef::Named(name) => format!("gateway/{}/{}", name.namespace, name.name),
            }),
            port: self.port,
            proxy: self.proxy.clone(),
            destination: self.address.as_ref().map(|address| Address { ip: address.to_string() }),
            ..Request::default()
        }
    }

    /// Names the host, where nothing else is asked for, and speaks TLS.
    fn finish(&self, request: &mut Request) {
        if request.authority.is_none() {
            request.authority = Some(self.host.clone());
        }
        if self.tls {
            let host = request.authority.as_deref().unwrap_or_default();
            let sni = self.server_name.clone().unwrap_or_else(|| malha_table::http::host_key(host).into_owned());
            request.tls = Some(Tls { sni: Some(sni), alpn: Vec::new() });
        }
    }

    /// The request that a point stands for, sent here; none if a value of it is no text.
    pub fn request(&self, space: &mut Space, point: &Point) -> Option<Request> {
        let mut request = self.start();
        request.path = Some(text(&space.target(point))?);
        let (mut namespace, mut labels) = (None, BTreeMap::new());
        for (axis, values) in space.named(point) {
            let first = values.first();
            match axis {
                Axis::Field(Field::Method) => request.method = first.and_then(|value| text(value)),
                Axis::Field(Field::Authority) => request.authority = Some(text(first?)?),
                Axis::Field(Field::Header(name)) => header(&mut request, space, &name, &values)?,
                Axis::SourceNamespace => namespace = first.and_then(|value| text(value)),
                Axis::SourceLabel(name) => {
                    if let Some(value) = first {
                        labels.insert(name.to_string(), text(value)?);
                    }
                }
                Axis::Path
                | Axis::Listener
                | Axis::ServerName
                | Axis::Destination
                | Axis::Field(Field::Scheme | Field::PathWithQuery | Field::Query(_) | Field::Claim(_)) => {}
            }
        }
        self.finish(&mut request);
        let scheme = Axis::Field(Field::Scheme);
        if space.reads(&scheme) {
            request.scheme = space.values(point, &scheme).first().and_then(|value| text(value));
        }
        let usual = if self.tls { "https" } else { "http" };
        // What trusted proxies say of the scheme counts where the request says nothing of it.
        let is_told = self.role() == Role::Gateway && request.headers.contains_key(FORWARDED_PROTO);
        request.scheme = request.scheme.filter(|scheme| is_told || scheme != usual);
        request.method = request.method.filter(|method| method != "GET");
        if self.gateway == GatewayRef::Mesh && (namespace.is_some() || !labels.is_empty()) {
            let namespace = namespace.unwrap_or_else(|| "default".to_owned());
            request.proxy = Some(ProxyIdentity { namespace, labels });
        }
        Some(request)
    }
}

fn header(request: &mut Request, space: &Space, name: &SmolStr, values: &[Vec<u8>]) -> Option<()> {
    let written = space.world().written_headers.iter().find(|header| header.name == *name);
    // What the proxy writes over, a client need not send.
    if written.is_some_and(|written| !written.is_free) {
        return Some(());
    }
    let mut lines = values.iter().map(|value| text(value)).collect::<Option<Vec<_>>>()?;
    match lines.len() {
        0 => return Some(()),
        1 => request.headers.insert(name.to_string(), Lines::One(lines.swap_remove(0))),
        _ => request.headers.insert(name.to_string(), Lines::Many(lines)),
    };
    // An upgrade is seen only where the connection says so (semantics C.11).
    if name == "upgrade" && !request.headers.contains_key("connection") {
        request.headers.insert("connection".to_owned(), Lines::One("Upgrade".to_owned()));
    }
    Some(())
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}
