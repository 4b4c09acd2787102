//! What gateways take from whoever stands in front of them (semantics A42, A63, A64, A71), over real sockets.

use crate::common::{
    client::{Answer, Client, connect, get, has_ended},
    echo::Echo,
    lines::Lines,
    mesh, options,
    plain::upstream,
    start,
    tls::{Authority, Speaker},
};
use malha_mesh::MeshConfig;
use malha_proxy::{Credential, Credentials, Limits, LogFormat, Options, Revision};
use malha_table::{Role, Table};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";

/// A mesh with this `gatewayTopology`, whose `a` has these endpoints.
fn table(text: &str, topology: &Value, a: &[SocketAddr]) -> Arc<Table> {
    let config = MeshConfig::from_json(&json!({"defaultConfig": {"gatewayTopology": topology}}));
    mesh::compile_with(text, &[], config, |_| Some(a.to_vec()))
}

/// The same, with what the Secrets of the gateway hold.
fn revision(table: Arc<Table>, secrets: &[(&str, Credential)]) -> Revision {
    let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway);
    let namespace = namespace.expect("there is a gateway").namespace().to_owned();
    let mut credentials = Credentials::default();
    for (name, credential) in secrets {
        credentials.insert(&namespace, name, credential.clone());
    }
    Revision { table, credentials }
}

fn seen(answer: &Answer, name: &str) -> Value {
    answer.json()["headers"][name].clone()
}

#[test]
fn trusted_proxies_say_who_the_client_is() {
    let echo = Echo::start("a");
    let rules = format!("{ROUTE}    headers: {{request: {{set: {{x-remote: '%DOWNSTREAM_REMOTE_ADDRESS%'}}}}}}\n");
    let text = mesh::gateway_text(&rules);
    let with = |trusted: u32| table(&text, &json!({"numTrustedProxies": trusted}), &[echo.address]);
    let (text_lines, json_lines) = (Lines::default(), Lines::default());
    let proxy = start(with(0), text_lines.options());
    let other = start(with(2), Options { access_log: Some(json_lines.log().in_format(LogFormat::Json)), ..options() });
    let chain = "X-Forwarded-For: 9.9.9.9, 203.0.113.7\r\nX-Forwarded-For: 10.0.0.1\r\n";
    let mut client = Client::connect(proxy.gateway(80));
    for (trusted, address, remote) in [
        (0, "127.0.0.1", None),
        (1, "10.0.0.1", Some("10.0.0.1:0")),
        (2, "203.0.113.7", Some("203.0.113.7:0")),
        (3, "9.9.9.9", Some("9.9.9.9:0")),
        (4, "127.0.0.1", None),
    ] {
        proxy.swap(with(trusted));
        text_lines.clear();
        let answer = client.get("x.com", "/", chain);
        assert_eq!(seen(&answer, "x-envoy-external-address"), address, "A63: {trusted}");
        assert_eq!(seen(&answer, "x-forwarded-for"), "9.9.9.9, 203.0.113.7,10.0.0.1,127.0.0.1", "A63: {trusted}");
        let told = seen(&answer, "x-remote").as_str().unwrap_or_default().to_owned();
        let line = text_lines.wait(1).remove(0);
        match remote {
            Some(remote) => {
                assert_eq!(told, remote);
                assert!(line.contains(&format!(" {remote} - ")), "C85: {line}");
            }
            None => assert!(told.starts_with("127.0.0.1:") && line.contains(&format!(" {told} - ")), "{told} {line}"),
        }
    }
    proxy.swap(with(1));
    let unknown = client.get("x.com", "/", "X-Forwarded-For: unknown\r\n");
    assert_eq!(seen(&unknown, "x-envoy-external-address"), "127.0.0.1", "what is no address tells of nobody");
    get(other.gateway(80), "x.com", "/", chain);
    let line: Value = serde_json::from_str(&json_lines.wait(1).remove(0)).expect("JSON");
    assert_eq!(line["downstream_remote_address"], "203.0.113.7:0", "C85");
}

#[test]
fn trusted_proxies_say_what_the_scheme_is() {
    let echo = Echo::start("a");
    let rules = format!("  - match: [{{scheme: {{exact: https}}}}]\n    directResponse: {{status: 299}}\n{ROUTE}");
    let text = mesh::gateway_text(&rules);
    let redirecting = text.replace("hosts: ['*']\n---", "hosts: ['*']\n    tls: {httpsRedirect: true}\n---");
    assert_ne!(text, redirecting);
    let trusting = json!({"numTrustedProxies": 1});
    let ask = |proxy: &crate::common::Running, said: &str| {
        let lines = if said.is_empty() { String::new() } else { format!("X-Forwarded-Proto: {said}\r\n") };
        get(proxy.gateway(80), "x.com", "/", &lines)
    };
    let proxy = start(table(&redirecting, &json!({}), &[echo.address]), options());
    assert_eq!(ask(&proxy, "https").status, 301, "A42");
    proxy.swap(table(&redirecting, &trusting, &[echo.address]));
    for (said, status) in [("https", 299), ("http", 301), ("", 301), ("gopher", 301)] {
        assert_eq!(ask(&proxy, said).status, status, "A42: {said}");
    }
    proxy.swap(table(&text, &trusting, &[echo.address]));
    assert_eq!(ask(&proxy, "https").status, 299, "B10: the scheme follows what is trusted");
    assert_eq!(seen(&ask(&proxy, "gopher"), "x-forwarded-proto"), "http", "C.11");
    proxy.swap(table(&text, &json!({}), &[echo.address]));
    assert_eq!(seen(&ask(&proxy, "https"), "x-forwarded-proto"), "http", "C.11");
}

#[test]
fn who_is_trusted_decides_which_address_is_hashed() {
    let echoes = ["one", "two", "three"].map(Echo::start);
    let addresses = echoes.each_ref().map(|echo| echo.address);
    let text = mesh::gateway_text(ROUTE) + &mesh::policy_of_a("loadBalancer: {consistentHash: {useSourceIp: true}}");
    let names = |topology: &Value| -> BTreeSet<String> {
        let proxy = start(table(&text, topology, &addresses), options());
        let ask = |client: usize| {
            get(proxy.gateway(80), "x.com", "/", &format!("X-Forwarded-For: 203.0.113.{client}\r\n")).json()
        };
        (0..40).map(|client| ask(client)["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&json!({})).len(), 1, "D21");
    assert_eq!(names(&json!({"numTrustedProxies": 1})).len(), 3, "D21, A63");
}

#[test]
fn the_certificate_of_a_client_is_told_of_as_the_mesh_says() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let (own, client) = (authority.issue(&["x.com"]), authority.issue(&["ann.com"]));
    let clients = Credential { authorities: Some(authority.pem().into_bytes().into()), ..Credential::default() };
    let server = "- port: {number: 80, name: http, protocol: HTTP}\n    hosts: ['*']";
    let tls = "- port: {number: 443, name: https, protocol: HTTPS}\n    hosts: ['*']\n    \
               tls: {mode: OPTIONAL_MUTUAL, credentialName: shop}";
    let text = mesh::gateway_text(ROUTE).replace(server, &format!("{server}\n  {tls}"));
    let with = |details: &str| {
        let table = table(&text, &json!({"forwardClientCertDetails": details}), &[echo.address]);
        revision(table, &[("shop", own.credential()), ("shop-cacert", clients.clone())])
    };
    let proxy = start(with("UNDEFINED"), options());
    // By plain HTTP, by TLS without a certificate, and with one.
    let ask = || {
        let header = "X-Forwarded-Client-Cert: By=front;Hash=00\r\n";
        let plain = get(proxy.gateway(80), "x.com", "/", header);
        let speaker = Speaker::new(&authority);
        let silent = speaker.connect(proxy.gateway(443), "x.com").get("x.com", "/", header);
        let shown = Speaker { shows: Some(&client), ..speaker };
        let shown = shown.connect(proxy.gateway(443), "x.com").get("x.com", "/", header);
        [plain, silent, shown].map(|answer| seen(&answer, "x-forwarded-client-cert").as_str().map(str::to_owned))
    };
    let sent = || Some("By=front;Hash=00".to_owned());
    let is_own = |told: &str| told.starts_with("Hash=") && told.ends_with(";DNS=ann.com");
    for details in ["UNDEFINED", "SANITIZE_SET"] {
        proxy.swap(with(details));
        let [plain, silent, shown] = ask();
        assert_eq!([plain, silent], [None, None], "A64: {details}");
        assert!(shown.as_deref().is_some_and(is_own), "A64: {details}: {shown:?}");
    }
    for (details, expected) in [
        ("SANITIZE", [None, None, None]),
        ("FORWARD_ONLY", [None, None, sent()]),
        ("ALWAYS_FORWARD_ONLY", [sent(), sent(), sent()]),
    ] {
        proxy.swap(with(details));
        assert_eq!(ask(), expected, "A64: {details}");
    }
    proxy.swap(with("APPEND_FORWARD"));
    let [plain, silent, shown] = ask();
    assert_eq!([plain, silent], [None, None], "A64");
    let shown = shown.expect("it is told of");
    assert!(shown.strip_prefix("By=front;Hash=00,").is_some_and(is_own), "A64: {shown}");
}

/// Connections that begin with a header.
const PROXIED: &str = r#"{"proxyProtocol": {}}"#;

fn proxied() -> Value {
    serde_json::from_str(PROXIED).unwrap()
}

/// A header of version 2, for TCP over IPv4.
fn binary(more: &[u8]) -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];
    let length = u16::try_from(addresses.len() + more.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &length, &addresses, more].concat()
}

const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 443\r\n";

fn begun(address: SocketAddr, header: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(header).unwrap();
    stream
}

#[test]
fn a_header_of_the_proxy_protocol_names_the_client() {
    let echo = Echo::start("a");
    let lines = Lines::default();
    let headers = "    headers: {request: {set: {x-remote: '%DOWNSTREAM_REMOTE_ADDRESS%', \
                   x-direct: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%', \
                   x-local: '%DOWNSTREAM_LOCAL_ADDRESS%'}}}\n";
    let text = mesh::gateway_text(&format!("{ROUTE}{headers}"));
    let proxy = start(table(&text, &proxied(), &[echo.address]), lines.options());
    for header in [LINE, &binary(&[]), &binary(&[4, 0, 2, 1, 1])] {
        lines.clear();
        // All at once: what follows is the request.
        let mut client = Client::over(begun(proxy.gateway(80), &[header, b"GET / HTTP/1.1\r\n"].concat()));
        let answer = client.send("Host: x.com\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n");
        assert_eq!(seen(&answer, "x-forwarded-for"), "1.1.1.1,203.0.113.7", "A71");
        assert_eq!(seen(&answer, "x-envoy-external-address"), "203.0.113.7");
        assert_eq!(seen(&answer, "x-remote"), "203.0.113.7:4660");
        assert_eq!(seen(&answer, "x-local"), "10.0.0.1:443");
        assert_eq!(seen(&answer, "x-direct"), "127.0.0.1");
        let line = lines.wait(1).remove(0);
        assert!(line.contains(" 10.0.0.1:443 203.0.113.7:4660 "), "C85: {line}");
        assert_eq!(client.get("x.com", "/", "").status, 200, "it comes once for a connection");
    }
    // Of these the connection is its client's.
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let answer = Client::over(begun(proxy.gateway(80), header)).get("x.com", "/", "");
        assert_eq!(seen(&answer, "x-forwarded-for"), "127.0.0.1", "A71");
    }
    // It may come in pieces.
    let mut stream = connect(proxy.gateway(80));
    for byte in binary(&[]) {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(seen(&Client::over(stream).get("x.com", "/", ""), "x-forwarded-for"), "203.0.113.7");
}

#[test]
fn what_does_not_begin_with_a_header_is_closed() {
    let echo = Echo::start("a");
    let limits = Limits { hello_timeout: Duration::from_millis(50), ..Limits::default() };
    let text = mesh::gateway_text(ROUTE);
    let proxy = start(table(&text, &proxied(), &[echo.address]), Options { limits, ..options() });
    let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n"[..],
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4660\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 70000\r\n",
        &binary(&[4, 0, 9]),
        &long,
        // These wait for more, which does not come.
        b"PROXY TCP4",
        b"",
    ] {
        assert!(has_ended(&mut begun(proxy.gateway(80), bytes)), "A71: {}", bytes.escape_ascii());
    }
    assert_eq!(echo.connections(), 0);
    // As the table says that is in force.
    proxy.swap(table(&text, &json!({}), &[echo.address]));
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 200);
    assert_eq!(Client::over(begun(proxy.gateway(80), LINE)).get("x.com", "/", "").status, 400);
    proxy.swap(table(&text, &proxied(), &[echo.address]));
    assert_eq!(Client::over(begun(proxy.gateway(80), LINE)).get("x.com", "/", "").status, 200);
}

#[test]
fn a_header_comes_ahead_of_tls_and_of_bytes() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let server = "- port: {number: 80, name: http, protocol: HTTP}\n    hosts: ['*']";
    let tls = "- port: {number: 443, name: https, protocol: HTTPS}\n    hosts: ['*']\n    \
               tls: {mode: SIMPLE, credentialName: shop}";
    let text = mesh::gateway_text(ROUTE).replace(server, &format!("{server}\n  {tls}"));
    let secrets = [("shop", own.credential())];
    let proxy = start(revision(table(&text, &proxied(), &[echo.address]), &secrets), options());
    let stream = Speaker::new(&authority).shake_on(begun(proxy.gateway(443), LINE), "shop.com").expect("TLS");
    assert_eq!(seen(&Client::over(stream).get("shop.com", "/", ""), "x-forwarded-for"), "203.0.113.7", "A71");

    let lines = Lines::default();
    let text = text
        .replace(server, "- {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}")
        .replace("  http:\n", "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]\n  http:\n");
    let text = text + &mesh::policy_of_a("proxyProtocol: {version: V1}");
    let table = table(&text, &proxied(), &[upstream("welcome ")]);
    let proxy = start(revision(table, &secrets), lines.options());
    let mut stream = begun(proxy.gateway(5432), LINE);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    // The endpoint is told of the client in its turn (D61).
    assert_eq!(text, format!("welcome {}", String::from_utf8_lossy(LINE)));
    let line = lines.wait(1).remove(0);
    assert!(line.contains(" 10.0.0.1:443 203.0.113.7:4660 "), "C85: {line}");
}
