//! `connectionPool`: limits on connections and requests.

use crate::{
    Duration, Spanned,
    read::{choice, message},
};

message! {
    /// Limits on connections and requests.
    pub struct ConnectionPoolSettings {
        /// For all connections.
        tcp: Option<Box<Spanned<TcpSettings>>> = "tcp",
        /// For HTTP.
        http: Option<Box<Spanned<HttpSettings>>> = "http",
    }
}

message! {
    /// Limits on all connections.
    pub struct TcpSettings {
        /// Most connections to a host.
        max_connections: Option<Spanned<i32>> = "maxConnections",
        /// Time allowed to connect; 10s by default.
        connect_timeout: Option<Spanned<Duration>> = "connectTimeout" [positive],
        /// How silent peers are found out.
        tcp_keepalive: Option<Box<Spanned<TcpKeepalive>>> = "tcpKeepalive",
        /// Longest life of a connection.
        max_connection_duration: Option<Spanned<Duration>> = "maxConnectionDuration" [positive],
        /// How long a connection may be silent; 0 for ever.
        idle_timeout: Option<Spanned<Duration>> = "idleTimeout",
    }
}

message! {
    /// How silent peers are found out by TCP.
    pub struct TcpKeepalive {
        /// Probes without an answer before a connection is given up.
        probes: Option<Spanned<u32>> = "probes",
        /// Silence before the first probe.
        time: Option<Spanned<Duration>> = "time" [positive],
        /// Time between probes.
        interval: Option<Spanned<Duration>> = "interval" [positive],
    }
}

message! {
    /// Limits on HTTP.
    pub struct HttpSettings {
        /// Most requests that wait for a connection.
        http1_max_pending_requests: Option<Spanned<i32>> = "http1MaxPendingRequests",
        /// Most requests at a time.
        http2_max_requests: Option<Spanned<i32>> = "http2MaxRequests",
        /// Most requests over one connection; 1 switches keep-alive off.
        max_requests_per_connection: Option<Spanned<i32>> = "maxRequestsPerConnection",
        /// Most retries at a time.
        max_retries: Option<Spanned<i32>> = "maxRetries",
        /// How long a connection may carry no request.
        idle_timeout: Option<Spanned<Duration>> = "idleTimeout" [positive],
        /// Whether HTTP/1.1 becomes HTTP/2 on the way.
        h2_upgrade_policy: Option<Spanned<H2UpgradePolicy>> = "h2UpgradePolicy",
        /// Whether the client's version of HTTP is kept on the way.
        use_client_protocol: Option<Spanned<bool>> = "useClientProtocol",
        /// Most requests at a time over one HTTP/2 connection.
        max_concurrent_streams: Option<Spanned<i32>> = "maxConcurrentStreams",
        /// How silent peers are found out by HTTP/2.
        http2_keep_alive: Option<Box<Spanned<HttpKeepalive>>> = "http2KeepAlive",
    }
}

message! {
    /// How silent peers are found out by HTTP/2.
    pub struct HttpKeepalive {
        /// Time between pings.
        interval: Option<Spanned<Duration>> = "interval" [positive],
        /// Time allowed for the answer.
        timeout: Option<Spanned<Duration>> = "timeout" [positive],
    }
}

choice! {
    /// Whether HTTP/1.1 becomes HTTP/2 on the way.
    pub enum H2UpgradePolicy {
        /// As the mesh has it.
        Default = "DEFAULT",
        /// Never.
        DoNotUpgrade = "DO_NOT_UPGRADE",
        /// Always.
        Upgrade = "UPGRADE",
    }
}
