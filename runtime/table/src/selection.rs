//! Which proxy and which listener a request is for: the same for the table and the reference interpreter.

use crate::{
    Protocol, ProxyIdentity, Request,
    http::{host_key, port_start},
};
use std::{fmt, net::IpAddr};

/// Gateway or sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A standalone proxy that Gateways select.
    Gateway,
    /// The client side of a workload.
    Sidecar,
}

/// Why a request has no decision: it does not say who decides, or asks for what there is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// `via` is none of `gateway`, `gateway/NS/NAME`, `mesh`.
    Via(String),
    /// No proxy is as the request says.
    NoProxy(String),
    /// Several are; their names.
    SeveralProxies(Vec<String>),
    /// An address is not an IP address.
    Address(String),
    /// `draw` is not the index of a destination.
    Draw {
        /// As asked.
        draw: u32,
        /// How many destinations there are.
        destinations: usize,
    },
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteError::Via(via) => {
                write!(f, "`{via}` is not a way into the mesh: `gateway`, `gateway/NAMESPACE/NAME` or `mesh` is")
            }
            RouteError::NoProxy(wanted) => write!(f, "there is no {wanted}"),
            RouteError::SeveralProxies(names) => {
                write!(
                    f,
                    "several gateway proxies could take the request: {}; name one in `via`, as `gateway/{}`, or by `proxy`",
                    names.join(", "),
                    names.first().map_or("NAMESPACE/NAME", String::as_str)
                )
            }
            RouteError::Address(text) => write!(f, "`{text}` is not an IP address"),
            RouteError::Draw { draw, destinations } => {
                write!(f, "`draw` is {draw}, but the route has {destinations} destinations, counted from 0")
            }
        }
    }
}

impl std::error::Error for RouteError {}

/// What the choice of a proxy needs to know of one.
pub trait ProxyView {
    /// Gateway or sidecar.
    fn role(&self) -> Role;
    /// A name for messages, as `istio-system/ingress`.
    fn display_name(&self) -> String;
    /// Whether it has this namespace and exactly these labels.
    fn is(&self, identity: &ProxyIdentity) -> bool;
    /// Whether the Gateway of this namespace and name selects it.
    fn is_selected_by(&self, namespace: &str, name: &str) -> bool;
    /// Whether it listens on the port.
    fn listens_on(&self, port: u32) -> bool;
}

/// The port that a request is for: its own; for the mesh else that of its Host; else the scheme's.
pub fn request_port(request: &Request) -> u32 {
    let host_port = || {
        let authority = request.authority.as_deref().filter(|_| request.via.as_deref() == Some("mesh"))?;
        authority.get(port_start(authority)? + 1..)?.parse().ok()
    };
    request.port.or_else(host_port).unwrap_or(if request.tls.is_some() { 443 } else { 80 })
}

/// Where a client means to connect to, as far as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant<'a> {
    /// An address.
    Address(IpAddr),
    /// A name, as in CONNECT; it may have a port.
    Name(&'a str),
    /// It says the Host of a request alone, which may have come by any address.
    Host(&'a str),
    /// Nothing.
    Unsaid,
}

impl<'a> Meant<'a> {
    /// What a request says; `address` is its destination. In the mesh a name that is an IP address means that.
    pub fn of(request: &'a Request, address: Option<IpAddr>) -> Meant<'a> {
        // What ends no TLS sees no Host: so it is the connection that names it.
        let is_connection = request.tls.is_some() || request.protocol.unwrap_or_default() != Protocol::Http;
        match (address, request.authority.as_deref()) {
            (Some(address), _) => Meant::Address(address),
            (None, Some(name)) if is_connection => {
                let is_mesh = request.via.as_deref() == Some("mesh");
                let written = || host_key(name).trim_matches(['[', ']']).parse().ok();
                is_mesh.then(written).flatten().map_or(Meant::Name(name), Meant::Address)
            }
            (None, Some(host)) => Meant::Host(host),
            (None, None) => Meant::Unsaid,
        }
    }
}

/// The proxy that executes a request (design, JSON contract): for `mesh` the sidecar that `proxy` says (namespace
/// `default`, no labels, if it says nothing), for a gateway the one that the Gateway selects (or that is called so,
/// where there is no such Gateway) or `proxy` says, else the only one that listens on the port, else the only one.
pub fn choose_proxy<P: ProxyView>(request: &Request, proxies: impl Iterator<Item = P>) -> Result<P, RouteError> {
    let via = request.via.as_deref().unwrap_or("gateway");
    let mut parts = via.split('/');
    let gateway = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("mesh"), None, ..) => return sidecar(request, proxies),
        (Some("gateway"), None, ..) => None,
        (Some("gateway"), Some(namespace), Some(name), None) => Some((namespace, name)),
        _ => return Err(RouteError::Via(via.to_owned())),
    };
    let identity = request.proxy.as_ref().map(with_namespace);
    let mut candidates: Vec<P> = proxies.filter(|proxy| proxy.role() == Role::Gateway).collect();
    if let Some((namespace, name)) = gateway {
        // The Gateway of a name comes before the proxy of that name.
        if candidates.iter().any(|proxy| proxy.is_selected_by(namespace, name)) {
            candidates.retain(|proxy| proxy.is_selected_by(namespace, name));
        } else {
            let called = format!("{namespace}/{name}");
            candidates.retain(|proxy| proxy.display_name() == called);
        }
    }
    candidates.retain(|proxy| identity.as_ref().is_none_or(|identity| proxy.is(identity)));
    if candidates.len() > 1 {
        let port = request_port(request);
        let listening = candidates.iter().filter(|proxy| proxy.listens_on(port)).count();
        if listening > 0 {
            candidates.retain(|proxy| proxy.listens_on(port));
        }
    }
    if candidates.len() > 1 {
        return Err(RouteError::SeveralProxies(candidates.iter().map(ProxyView::display_name).collect()));
    }
    candidates.pop().ok_or_else(|| {
        RouteError::NoProxy(match (gateway, &identity) {
            (Some((namespace, name)), None) => format!("Gateway or gateway proxy {namespace}/{name}"),
            (Some((namespace, name)), Some(identity)) => {
                format!("gateway proxy with {} that Gateway {namespace}/{name} selects", describe(identity))
            }
            (None, Some(identity)) => format!("gateway proxy with {}", describe(identity)),
            (None, None) => "gateway proxy".to_owned(),
        })
    })
}

fn sidecar<P: ProxyView>(request: &Request, mut proxies: impl Iterator<Item = P>) -> Result<P, RouteError> {
    let identity = with_namespace(request.proxy.as_ref().unwrap_or(&ProxyIdentity::default()));
    proxies
        .find(|proxy| proxy.role() == Role::Sidecar && proxy.is(&identity))
        .ok_or_else(|| RouteError::NoProxy(format!("sidecar with {}", describe(&identity))))
}

/// An identity without namespace is in `default`.
fn with_namespace(identity: &ProxyIdentity) -> ProxyIdentity {
    let mut identity = identity.clone();
    if identity.namespace.is_empty() {
        "default".clone_into(&mut identity.namespace);
    }
    identity
}

fn describe(identity: &ProxyIdentity) -> String {
    let labels: Vec<String> = identity.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = if labels.is_empty() { "no labels".to_owned() } else { format!("labels {}", labels.join(",")) };
    format!("namespace {} and {labels}", identity.namespace)
}
