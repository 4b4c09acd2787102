//! Listening: which address a listener of the table takes on this machine, and its open sockets.

#[cfg(unix)]
use crate::socket_name;
use crate::{
    listening::Listening,
    metrics::lock,
    options::Options,
    original::OriginalDestination,
    socket_name::{SocketFile, SocketName},
};
use malha_table::Role;
use serde::Serialize;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, AtomicUsize},
    },
};
use tokio::sync::watch;

/// A listener that accepts connections. Its JSON is that of the ready file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerAddress {
    /// Its name in the table; a sidecar's outbound listener has the sidecar's, a forward's is the address that it stands
    /// for.
    pub name: String,
    /// `gateway` or `mesh`.
    pub role: &'static str,
    /// The proxy that it belongs to, as `namespace/name`.
    pub proxy: String,
    /// The port that the table says; for the mesh the outbound port, or that of the service.
    pub port: u16,
    /// As `HTTP`.
    pub protocol: String,
    /// Whether clients may speak TLS.
    pub tls: bool,
    /// Whether it stands for one address of the mesh, which is its name and port.
    #[serde(rename = "forward", skip_serializing_if = "std::ops::Not::not")]
    pub is_forward: bool,
    /// Where it accepts connections.
    pub address: SocketAddr,
}

/// A listener of a Sidecar's `egress[]` that clients connect to by themselves: an HTTP proxy, or a socket (semantics E39).
/// Its JSON is that of the ready file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EgressAddress {
    /// Its name in the table.
    pub name: String,
    /// The sidecar that it belongs to, as `namespace/name`.
    pub proxy: String,
    /// The port that the table says; 0: a socket.
    pub port: u16,
    /// As `HTTP_PROXY`.
    pub protocol: String,
    /// Where it accepts connections: an address, or a socket as `unix:///tmp/shop.sock` or `unix://@shop`.
    pub address: String,
}

/// Where a listener is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpenAt {
    Address(SocketAddr),
    Socket(SocketName),
}

impl OpenAt {
    /// The address, if it is one of the network.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            OpenAt::Address(address) => Some(*address),
            OpenAt::Socket(_) => None,
        }
    }
}

impl fmt::Display for OpenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenAt::Address(address) => address.fmt(f),
            OpenAt::Socket(socket) => socket.fmt(f),
        }
    }
}

/// What listeners of this proxy have, so that others cannot.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) addresses: BTreeSet<SocketAddr>,
    pub(crate) sockets: BTreeSet<SocketName>,
}

/// What tells one listener from another, from one table to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ListenerKey {
    pub(crate) role: Role,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    /// The address of the mesh that it stands for, if for one alone.
    pub(crate) forward: Option<OriginalDestination>,
    pub(crate) bind: Option<String>,
    /// Whether clients of a sidecar connect to it by themselves (semantics E39).
    pub(crate) is_egress: bool,
    /// The socket that it is open at, in place of an address.
    pub(crate) socket: Option<SocketName>,
    pub(crate) port: u16,
}

impl fmt::Display for ListenerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(to) = &self.forward {
            return write!(f, "the forward to {to} of sidecar {}/{}", self.namespace, self.name);
        }
        if self.is_egress {
            write!(f, "the egress listener ")?;
            match &self.socket {
                Some(socket) => write!(f, "{socket}")?,
                None => write!(f, "on port {}", self.port)?,
            }
            return write!(f, " of sidecar {}/{}", self.namespace, self.name);
        }
        match self.role {
            Role::Gateway => write!(f, "the listener of {}/{} on port {}", self.namespace, self.name, self.port),
            Role::Sidecar => write!(f, "the outbound listener of sidecar {}/{}", self.namespace, self.name),
        }
    }
}

impl ListenerKey {
    /// Whether it is the outbound listener of the sidecar of a client of which nothing is known.
    pub(crate) fn is_default_sidecar(&self) -> bool {
        self.role == Role::Sidecar
            && self.forward.is_none()
            && !self.is_egress
            && self.namespace == "default"
            && self.labels.is_empty()
    }
}

/// An open listener, shared by all workers.
#[derive(Debug)]
pub(crate) struct OpenListener {
    /// Never used again for another.
    pub(crate) id: u32,
    pub(crate) at: OpenAt,
    /// The file of its socket, as long as it listens.
    file: Mutex<Option<SocketFile>>,
    /// Open connections over all workers.
    pub(crate) connections: AtomicUsize,
    /// Connections that were ever accepted.
    pub(crate) accepted: AtomicU64,
    /// Connections that no filter chain took.
    pub(crate) unmatched: AtomicU64,
    /// Requests that have begun.
    pub(crate) requests: AtomicU64,
    /// The number of the proxy that it is of, for counting.
    pub(crate) source: AtomicU32,
    /// What that proxy is called in traces.
    pub(crate) service: Mutex<Arc<str>>,
    /// Becomes true when it stops: its connections end after the request at hand, or when their bytes have had their time.
    pub(crate) closing: watch::Sender<bool>,
}

impl OpenListener {
    pub(crate) fn new(id: u32, at: OpenAt, file: Option<SocketFile>) -> Self {
        OpenListener {
            id,
            at,
            file: Mutex::new(file),
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            unmatched: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            source: AtomicU32::new(0),
            service: Mutex::new("".into()),
            closing: watch::Sender::new(false),
        }
    }

    /// Stops it: nobody connects to it any more.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
        drop(lock(&self.file).take());
    }
}

/// Whether a connection to `target` reaches the socket that listens on `own`, or could: one for all addresses of the
/// machine takes it at each of them, and the loopback addresses are taken for one.
pub(crate) fn is_reached_at(own: SocketAddr, target: SocketAddr) -> bool {
    let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    let (own_ip, target_ip) = (own.ip().to_canonical(), target.ip().to_canonical());
    own.port() == target.port()
        && (own_ip == target_ip || own_ip.is_unspecified() || is_local(own_ip) && is_local(target_ip))
}

/// The address to try first, and the one to try where that takes a privilege that this process lacks.
fn addresses(key: &ListenerKey, options: &Options, taken: &Taken) -> (SocketAddr, Option<SocketAddr>) {
    let free_unless = |address: SocketAddr| {
        // The first by name has an address that several want; the others get free ones.
        if taken.addresses.contains(&address) { SocketAddr::new(address.ip(), 0) } else { address }
    };
    if key.forward.is_some() {
        let forward = options.forwards.iter().find(|forward| forward.is_for(key));
        let free = SocketAddr::new(options.host, 0);
        return (free_unless(forward.map_or(free, |forward| forward.listen)), None);
    }
    if key.role == Role::Sidecar && !key.is_egress {
        let configured = options.sidecars.get(&key.name).copied();
        let default =
            if key.is_default_sidecar() { options.outbound } else { SocketAddr::new(options.outbound.ip(), 0) };
        return (free_unless(configured.unwrap_or(default)), None);
    }
    // A forward proxy for whoever asks is where sidecars are, which is this machine alone unless it is said otherwise.
    let host = if key.is_egress { options.outbound.ip() } else { options.host };
    let at = |port| free_unless(SocketAddr::new(host, port));
    if let Some(&port) = options.ports.get(&key.port) {
        return (at(port), None);
    }
    if options.ephemeral {
        return (at(0), None);
    }
    let fallback = (key.port < 1024).then(|| at(key.port.saturating_add(options.privileged_offset)));
    (at(key.port), fallback)
}

/// Whether a listener that was opened for `before` at `address`, and that nobody wants any more, can go on as `wanted`:
/// it is where that would be opened.
pub(crate) fn can_go_on_as(
    wanted: &ListenerKey,
    options: &Options,
    taken: &Taken,
    before: &ListenerKey,
    at: &OpenAt,
) -> bool {
    let is_alike = (wanted.role, &wanted.forward, wanted.is_egress) == (before.role, &before.forward, before.is_egress);
    let address = match at {
        OpenAt::Address(address) => *address,
        OpenAt::Socket(_) => return is_alike && wanted.socket == before.socket,
    };
    if wanted.socket.is_some() {
        return false;
    }
    let (first, fallback) = addresses(wanted, options, taken);
    let is_anywhere = first == SocketAddr::new(address.ip(), 0);
    is_alike && (first == address || wanted.port == before.port && (is_anywhere || fallback == Some(address)))
}

/// An open listener: where it is, its file if it has one, and a socket for each worker.
pub(crate) type Opened = (OpenAt, Option<SocketFile>, Vec<Listening>);

/// Opens one socket for each worker, all on one address; or says where that cannot be, and why.
pub(crate) fn open(key: &ListenerKey, options: &Options, taken: &Taken) -> Result<Opened, (OpenAt, io::Error)> {
    let workers = options.cores.max(1);
    if let Some(socket) = &key.socket {
        let is_elsewhere = options.ephemeral || taken.sockets.contains(socket);
        return open_socket(socket, is_elsewhere, workers).map_err(|error| (OpenAt::Socket(socket.clone()), error));
    }
    let (address, fallback) = addresses(key, options, taken);
    let opened = match open_at(address, workers) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let fallback = fallback.ok_or((OpenAt::Address(address), error))?;
            open_at(fallback, workers).map_err(|error| (fallback, error))
        }
        opened => opened.map_err(|error| (address, error)),
    };
    let (address, sockets) = opened.map_err(|(address, error)| (OpenAt::Address(address), error))?;
    Ok((OpenAt::Address(address), None, sockets.into_iter().map(Listening::Tcp).collect()))
}

#[cfg(unix)]
fn open_socket(name: &SocketName, is_elsewhere: bool, workers: usize) -> io::Result<Opened> {
    let (first, name, file) = socket_name::listen(name, is_elsewhere)?;
    let mut sockets = Vec::with_capacity(workers);
    // They share one queue of connections.
    for _ in 1..workers {
        sockets.push(Listening::Unix(first.try_clone()?));
    }
    sockets.push(Listening::Unix(first));
    Ok((OpenAt::Socket(name), file, sockets))
}

#[cfg(not(unix))]
fn open_socket(_: &SocketName, _: bool, _: usize) -> io::Result<Opened> {
    Err(io::ErrorKind::Unsupported.into())
}

fn open_at(address: SocketAddr, sockets: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let mut listeners = Vec::with_capacity(sockets);
    if sockets == 1 {
        listeners.push(listen(address, false)?);
    } else {
        // Shared ports are shared with other processes of the same user too, who would then steal connections from
        // each other: find out first whether the port is free.
        let address = if address.port() == 0 { address } else { listen(address, false)?.local_addr()? };
        listeners.push(listen(address, true)?);
    }
    let address = listeners[0].local_addr()?;
    for _ in 1..sockets {
        listeners.push(listen(address, true)?);
    }
    Ok((address, listeners))
}

/// A listening socket that does not block.
pub(crate) fn listen(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for connections of the process before.
    socket.set_reuse_address(true)?;
    if is_shared {
        #[cfg(all(unix, not(target_os = "solaris"), not(target_os = "illumos")))]
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(1024)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn key(role: Role, name: &str, port: u16) -> ListenerKey {
        let (namespace, name) = ("default".to_owned(), name.to_owned());
        let labels = Vec::new();
        ListenerKey { role, namespace, name, labels, forward: None, bind: None, is_egress: false, socket: None, port }
    }

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    #[test]
    fn ports_are_mapped_and_shared_addresses_go_to_the_first() {
        let mut options = Options { ports: [(80, 8088), (81, 0)].into(), ..Options::default() };
        let none = Taken::default();
        let gateway = |port| key(Role::Gateway, "a", port);
        assert_eq!(addresses(&gateway(80), &options, &none), (local(8088), None));
        assert_eq!(addresses(&gateway(81), &options, &none), (local(0), None));
        assert_eq!(addresses(&gateway(443), &options, &none), (local(443), Some(local(8443))));
        assert_eq!(addresses(&gateway(9000), &options, &none), (local(9000), None));
        let taken = Taken { addresses: [local(8088)].into(), ..Taken::default() };
        assert_eq!(addresses(&gateway(80), &options, &taken), (local(0), None));
        options.ephemeral = true;
        assert_eq!(addresses(&gateway(9000), &options, &none), (local(0), None));
        assert_eq!(addresses(&gateway(80), &options, &none), (local(8088), None));
    }

    #[test]
    fn a_listener_is_reached_by_more_addresses_than_its_own() {
        for (own, target, is_reached) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", true),
            ("127.0.0.1:80", "[::1]:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("10.0.0.1:80", "[::ffff:10.0.0.1]:80", true),
            ("127.0.0.1:80", "10.0.0.1:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "10.0.0.1:80", true),
            ("10.0.0.1:80", "127.0.0.1:80", false),
            ("10.0.0.1:80", "10.0.0.1:80", true),
        ] {
            assert_eq!(is_reached_at(own.parse().unwrap(), target.parse().unwrap()), is_reached, "{own} {target}");
        }
    }

    #[test]
    fn the_default_sidecar_has_the_outbound_address() {
        let options = Options { sidecars: [("web".to_owned(), local(15002))].into(), ..Options::default() };
        let none = Taken::default();
        let mut labelled = key(Role::Sidecar, "other", 15001);
        labelled.labels = vec![("app".to_owned(), "other".to_owned())];
        assert_eq!(addresses(&key(Role::Sidecar, "default", 15001), &options, &none).0, local(15001));
        assert_eq!(addresses(&key(Role::Sidecar, "web", 15001), &options, &none).0, local(15002));
        assert_eq!(addresses(&labelled, &options, &none).0, local(0));
    }

    #[test]
    fn an_address_in_use_is_an_error_and_workers_share_one() {
        let options = Options { cores: 2, ephemeral: true, outbound: local(0), ..Options::default() };
        let (at, _, sockets) = open(&key(Role::Gateway, "a", 80), &options, &Taken::default()).unwrap();
        let address = at.address().unwrap();
        assert_eq!(sockets.len(), 2);
        let is_there =
            |socket: &Listening| matches!(socket, Listening::Tcp(tcp) if tcp.local_addr().unwrap() == address);
        assert!(sockets.iter().all(is_there));
        for cores in [1, 2] {
            assert_eq!(open_at(address, cores).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
