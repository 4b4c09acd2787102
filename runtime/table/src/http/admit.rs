//! What Envoy's codec and connection manager make of a request before it is routed.

use super::{
    GatewayTopology, PLACEHOLDER_REQUEST_ID, PathNormalization, TE_TRAILERS, Target, asks_for_trailers,
    asks_for_upgrade, authority_is_valid, connection_tokens, forwarded_scheme, is_inline, is_internal, is_nominable,
    join_lines, method_is_known, normalize_path, read_target, trusted_client, upgrade_is_allowed,
};
use crate::{Request, RequestView, Role};

/// More lines than this, Host included, end with 431 (semantics A69).
pub const MAX_HEADER_COUNT: usize = 100;

/// More bytes of names and values than this end with 431 (semantics A69).
pub const MAX_HEADER_BYTES: usize = 60 * 1024;

/// How a connection manager is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// Whether it faces clients outside the mesh: a gateway. It then trusts none of their forwarding headers, but what
    /// proxies in front of it say that it is told to trust.
    pub edge: bool,
    /// How paths are normalised.
    pub path_normalization: PathNormalization,
    /// What is trusted of the forwarding headers at an edge: of others the default.
    pub topology: GatewayTopology,
}

impl HttpSettings {
    /// Those of a proxy of this role.
    pub fn of(role: Role, path_normalization: PathNormalization, topology: GatewayTopology) -> Self {
        let edge = role == Role::Gateway;
        HttpSettings { edge, path_normalization, topology: if edge { topology } else { GatewayTopology::default() } }
    }

    /// Whether what clients say of the scheme counts at an edge (semantics A42).
    pub fn trusts_forwarded_proto(&self) -> bool {
        self.topology.trusted_proxies > 0
    }
}

/// Why a request is not routed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// 400, 403 or 431.
    pub status: u16,
    /// Envoy's words for it, as the access log has them.
    pub details: &'static str,
    /// Whether it looks like no HTTP at all: a sidecar, which guesses the protocol, then proxies the bytes instead.
    pub is_foreign: bool,
}

impl BadRequest {
    const CODEC: BadRequest = BadRequest { status: 400, details: "http1.codec_error", is_foreign: false };
    pub(super) const TARGET: BadRequest = BadRequest { is_foreign: true, ..BadRequest::CODEC };
    const HOST: BadRequest = BadRequest { details: "http.invalid_authority", ..BadRequest::CODEC };
    const NO_HOST: BadRequest = BadRequest { details: "missing_host_header", ..BadRequest::CODEC };
    const PATH: BadRequest = BadRequest { details: "path_normalization_failed", ..BadRequest::CODEC };
    const UPGRADE: BadRequest = BadRequest { status: 403, details: "upgrade_failed", is_foreign: false };
    const MANY: BadRequest = BadRequest { status: 431, details: "http1.too_many_headers", is_foreign: false };
    const LARGE: BadRequest = BadRequest { details: "http1.headers_too_large", ..BadRequest::MANY };
}

/// A request as routing sees it: normalised, without what clients may not say, with what the proxy adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `:method`.
    pub method: String,
    /// `:scheme`.
    pub scheme: String,
    /// The scheme of the connection, or what a trusted client says of it; `httpsRedirect` goes by it (semantics A42).
    pub forwarded_proto: String,
    /// `:authority`, as sent.
    pub authority: String,
    /// The normalised path, without query; empty where there is none to route (`*`, CONNECT).
    pub path: String,
    /// What follows the first `?`.
    pub query: Option<String>,
    /// Name in lower case, value; sorted by name, lines in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Whether there is a path to route; else the answer is 404 (semantics B10).
    pub fn is_routable(&self) -> bool {
        !self.path.is_empty()
    }

    /// The path with its query.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl RequestView for Head {
    fn method(&self) -> &str {
        &self.method
    }

    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn any_line(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let first = self.headers.partition_point(|(other, _)| other.as_str() < name);
        let lines = self.headers.get(first..).unwrap_or_default();
        lines.iter().take_while(|(other, _)| other == name).any(|(_, line)| test(line))
    }
}

/// Takes a request as Envoy's codec and connection manager would, or says what they refuse it with.
///
/// Header values are taken as the bytes of their text.
pub fn admit(request: &Request, settings: HttpSettings) -> Result<Head, BadRequest> {
    let method = request.method.as_deref().unwrap_or("GET");
    if !method_is_known(method) {
        return Err(BadRequest::CODEC);
    }
    let connection_scheme = if request.tls.is_some() { "https" } else { "http" };
    let said_scheme = match request.scheme.as_deref() {
        None => connection_scheme,
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => "http",
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        Some(_) => return Err(BadRequest::CODEC),
    };
    let sent_target = request.path.as_deref().unwrap_or("/");
    let mut lines = sent_lines(request, sent_target)?;
    let target = read_target(method, sent_target)?;
    let sent_host = request.authority.as_deref().map(|host| host.trim_matches([' ', '\t']).to_owned());
    let (absolute_scheme, authority, path) = match target {
        Target::Path(path) => (None, sent_host, normalize(path, settings)?),
        Target::Absolute { scheme, authority, path } => {
            (Some(scheme), Some(authority.to_owned()), normalize(&path, settings)?)
        }
        Target::Asterisk => (None, sent_host, String::new()),
        Target::Authority(authority) => (None, Some(authority.to_owned()), String::new()),
    };
    let authority = authority.ok_or(BadRequest::NO_HOST)?;
    if !authority_is_valid(&authority) {
        return Err(BadRequest::HOST);
    }
    drop_hop_by_hop(&mut lines)?;
    let peer = request.source.as_ref().map_or("127.0.0.1", |address| &address.ip);
    let forwarded_proto = mutate(&mut lines, settings, peer, said_scheme);
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (path, None),
    };
    let scheme = match absolute_scheme {
        Some(scheme) => scheme.to_owned(),
        // What nobody says of the request follows what is trusted of its connection.
        None if settings.trusts_forwarded_proto() && request.scheme.is_none() => forwarded_proto.clone(),
        None => said_scheme.to_owned(),
    };
    Ok(Head { method: method.to_owned(), scheme, forwarded_proto, authority, path, query, headers: joined(lines) })
}

fn normalize(path: &str, settings: HttpSettings) -> Result<String, BadRequest> {
    normalize_path(path, settings.path_normalization).map(std::borrow::Cow::into_owned).map_err(|_| BadRequest::PATH)
}

type HeaderLine = (String, Vec<u8>);

/// The lines as sent, checked and counted; names in lower case.
fn sent_lines(request: &Request, target: &str) -> Result<Vec<HeaderLine>, BadRequest> {
    let mut lines = Vec::new();
    let host = request.authority.as_ref().map_or(0, |host| "host".len() + host.len());
    let mut bytes = host;
    for (name, values) in &request.headers {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(BadRequest::CODEC);
        }
        for value in values.iter() {
            if value.bytes().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
                return Err(BadRequest::CODEC);
            }
            let value = value.trim_matches([' ', '\t']).as_bytes();
            bytes += name.len() + value.len();
            lines.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
    if lines.len() + usize::from(host > 0) > MAX_HEADER_COUNT {
        return Err(BadRequest::MANY);
    }
    if bytes > MAX_HEADER_BYTES || target.len() > MAX_HEADER_BYTES {
        return Err(BadRequest::LARGE);
    }
    Ok(lines)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Removes what belongs to the connection, and what its Connection header names (semantics C.11).
fn drop_hop_by_hop(lines: &mut Vec<HeaderLine>) -> Result<(), BadRequest> {
    let connection = lines.iter().filter(|(name, _)| name == "connection");
    let named: Vec<String> = connection
        .flat_map(|(_, value)| connection_tokens(&String::from_utf8_lossy(value)).collect::<Vec<_>>())
        .collect();
    if !named.iter().all(|name| is_nominable(name)) {
        return Err(BadRequest::CODEC);
    }
    let upgrade = lines.iter().find(|(name, _)| name == "upgrade");
    let is_upgrade = upgrade.is_some_and(|(_, value)| asks_for_upgrade(&named, value));
    if is_upgrade && !upgrade.is_some_and(|(_, value)| upgrade_is_allowed(value)) {
        return Err(BadRequest::UPGRADE);
    }
    let wants_trailers = lines.iter().any(|(name, value)| name == "te" && asks_for_trailers(value));
    lines.retain(|(name, _)| match name.as_str() {
        "host" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "te" => false,
        "connection" | "upgrade" => is_upgrade,
        _ => !named.contains(name),
    });
    if wants_trailers {
        lines.push(("te".to_owned(), TE_TRAILERS.into()));
    }
    Ok(())
}

/// Removes what only the mesh may say, adds what the proxy says; gives the scheme that x-forwarded-proto tells.
fn mutate(lines: &mut Vec<HeaderLine>, settings: HttpSettings, peer: &str, scheme: &str) -> String {
    // No client of a request that is asked about shows a certificate.
    let keeps_cert = settings.edge && settings.topology.client_cert.keeps(false);
    lines.retain(|(name, _)| !is_internal(name) || (keeps_cert && name == "x-forwarded-client-cert"));
    let has = |lines: &[HeaderLine], wanted: &str| lines.iter().any(|(name, _)| name == wanted);
    let add = |lines: &mut Vec<HeaderLine>, name: &str, value: &str| {
        lines.push((name.to_owned(), value.as_bytes().to_vec()));
    };
    if settings.edge {
        let trusts = settings.trusts_forwarded_proto();
        lines.retain(|(name, _)| name != "x-request-id" && (trusts || name != "x-forwarded-proto"));
        let client = trusted_client(&line_of(lines, "x-forwarded-for"), settings.topology.trusted_proxies);
        add(lines, "x-forwarded-for", peer);
        match client {
            Some(client) => add(lines, "x-envoy-external-address", &client.to_string()),
            None => add(lines, "x-envoy-external-address", peer),
        }
    }
    if !has(lines, "x-request-id") {
        add(lines, "x-request-id", PLACEHOLDER_REQUEST_ID);
    }
    let told = forwarded_scheme(&line_of(lines, "x-forwarded-proto")).unwrap_or(scheme);
    lines.retain(|(name, _)| name != "x-forwarded-proto");
    add(lines, "x-forwarded-proto", told);
    told.to_owned()
}

/// The lines of an inline header as the one that they are seen as.
fn line_of(lines: &[HeaderLine], wanted: &str) -> Vec<u8> {
    let mut joined = Vec::new();
    for (_, value) in lines.iter().filter(|(name, _)| name == wanted) {
        join_lines(&mut joined, value);
    }
    joined
}

/// Sorted by name, with the lines of inline headers joined.
fn joined(mut lines: Vec<HeaderLine>) -> Vec<HeaderLine> {
    lines.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut out: Vec<HeaderLine> = Vec::with_capacity(lines.len());
    for (name, value) in lines {
        match out.last_mut() {
            Some((last, joined)) if *last == name && is_inline(&name) => join_lines(joined, &value),
            _ => out.push((name, value)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lines, http::ForwardClientCert};

    fn seen(headers: &[(&str, &[&str])]) -> Vec<(String, Vec<u8>)> {
        let lines = |lines: &[&str]| Lines::Many(lines.iter().map(|line| (*line).to_owned()).collect());
        let request = Request {
            authority: Some("a".to_owned()),
            headers: headers.iter().map(|(name, values)| ((*name).to_owned(), lines(values))).collect(),
            ..Request::default()
        };
        let head = admit(&request, HttpSettings::default()).expect("a good request");
        let is_own = |name: &str| matches!(name, "x-request-id" | "x-forwarded-proto");
        head.headers.into_iter().filter(|(name, _)| !is_own(name)).collect()
    }

    fn line(name: &str, value: &str) -> (String, Vec<u8>) {
        (name.to_owned(), value.as_bytes().to_vec())
    }

    #[test]
    fn of_te_only_trailers_are_left() {
        let trailers = [line("te", "trailers")];
        assert_eq!(seen(&[("te", &["trailers"])]), trailers);
        assert_eq!(seen(&[("TE", &["gzip;q=0.5, trailers", "deflate"])]), trailers);
        assert_eq!(seen(&[("te", &["gzip", "trailers"]), ("connection", &["te"])]), trailers);
        assert_eq!(seen(&[("te", &["gzip", "trailers;q=0.5"])]), []);
    }

    #[test]
    fn the_length_of_a_body_and_what_is_expected_are_seen() {
        let headers =
            [("content-length", &["3"][..]), ("expect", &["100-continue"]), ("transfer-encoding", &["chunked"])];
        assert_eq!(seen(&headers), [line("content-length", "3"), line("expect", "100-continue")]);
    }

    #[test]
    fn an_upgrade_is_seen_where_the_connection_asks_for_it() {
        let asks = |connection: &'static str, upgrade: &'static str| {
            seen(&[("connection", &[connection][..]), ("upgrade", &[upgrade])])
        };
        let websocket = [line("connection", "keep-alive, Upgrade"), line("upgrade", "WebSocket")];
        assert_eq!(asks("keep-alive, Upgrade", "WebSocket"), websocket);
        assert_eq!(asks("keep-alive", "websocket"), []);
        assert_eq!(asks("upgrade", "h2c"), []);
        let refused = |upgrade: &str| {
            let headers = [("connection", "upgrade"), ("upgrade", upgrade)];
            let headers = headers.map(|(name, value)| (name.to_owned(), Lines::One(value.to_owned()))).into();
            admit(&Request { authority: Some("a".to_owned()), headers, ..Request::default() }, HttpSettings::default())
        };
        assert_eq!(refused("foo").unwrap_err().status, 403);
        assert_eq!(refused("websocket, foo").unwrap_err().details, "upgrade_failed");
    }

    #[test]
    fn what_trusted_proxies_say_of_the_client_counts() {
        let seen = |topology: GatewayTopology, headers: &[(&str, &[&str])]| {
            let lines = |lines: &[&str]| Lines::Many(lines.iter().map(|line| (*line).to_owned()).collect());
            let request = Request {
                authority: Some("a".to_owned()),
                headers: headers.iter().map(|(name, values)| ((*name).to_owned(), lines(values))).collect(),
                ..Request::default()
            };
            let settings = HttpSettings::of(Role::Gateway, PathNormalization::default(), topology);
            admit(&request, settings).expect("a good request")
        };
        let value = |head: &Head, name: &str| {
            let lines = head.headers.iter().filter(|(other, _)| other == name);
            lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>().join("|")
        };
        let sent: [(&str, &[&str]); 2] =
            [("x-forwarded-for", &["1.1.1.1", "2.2.2.2, 3.3.3.3"]), ("x-forwarded-proto", &["https"])];
        for (trusted_proxies, scheme, client) in
            [(0, "http", "127.0.0.1"), (1, "https", "3.3.3.3"), (3, "https", "1.1.1.1"), (4, "https", "127.0.0.1")]
        {
            let head = seen(GatewayTopology { trusted_proxies, ..GatewayTopology::default() }, &sent);
            assert_eq!((&*head.scheme, &*head.forwarded_proto), (scheme, scheme), "A42: {trusted_proxies}");
            assert_eq!(value(&head, "x-forwarded-proto"), scheme);
            assert_eq!(value(&head, "x-envoy-external-address"), client, "A63: {trusted_proxies}");
            assert_eq!(value(&head, "x-forwarded-for"), "1.1.1.1,2.2.2.2, 3.3.3.3,127.0.0.1");
        }
        let trusting = GatewayTopology { trusted_proxies: 1, ..GatewayTopology::default() };
        for none in [&["gopher"][..], &["https", "http"]] {
            let head = seen(trusting, &[("x-forwarded-proto", none)]);
            assert_eq!(
                (&*head.scheme, &*head.forwarded_proto, &*value(&head, "x-forwarded-proto")),
                ("http", "http", "http")
            );
        }
        let certificate: [(&str, &[&str]); 1] = [("x-forwarded-client-cert", &["Hash=1"])];
        for (client_cert, _) in ForwardClientCert::ALL {
            let head = seen(GatewayTopology { client_cert, ..GatewayTopology::default() }, &certificate);
            let kept = if client_cert == ForwardClientCert::AlwaysForwardOnly { "Hash=1" } else { "" };
            assert_eq!(value(&head, "x-forwarded-client-cert"), kept, "A64: {client_cert:?}");
        }
    }

    #[test]
    fn a_value_is_the_bytes_of_its_text() {
        assert_eq!(seen(&[("x", &["caf\u{e9}"])]), [("x".to_owned(), b"caf\xc3\xa9".to_vec())]);
    }
}
