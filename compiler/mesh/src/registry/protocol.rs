//! The protocol of a port (semantics A7, E24, E25).

/// What a service port or a Gateway server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// HTTP as a forward proxy is spoken to.
    HttpProxy,
    /// HTTP in TLS.
    Https,
    /// gRPC.
    Grpc,
    /// gRPC for browsers.
    GrpcWeb,
    /// Any bytes.
    Tcp,
    /// TLS.
    Tls,
    /// `MongoDB`.
    Mongo,
    /// Redis.
    Redis,
    /// `MySQL`.
    Mysql,
    /// Istio's tunnel.
    Hbone,
    /// UDP or SCTP: no part of routing (semantics E24).
    Udp,
    /// Not said: detected by the first bytes on sidecars (semantics E24).
    #[default]
    Auto,
}

impl Protocol {
    /// Reads a protocol name, whatever its case; an unknown one is [`Protocol::Auto`] (semantics A7).
    pub fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "http" => Protocol::Http,
            "http2" => Protocol::Http2,
            "http_proxy" => Protocol::HttpProxy,
            "https" => Protocol::Https,
            "grpc" => Protocol::Grpc,
            "grpc-web" => Protocol::GrpcWeb,
            "tcp" => Protocol::Tcp,
            "tls" => Protocol::Tls,
            "mongo" => Protocol::Mongo,
            "redis" => Protocol::Redis,
            "mysql" => Protocol::Mysql,
            "hbone" => Protocol::Hbone,
            "udp" => Protocol::Udp,
            _ => Protocol::Auto,
        }
    }

    /// The protocol of a Kubernetes service port (semantics E24, E25).
    ///
    /// `transport` is its `protocol` field, TCP where it has none.
    pub fn of_service_port(port: u32, name: &str, transport: Option<&str>, app_protocol: Option<&str>) -> Self {
        if let Some(transport) = transport
            && !transport.eq_ignore_ascii_case("tcp")
        {
            return Protocol::Udp;
        }
        let declared = match app_protocol {
            Some("kubernetes.io/h2c") => Protocol::Http2,
            Some("kubernetes.io/ws") => Protocol::Http,
            Some("kubernetes.io/wss") => Protocol::Https,
            Some(other) => Protocol::of_prefix(other),
            None => Protocol::Auto,
        };
        if declared != Protocol::Auto {
            return declared;
        }
        match Protocol::of_prefix(name) {
            Protocol::Auto if matches!(port, 25 | 53 | 3306 | 27017) => Protocol::Tcp,
            protocol => protocol,
        }
    }

    /// Reads a name of the form `protocol[-anything]`.
    fn of_prefix(name: &str) -> Self {
        const GRPC_WEB: &str = "grpc-web";
        if name.get(..GRPC_WEB.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(GRPC_WEB)) {
            return Protocol::GrpcWeb;
        }
        Protocol::parse(name.split('-').next().unwrap_or_default())
    }

    /// Whether it is of the HTTP family (semantics A7).
    pub fn is_http(self) -> bool {
        matches!(self, Protocol::Http | Protocol::Http2 | Protocol::HttpProxy | Protocol::Grpc | Protocol::GrpcWeb)
    }

    /// Whether upstreams are spoken to in HTTP/2 (semantics D37).
    pub fn is_http2(self) -> bool {
        matches!(self, Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb)
    }

    /// Whether the bytes are TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Protocol::Https | Protocol::Tls)
    }

    /// Whether the bytes are neither of the HTTP family nor of unknown protocol.
    pub fn is_tcp(self) -> bool {
        !self.is_http() && !matches!(self, Protocol::Auto | Protocol::Udp)
    }

    /// As Istio writes it, `HTTP`; `UnsupportedProtocol` where it is not known.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "HTTP",
            Protocol::Http2 => "HTTP2",
            Protocol::HttpProxy => "HTTP_PROXY",
            Protocol::Https => "HTTPS",
            Protocol::Grpc => "GRPC",
            Protocol::GrpcWeb => "GRPC-Web",
            Protocol::Tcp => "TCP",
            Protocol::Tls => "TLS",
            Protocol::Mongo => "Mongo",
            Protocol::Redis => "Redis",
            Protocol::Mysql => "MySQL",
            Protocol::Hbone => "HBONE",
            Protocol::Udp => "UDP",
            Protocol::Auto => "UnsupportedProtocol",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_port_is_read_by_app_protocol_then_name_then_number() {
        let cases = [
            (80, "http-web", None, Protocol::Http),
            (80, "HTTP2-z", None, Protocol::Http2),
            (80, "httpfoo", None, Protocol::Auto),
            (80, "web", None, Protocol::Auto),
            (80, "grpc-web-x", None, Protocol::GrpcWeb),
            (80, "grpc-webx", None, Protocol::GrpcWeb),
            (80, "tcp", Some("http"), Protocol::Http),
            (80, "tcp", Some("kubernetes.io/h2c"), Protocol::Http2),
            (80, "tcp", Some("kubernetes.io/wss"), Protocol::Https),
            (3306, "web", None, Protocol::Tcp),
            (3306, "http", None, Protocol::Http),
        ];
        for (port, name, app_protocol, expected) in cases {
            let protocol = Protocol::of_service_port(port, name, None, app_protocol);
            assert_eq!(protocol, expected, "E24, E25: {port} {name} {app_protocol:?}");
        }
        assert_eq!(Protocol::of_service_port(53, "dns", Some("UDP"), None), Protocol::Udp, "E24");
        assert_eq!(Protocol::of_service_port(80, "http", Some("SCTP"), None), Protocol::Udp, "E24");
    }

    #[test]
    fn a_server_port_is_read_in_any_case() {
        assert_eq!(Protocol::parse("Http"), Protocol::Http, "A7");
        assert_eq!(Protocol::parse("grpc-WEB"), Protocol::GrpcWeb, "A7");
        assert!(Protocol::GrpcWeb.is_http() && !Protocol::Https.is_http(), "A7");
    }
}
