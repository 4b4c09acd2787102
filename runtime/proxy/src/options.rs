//! What a caller decides about a proxy.

use crate::{AccessLog, Neighbours, PortForward, Tracing};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Decisions about a running proxy. `Options::default()` is what `malha run` uses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads, each with its own runtime and its own upstream connections; 0 counts as 1. One by default, so
    /// that round robin and small limits behave exactly.
    pub cores: usize,
    /// The address that listeners bind, whatever the table says: a mesh that runs on a developer's machine is not for
    /// its network.
    pub host: IpAddr,
    /// Ports to use instead of those that the table says; 0 asks for any free one.
    pub ports: BTreeMap<u16, u16>,
    /// Every listener takes a free port but those that another option names an address for: [`Options::ports`],
    /// [`Options::outbound`], [`Options::sidecars`], [`Options::forwards`].
    pub ephemeral: bool,
    /// Added to a port below 1024 that this process may not bind.
    pub privileged_offset: u16,
    /// Where mesh clients find the default sidecar.
    pub outbound: SocketAddr,
    /// Where mesh clients find other sidecars, by their name in the table; one without an entry takes a free port.
    pub sidecars: BTreeMap<String, SocketAddr>,
    /// Ports that stand for addresses of the mesh.
    pub forwards: Vec<PortForward>,
    /// The admin server's address; none: no admin server.
    pub admin: Option<SocketAddr>,
    /// Answers carry `x-malha-rule`, which names the rule that took the request and its line.
    pub explain: bool,
    /// Makes every chance repeatable: weights, load balancing, jitter, request ids. None: from the system.
    pub seed: Option<u64>,
    /// Where one line for each request goes; none: nowhere.
    pub access_log: Option<AccessLog>,
    /// Where traces of requests go; none: nowhere, and headers of traces pass as they are.
    pub tracing: Option<Tracing>,
    /// Bounds on what a client or an upstream can use.
    pub limits: Limits,
    /// How far requests to hosts that the mesh does not know may go.
    pub passthrough: Passthrough,
    /// Hosts that sidecars do not know and that are on this machine all the same.
    pub neighbours: Neighbours,
    /// How long a sidecar waits for the first bytes of a client where they decide about its protocol, before it takes it
    /// for one that waits for the server; none: as long as for a request. The MeshConfig's `protocolDetectionTimeout`.
    pub protocol_detection_timeout: Option<Duration>,
    /// How the addresses of names are found.
    pub dns: Dns,
    /// Called by `POST /reload`; none: the admin server answers 501.
    pub on_reload: Option<Reload>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            cores: 1,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: BTreeMap::new(),
            ephemeral: false,
            privileged_offset: 8000,
            outbound: SocketAddr::from((Ipv4Addr::LOCALHOST, 15001)),
            sidecars: BTreeMap::new(),
            forwards: Vec::new(),
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 15000))),
            explain: false,
            seed: None,
            access_log: None,
            tracing: None,
            limits: Limits::default(),
            passthrough: Passthrough::default(),
            neighbours: Neighbours::default(),
            protocol_detection_timeout: None,
            dns: Dns::default(),
            on_reload: None,
        }
    }
}

/// How far a request may go under `ALLOW_ANY` (semantics B39, E21), where the mesh knows nothing of its host.
///
/// In a cluster such a request goes wherever the client meant it to. On a developer's machine that would be a surprise:
/// a typo in a host would leave the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passthrough {
    /// To `localhost` and loopback addresses; everything else is answered with 502 and a body that says so. No name is
    /// looked up.
    #[default]
    Loopback,
    /// Anywhere, as in a cluster.
    Anywhere,
}

/// How the addresses of names are found (semantics E5 to E8). `localhost` and names below it are loopback whatever anybody
/// says, and the system's file of hosts comes before all servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Servers to ask, in this order; none: those that the system names.
    pub servers: Vec<SocketAddr>,
    /// How long until a name is looked up again whose answer does not say how long it holds, or that nobody could answer:
    /// Istio's `dnsRefreshRate`, where the table does not say it.
    pub refresh: Duration,
    /// How long a server is waited for before the next is asked, or the same one again; what it says later still counts.
    /// All are asked in four rounds: Envoy's own numbers.
    pub patience: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Dns { servers: Vec::new(), refresh: Duration::from_mins(1), patience: Duration::from_secs(5) }
    }
}

impl Dns {
    /// A server as people write it: an address, perhaps with a port.
    ///
    /// # Errors
    /// It is none, in words.
    pub fn server(text: &str) -> Result<SocketAddr, String> {
        let with_port = |ip: IpAddr| SocketAddr::new(ip, 53);
        let server = text.parse().or_else(|_| text.parse().map(with_port));
        server.map_err(|_| format!("`{text}` is no address of a server, as `10.0.0.53` or `127.0.0.1:5353`"))
    }
}

/// Bounds on what a client or an upstream can use. The defaults are Envoy's where it has one (semantics A69, C54).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a request, or from the connection's start, to the end of its headers.
    pub header_read_timeout: Duration,
    /// From a connection's start to the end of its client's TLS hello, where chains ask for that (semantics A56).
    pub hello_timeout: Duration,
    /// How long TLS that ends here may take from the hello on (semantics A56).
    pub handshake_timeout: Duration,
    /// How long connections of plain bytes go on when a new table has no listener for them any more: Istio's
    /// `drainDuration`. When the proxy ends they go on as long as it waits for them.
    pub drain_time: Duration,
    /// How long a client's connection is kept on which there is no request (semantics A69).
    pub client_idle_timeout: Duration,
    /// How long a client may keep others waiting amid a request: before another piece of a body that is not answered yet,
    /// and before it reads what it was sent. Envoy has no such bound as Istio sets it (semantics A69).
    pub stream_idle_timeout: Duration,
    /// Bytes of a request's headers, its first line included; more is answered with 431.
    pub header_bytes: usize,
    /// Lines of a request's headers; more is answered with 431.
    pub headers: usize,
    /// Requests that one HTTP/2 connection may have at once.
    pub streams: u32,
    /// Bytes of an upstream's response headers; more is a protocol error (502).
    pub response_header_bytes: usize,
    /// Lines of an upstream's response headers; more is a protocol error (502).
    pub response_headers: usize,
    /// Open connections of one listener, over all workers; further ones are closed at once.
    pub connections: usize,
    /// Bytes of a request's body that are kept for a retry; a longer body is sent once (semantics C54).
    pub replay_bytes: usize,
    /// Idle connections kept to one endpoint by one worker.
    pub idle_connections: usize,
    /// How long an idle upstream connection is kept where no policy says (semantics D.6).
    pub idle_timeout: Duration,
    /// Bytes of a body sent to the admin server.
    pub admin_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_read_timeout: Duration::from_secs(30),
            hello_timeout: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(15),
            drain_time: Duration::from_secs(45),
            client_idle_timeout: Duration::from_hours(1),
            stream_idle_timeout: Duration::from_hours(1),
            header_bytes: 60 * 1024,
            headers: 100,
            streams: 1024,
            response_header_bytes: 60 * 1024,
            response_headers: 100,
            connections: 10_000,
            replay_bytes: 1024 * 1024,
            idle_connections: 256,
            idle_timeout: Duration::from_hours(1),
            admin_body_bytes: 1024 * 1024,
        }
    }
}

/// What `POST /reload` calls. It runs on a thread that may block; its value, or its error, is the answer.
#[derive(Clone)]
pub struct Reload(Arc<dyn Fn() -> Result<serde_json::Value, String> + Send + Sync>);

impl Reload {
    /// From a function that compiles and swaps, and says how it went.
    pub fn new(reload: impl Fn() -> Result<serde_json::Value, String> + Send + Sync + 'static) -> Self {
        Reload(Arc::new(reload))
    }

    pub(crate) fn call(&self) -> Result<serde_json::Value, String> {
        (self.0)()
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reload")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_as_people_write_them() {
        let server = |text: &str| Dns::server(text).map(|server| server.to_string());
        assert_eq!(server("10.0.0.53"), Ok("10.0.0.53:53".to_owned()));
        assert_eq!(server("127.0.0.1:5353"), Ok("127.0.0.1:5353".to_owned()));
        assert_eq!(server("2001:db8::53"), Ok("[2001:db8::53]:53".to_owned()));
        assert_eq!(server("[2001:db8::53]:5353"), Ok("[2001:db8::53]:5353".to_owned()));
        assert!(server("dns.example").is_err() && server("10.0.0.53:x").is_err());
    }
}
