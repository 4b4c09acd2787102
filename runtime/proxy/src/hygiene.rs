//! Which headers cross the proxy, and which it adds (semantics C.11).

use crate::{connection::Client, random::Random};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE,
        DATE, EXPECT, HOST, SERVER, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    },
};
use malha_table::http::{
    HttpSettings, TE_TRAILERS, asks_for_trailers, asks_for_upgrade, connection_tokens, forwarded_scheme, is_inline,
    is_internal, is_nominable, join_lines, trusted_client,
};
use std::net::IpAddr;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A Connection header that names what it may not: the request is refused with 400.
#[derive(Debug)]
pub(crate) struct NotNominable;

/// What one look over the names of a request's headers shows. Most requests have little of it, and are spared the rest:
/// what was not seen is not looked for.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Seen {
    /// A transfer coding.
    pub(crate) coding: bool,
    /// Something about the connection that it came on.
    pub(crate) of_connection: bool,
    pub(crate) content_type: bool,
    pub(crate) hops: bool,
    internal: bool,
    forwarded_for: bool,
    forwarded_proto: bool,
    request_id: bool,
}

impl Seen {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut seen = Seen::default();
        for name in headers.keys() {
            match *name {
                TRANSFER_ENCODING => (seen.coding, seen.of_connection) = (true, true),
                CONNECTION | TE | UPGRADE => seen.of_connection = true,
                CONTENT_TYPE => seen.content_type = true,
                HOST | USER_AGENT | ACCEPT | ACCEPT_ENCODING | ACCEPT_LANGUAGE | COOKIE | CONTENT_LENGTH => {}
                _ => match name.as_str() {
                    "keep-alive" | "proxy-connection" => seen.of_connection = true,
                    "x-forwarded-for" => seen.forwarded_for = true,
                    "x-forwarded-proto" => seen.forwarded_proto = true,
                    "x-request-id" => seen.request_id = true,
                    "x-malha-hops" => seen.hops = true,
                    other => seen.internal |= is_internal(other),
                },
            }
        }
        seen
    }
}

/// Removes what belongs to the client's connection, but what asks for another protocol; gives the Host line. The length
/// of the body and `expect` stay: matches see them.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap, seen: Seen) -> Result<Option<HeaderValue>, NotNominable> {
    if !seen.of_connection {
        return Ok(headers.remove(HOST));
    }
    let named = named_by_connection(headers);
    if !named.iter().all(|name| is_nominable(name)) {
        return Err(NotNominable);
    }
    let wants_trailers = headers.get_all(TE).iter().any(|line| asks_for_trailers(line.as_bytes()));
    drop_connection(headers, &named, true);
    let host = headers.remove(HOST);
    headers.remove(TE);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static(TE_TRAILERS));
    }
    Ok(host)
}

/// Removes what says how the client framed its body, and that it waits to send it: the message that leaves is framed
/// anew, and the client is answered here.
pub(crate) fn drop_framing(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    headers.remove(EXPECT);
}

/// Removes an upstream's connection headers; its content-length stays, since it may be the answer to HEAD. Beside a
/// transfer coding it says nothing about the body, and goes.
///
/// Where the request asked for another protocol (`asked`), so may the answer.
pub(crate) fn drop_hop_by_hop_of_response(headers: &mut HeaderMap, asked: bool) {
    let has_one_length = headers.keys_len() == headers.len() || headers.get_all(CONTENT_LENGTH).iter().count() < 2;
    if has_one_length && !headers.keys().any(is_of_connection) {
        return;
    }
    let length = headers.remove(CONTENT_LENGTH).filter(|_| !headers.contains_key(TRANSFER_ENCODING));
    let named = named_by_connection(headers);
    drop_connection(headers, &named, asked);
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length);
    }
}

/// Whether a header is about the connection that it comes on. Most messages have none, and are spared the rest.
fn is_of_connection(name: &HeaderName) -> bool {
    match *name {
        CONNECTION | TE | TRANSFER_ENCODING | UPGRADE => true,
        CONTENT_LENGTH | CONTENT_TYPE | DATE | SERVER | CACHE_CONTROL => false,
        _ => matches!(name.as_str(), "keep-alive" | "proxy-connection"),
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(CONNECTION).iter();
    lines.flat_map(|value| connection_tokens(&String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>()).collect()
}

/// With what the Connection header names. Of a change of protocol that may be, both headers stay as they are.
fn drop_connection(headers: &mut HeaderMap, named: &[String], may_change: bool) {
    let asks = |upgrade: &&HeaderValue| may_change && asks_for_upgrade(named, upgrade.as_bytes());
    let upgrade = headers.get(UPGRADE).filter(asks).cloned();
    let connection: Vec<&[u8]> = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes).collect();
    let connection = HeaderValue::from_bytes(&connection.join(&b", "[..])).ok();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    if let (Some(upgrade), Some(connection)) = (upgrade, connection) {
        headers.insert(UPGRADE, upgrade);
        headers.insert(CONNECTION, connection);
    }
}

/// What is told of a request everywhere it goes.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// The scheme that `x-forwarded-proto` tells, which httpsRedirect goes by.
    pub(crate) forwarded_proto: &'static str,
    pub(crate) forwarded_for: Option<HeaderValue>,
    pub(crate) request_id: Option<HeaderValue>,
    /// The client, where trusted proxies tell of another one than the connection.
    pub(crate) client: Option<IpAddr>,
}

/// Removes what only the mesh may say and adds what the proxy says. A gateway trusts none of its clients' forwarding
/// headers but those that its topology says. `seen` is what the headers were as they came.
pub(crate) fn mutate(
    headers: &mut HeaderMap,
    seen: Seen,
    settings: HttpSettings,
    client: &Client,
    random: &Random,
) -> Told {
    let shown = client.tls.as_ref().and_then(|tls| tls.certificate.as_deref());
    let topology = settings.topology;
    if seen.internal {
        let keeps_cert = settings.edge && topology.client_cert.keeps(shown.is_some());
        let goes = |name: &&HeaderName| is_internal(name.as_str()) && !(keeps_cert && **name == FORWARDED_CLIENT_CERT);
        let internal: Vec<HeaderName> = headers.keys().filter(goes).cloned().collect();
        for name in internal {
            headers.remove(name);
        }
    }
    join_inline_lines(headers);
    if settings.edge {
        if let Some(certificate) = shown.filter(|_| topology.client_cert.tells()) {
            // Of what the client said there is only what is kept.
            let mut told = headers.get(FORWARDED_CLIENT_CERT).map_or_else(Vec::new, |kept| kept.as_bytes().to_vec());
            join_lines(&mut told, certificate.as_bytes());
            // What the client said never stands alone for what cannot be said of its certificate.
            headers.remove(FORWARDED_CLIENT_CERT);
            insert(headers, FORWARDED_CLIENT_CERT, &told);
        }
        let address = &client.address;
        let before = if seen.forwarded_for { headers.get(FORWARDED_FOR) } else { None };
        let chain = match before.filter(|before| !before.is_empty()) {
            Some(before) => HeaderValue::from_bytes(&[before.as_bytes(), b",", address.as_bytes()].concat()).ok(),
            None => Some(address.clone()),
        };
        let told = before.and_then(|before| trusted_client(before.as_bytes(), topology.trusted_proxies));
        if let Some(chain) = &chain {
            headers.insert(FORWARDED_FOR, chain.clone());
        }
        match told {
            Some(told) => insert(headers, EXTERNAL_ADDRESS, told.to_string().as_bytes()),
            None => _ = headers.insert(EXTERNAL_ADDRESS, address.clone()),
        }
        let request_id = add_request_id(headers, random);
        let trusts_proto = seen.forwarded_proto && settings.trusts_forwarded_proto();
        let said = if trusts_proto { headers.get(FORWARDED_PROTO) } else { None };
        let scheme = said.and_then(|said| forwarded_scheme(said.as_bytes())).unwrap_or_else(|| own_scheme(client));
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
        return Told { forwarded_proto: scheme, forwarded_for: chain, request_id, client: told };
    }
    let known = |headers: &HeaderMap, is_seen: bool, name| is_seen.then(|| headers.get(name).cloned()).flatten();
    let request_id = known(headers, seen.request_id, REQUEST_ID).or_else(|| add_request_id(headers, random));
    let proto = known(headers, seen.forwarded_proto, FORWARDED_PROTO);
    let forwarded_proto = proto.and_then(|proto| forwarded_scheme(proto.as_bytes())).unwrap_or_else(|| {
        let own = own_scheme(client);
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(own));
        own
    });
    let forwarded_for = known(headers, seen.forwarded_for, FORWARDED_FOR);
    Told { forwarded_proto, forwarded_for, request_id, client: None }
}

fn add_request_id(headers: &mut HeaderMap, random: &Random) -> Option<HeaderValue> {
    // Its digits are what headers may hold.
    let id = HeaderValue::from_bytes(&random.uuid()).ok()?;
    headers.insert(REQUEST_ID, id.clone());
    Some(id)
}

/// What a client speaks to this proxy.
pub(crate) fn own_scheme(client: &Client) -> &'static str {
    if client.tls.is_some() { "https" } else { "http" }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

fn join_inline_lines(headers: &mut HeaderMap) {
    if headers.keys_len() == headers.len() {
        return;
    }
    let repeated: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_inline(name.as_str()) && headers.get_all(*name).iter().nth(1).is_some())
        .cloned()
        .collect();
    for name in repeated {
        let mut joined = Vec::new();
        for line in headers.get_all(&name) {
            join_lines(&mut joined, line.as_bytes());
        }
        insert(headers, name, &joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ClientTls;
    use std::net::{Ipv4Addr, SocketAddr};

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn request_without_hops(headers: &mut HeaderMap) -> Result<Option<HeaderValue>, NotNominable> {
        let seen = Seen::of(headers);
        drop_hop_by_hop(headers, seen)
    }

    fn edge() -> HttpSettings {
        HttpSettings { edge: true, ..HttpSettings::default() }
    }

    /// Recorded as C11-headers-stripped.
    fn plain_client() -> Client {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        Client::new(here, here, None)
    }

    #[test]
    fn a_client_of_tls_is_told_of() {
        let random = Random::new(1, 0);
        let tls = ClientTls { server_name: None, certificate: Some("Hash=1".to_owned()) };
        let client = Client { tls: Some(tls), ..plain_client() };
        let mut at_edge = headers(&[("x-forwarded-proto", "http")]);
        let seen = Seen::of(&at_edge);
        assert_eq!(mutate(&mut at_edge, seen, edge(), &client, &random).forwarded_proto, "https");
        assert_eq!(
            (&at_edge[FORWARDED_PROTO], &at_edge[FORWARDED_CLIENT_CERT]),
            (&"https".parse().unwrap(), &"Hash=1".parse().unwrap())
        );
    }

    #[test]
    fn what_clients_may_not_say_is_gone_and_what_connection_names_too() {
        let mut headers = headers(&[
            ("x-envoy-upstream-rq-timeout-ms", "5"),
            ("x-envoy-original-path", "/q"),
            ("x-forwarded-client-cert", "z"),
            ("x-client", "k"),
            ("connection", "close, x-client2"),
            ("x-client2", "z"),
            ("te", "gzip, trailers"),
            ("te", "deflate"),
            ("keep-alive", "5"),
            ("proxy-connection", "x"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-request-id", "mine"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("accept", "a"),
            ("accept", "b"),
        ]);
        let seen = Seen::of(&headers);
        drop_hop_by_hop(&mut headers, seen).unwrap();
        assert_eq!(headers["content-length"], "3");
        drop_framing(&mut headers);
        let random = Random::new(1, 0);
        let told = mutate(&mut headers, seen, edge(), &plain_client(), &random);
        assert_eq!(told.forwarded_proto, "http");
        assert_eq!(
            (told.request_id.as_ref(), told.forwarded_for.as_ref()),
            (headers.get(REQUEST_ID), headers.get(FORWARDED_FOR))
        );
        let id = headers.remove(REQUEST_ID).unwrap();
        assert_eq!(id.len(), 36);
        let mut left: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        left.sort();
        assert_eq!(
            left,
            [
                "accept: a,b",
                "te: trailers",
                "x-client: k",
                "x-envoy-external-address: 127.0.0.1",
                "x-forwarded-for: 1.1.1.1,127.0.0.1",
                "x-forwarded-proto: http",
            ]
        );
    }

    #[test]
    fn a_sidecar_keeps_the_request_id_and_a_good_forwarded_proto() {
        let random = Random::new(1, 0);
        let mut kept = headers(&[("x-request-id", "mine"), ("x-forwarded-proto", "https")]);
        let seen = Seen::of(&kept);
        assert_eq!(mutate(&mut kept, seen, HttpSettings::default(), &plain_client(), &random).forwarded_proto, "https");
        assert_eq!(kept[REQUEST_ID], "mine");
        let mut bad = headers(&[("x-forwarded-proto", "gopher")]);
        let seen = Seen::of(&bad);
        assert_eq!(mutate(&mut bad, seen, HttpSettings::default(), &plain_client(), &random).forwarded_proto, "http");
        assert_eq!(bad[FORWARDED_PROTO], "http");
        assert!(!bad.contains_key(FORWARDED_FOR));
    }

    #[test]
    fn a_change_of_protocol_is_told_where_it_is_asked_for() {
        let lines = [("connection", "Upgrade, x"), ("upgrade", "websocket"), ("x", "1"), ("keep-alive", "5")];
        let mut request = headers(&lines);
        request_without_hops(&mut request).unwrap();
        assert_eq!(request, headers(&lines[..2]));
        let apart = [("connection", "keep-alive"), ("connection", "Upgrade"), ("upgrade", "websocket")];
        let mut request = headers(&apart);
        request_without_hops(&mut request).unwrap();
        assert_eq!(request, headers(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]));
        let mut answer = headers(&lines);
        drop_hop_by_hop_of_response(&mut answer, true);
        assert_eq!(answer, headers(&lines[..2]));
        drop_hop_by_hop_of_response(&mut answer, false);
        assert!(answer.is_empty());
    }

    #[test]
    fn connection_may_not_name_forwarding_headers() {
        assert!(request_without_hops(&mut headers(&[("connection", "x-forwarded-for")])).is_err());
        assert!(request_without_hops(&mut headers(&[("connection", ":path")])).is_err());
    }

    #[test]
    fn a_response_keeps_its_length_even_if_connection_names_it() {
        let mut headers = headers(&[("connection", "content-length, x"), ("content-length", "7"), ("x", "1")]);
        drop_hop_by_hop_of_response(&mut headers, true);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[CONTENT_LENGTH], "7");
    }
}
