//! TLS that ends at a gateway (semantics A.6, A.7), over real sockets.

use crate::common::{
    Running,
    client::{connect, get},
    echo::Echo,
    mesh, options, start,
    tls::{Authority, Certified, Speaker},
};
use malha_mesh::MeshConfig;
use malha_proxy::{Credential, Credentials, Limits, Options, Revision};
use rustls::{ClientConnection, pki_types::ServerName};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

/// A gateway whose servers on 443 are these, in front of `a`; the Secrets are in the gateway's namespace.
fn revision(servers: &str, echo: &Echo, secrets: &[(&str, Credential)]) -> Revision {
    revision_in(MeshConfig::default(), servers, echo, secrets)
}

/// The same, in a mesh with these settings.
fn revision_in(config: MeshConfig, servers: &str, echo: &Echo, secrets: &[(&str, Credential)]) -> Revision {
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
{servers}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  http:
  - route: [{{destination: {{host: a}}}}]
",
        mesh::SERVICES
    );
    let table = mesh::compile_with(&text, &[], config, |_| Some(vec![echo.address]));
    let namespace = table.proxies().find(|proxy| proxy.role() == malha_table::Role::Gateway);
    let namespace = namespace.expect("there is a gateway").namespace().to_owned();
    let mut credentials = Credentials::default();
    for (name, credential) in secrets {
        credentials.insert(&namespace, name, credential.clone());
    }
    Revision { table, credentials }
}

fn server(host: &str, tls: &str) -> String {
    let name = host.replace(['.', '*'], "-");
    format!(
        "  - port: {{number: 443, name: https{name}, protocol: HTTPS}}\n    hosts: ['{host}']\n    tls: {{{tls}}}\n"
    )
}

const SIMPLE: &str = "mode: SIMPLE, credentialName: shop";

fn gateway(proxy: &Running) -> SocketAddr {
    proxy.gateway(443)
}

#[test]
fn a_simple_server_ends_tls() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let proxy = start(revision(&server("shop.com", SIMPLE), &echo, &[("shop", own.credential())]), options());
    assert!(proxy.unsupported().is_empty(), "{:?}", proxy.unsupported());
    assert!(proxy.listeners().iter().any(|listener| listener.port == 443 && listener.tls));
    let mut client = Speaker::new(&authority).connect(gateway(&proxy), "shop.com");
    for path in ["/one", "/two"] {
        let answer = client.get("shop.com", path, "x-forwarded-client-cert: forged\r\n");
        assert_eq!(answer.status, 200);
        let seen = answer.json();
        assert_eq!(seen["headers"]["x-forwarded-proto"], "https", "C.11: {seen}");
        assert!(seen["headers"]["x-forwarded-client-cert"].is_null(), "A64: {seen}");
    }
    assert_eq!(client.get("other.com", "/", "").status, 404, "A33");
}

#[test]
fn who_speaks_no_tls_or_names_nobody_is_closed() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let proxy = start(revision(&server("shop.com", SIMPLE), &echo, &[("shop", own.credential())]), options());
    let speaker = Speaker::new(&authority);
    assert!(speaker.shake(gateway(&proxy), "other.com").is_err(), "A53");
    let mut plain = crate::common::client::Client::connect(gateway(&proxy));
    plain.write(b"GET / HTTP/1.1\r\nHost: shop.com\r\n\r\n");
    assert!(plain.is_closed(), "A53");
    for bytes in [&b"\x16\x03\x01\xff\xff"[..], b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x16garbage garbage"] {
        let mut client = crate::common::client::Client::connect(gateway(&proxy));
        client.write(bytes);
        client.try_write(&vec![0x41; 70_000]);
        assert!(client.is_closed());
    }
    assert!(speaker.shake(gateway(&proxy), "shop.com").is_ok(), "others are served on");
}

#[test]
fn hellos_and_handshakes_have_times_of_their_own() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let (short, long) = (Duration::from_millis(300), Duration::from_mins(2));
    let ended = |limits: Limits, bytes: &[u8]| {
        let options = Options { limits, ..options() };
        let proxy = start(revision(&server("shop.com", SIMPLE), &echo, &[("shop", own.credential())]), options);
        let mut stream = connect(gateway(&proxy));
        stream.write_all(bytes).unwrap();
        // What the server has to say to a hello goes first.
        stream.set_read_timeout(Some(short * 6)).unwrap();
        let read = stream.read_to_end(&mut Vec::new());
        !read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    };
    let hello = hello_of(&authority, "shop.com");
    let base =
        || Limits { header_read_timeout: long, hello_timeout: long, handshake_timeout: long, ..Limits::default() };
    assert!(ended(Limits { hello_timeout: short, ..base() }, &hello[..20]), "A56");
    assert!(ended(Limits { hello_timeout: short, ..base() }, b""), "A56");
    assert!(ended(Limits { handshake_timeout: short, ..base() }, &hello), "A56");
    assert!(!ended(Limits { header_read_timeout: short, handshake_timeout: short, ..base() }, &hello[..20]));
    assert!(!ended(Limits { header_read_timeout: short, hello_timeout: short, ..base() }, &hello));
}

/// What a client begins with.
fn hello_of(authority: &Authority, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(Speaker::new(authority).config()), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn the_server_name_chooses_chain_and_certificate() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let servers = [
        server("a.com", "mode: SIMPLE, credentialName: exact"),
        server("*.b.com", "mode: SIMPLE, credentialName: wild"),
    ];
    let (exact, wild) = (authority.issue(&["a.com"]), authority.issue(&["*.b.com"]));
    let secrets = [("exact", exact.credential()), ("wild", wild.credential())];
    let proxy = start(revision(&servers.concat(), &echo, &secrets), options());
    for (name, certificate) in [("a.com", &exact), ("x.b.com", &wild)] {
        let stream = Speaker::new(&authority).shake(gateway(&proxy), name).expect("A52");
        let shown = stream.conn.peer_certificates().unwrap();
        assert_eq!(&*shown[0], certificate.der(), "A52: {name}");
    }
}

#[test]
fn of_server_names_the_most_specific_has_the_client() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let hosts = ["'*.com'", "'*.b.com'", "x.b.com", "'*', zzz.org"];
    let names = ["wide", "narrow", "exact", "any"];
    let servers = names.iter().zip(hosts).map(|(name, hosts)| {
        format!(
            "  - port: {{number: 443, name: {name}, protocol: HTTPS}}\n    hosts: [{hosts}]\n    \
             tls: {{mode: SIMPLE, credentialName: {name}}}\n"
        )
    });
    let certificates = names.map(|name| authority.issue(&[name]));
    let secrets: Vec<(&str, Credential)> =
        names.into_iter().zip(&certificates).map(|(name, one)| (name, one.credential())).collect();
    let proxy = start(revision(&servers.collect::<String>(), &echo, &secrets), options());
    let speaker = Speaker { is_careless: true, ..Speaker::new(&authority) };
    // An address is no server name: none is sent.
    for (name, expected) in [
        ("x.b.com", "exact"),
        ("X.B.com", "exact"),
        ("y.b.com", "narrow"),
        ("y.x.b.com", "narrow"),
        ("b.com", "wide"),
        ("zzz.org", "any"),
        ("nobody.net", "any"),
        ("192.0.2.1", "any"),
    ] {
        let stream = speaker.shake(gateway(&proxy), name).expect("A52");
        let shown = &stream.conn.peer_certificates().expect("one is shown")[0];
        let found = names.iter().zip(&certificates).find(|(_, one)| one.der() == &**shown);
        assert_eq!(found.map(|(name, _)| *name), Some(expected), "A52: {name}");
    }
}

#[test]
fn a_certificate_that_was_withdrawn_is_refused() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let (own, kept, withdrawn) =
        (authority.issue(&["shop.com"]), authority.issue(&["ann.com"]), authority.issue(&["bob.com"]));
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
    write("shop.pem", own.pem());
    write("shop.key", own.key_pem());
    write("ca.pem", authority.pem());
    let files = "serverCertificate: shop.pem, privateKey: shop.key, caCertificates: ca.pem";
    let with = |more: &str| {
        let mut made = revision(&server("shop.com", &format!("mode: MUTUAL, {files}{more}")), &echo, &[]);
        made.credentials.read_files(&made.table, directory.path());
        made
    };
    let is_served = |proxy: &Running, shows: &Certified| {
        let speaker = Speaker { shows: Some(shows), ..Speaker::new(&authority) };
        let Ok(stream) = speaker.shake(gateway(proxy), "shop.com") else { return false };
        // In TLS 1.3 the first read tells.
        let mut client = crate::common::client::Client::over(stream);
        client.try_write(b"GET / HTTP/1.1\r\nHost: shop.com\r\n\r\n");
        client.read().is_some_and(|answer| answer.status == 200)
    };
    let proxy = start(with(""), options());
    assert!(is_served(&proxy, &kept) && is_served(&proxy, &withdrawn));
    write("crl.pem", authority.withdraw(&[&withdrawn]));
    proxy.swap(with(", caCrl: crl.pem"));
    assert!(proxy.unsupported().is_empty(), "{:?}", proxy.unsupported());
    assert!(is_served(&proxy, &kept) && !is_served(&proxy, &withdrawn), "A48");
    // The list of a Secret counts as the file's does.
    let clients = Credential {
        authorities: Some(authority.pem().into_bytes().into()),
        withdrawn: Some(authority.withdraw(&[&kept]).into_bytes().into()),
        ..Credential::default()
    };
    let mutual = server("shop.com", "mode: MUTUAL, credentialName: shop");
    proxy.swap(revision(&mutual, &echo, &[("shop", own.credential()), ("shop-cacert", clients)]));
    assert!(!is_served(&proxy, &kept) && is_served(&proxy, &withdrawn), "A48");
}

#[test]
fn clients_of_a_mutual_server_show_a_certificate() {
    let (echo, authority, strangers) = (Echo::start("a"), Authority::new(), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let clients = Credential { authorities: Some(authority.pem().into_bytes().into()), ..Credential::default() };
    let (known, other, stranger) =
        (authority.issue(&["ann.com"]), authority.issue(&["bob.com"]), strangers.issue(&["ann.com"]));
    let secrets = [("shop", own.credential()), ("shop-cacert", clients)];
    // What a client without the right certificate gets is told by the first read, in TLS 1.3.
    let asks = |proxy: &Running, shows: Option<&Certified>| {
        let speaker = Speaker { shows, ..Speaker::new(&authority) };
        let mut stream = speaker.shake(gateway(proxy), "shop.com").ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.com\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok().filter(|_| answer.starts_with(b"HTTP/1.1 200"))?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    };
    let mutual = server("shop.com", "mode: MUTUAL, credentialName: shop");
    let proxy = start(revision(&mutual, &echo, &secrets), options());
    assert!(asks(&proxy, None).is_none(), "A.6 MUTUAL");
    assert!(asks(&proxy, Some(&stranger)).is_none(), "A.6 MUTUAL");
    let answer = asks(&proxy, Some(&known)).expect("A.6 MUTUAL, A47");
    assert!(answer.contains("x-forwarded-client-cert") && answer.contains("DNS=ann.com"), "A64: {answer}");
    assert!(asks(&proxy, Some(&other)).is_some());

    proxy.swap(revision(&server("shop.com", "mode: OPTIONAL_MUTUAL, credentialName: shop"), &echo, &secrets));
    assert!(asks(&proxy, None).is_some() && asks(&proxy, Some(&known)).is_some(), "A.6 OPTIONAL_MUTUAL");
    assert!(asks(&proxy, Some(&stranger)).is_none(), "A.6 OPTIONAL_MUTUAL");

    let named = server("shop.com", "mode: MUTUAL, credentialName: shop, subjectAltNames: [ann.com]");
    proxy.swap(revision(&named, &echo, &secrets));
    assert!(asks(&proxy, Some(&known)).is_some() && asks(&proxy, Some(&other)).is_none(), "A.6: any of the names");

    let careless = server("shop.com", "mode: MUTUAL, credentialName: shop, insecureSkipVerify: true");
    proxy.swap(revision(&careless, &echo, &secrets));
    assert!(asks(&proxy, Some(&stranger)).is_some() && asks(&proxy, None).is_none(), "A48: anybody's certificate");

    let hash = answer.split("Hash=").nth(1).and_then(|rest| rest.get(..64)).expect("A64");
    let pinned = server("shop.com", &format!("mode: MUTUAL, credentialName: shop, verifyCertificateHash: ['{hash}']"));
    proxy.swap(revision(&pinned, &echo, &secrets));
    assert!(asks(&proxy, Some(&known)).is_some() && asks(&proxy, Some(&other)).is_none(), "A48: one that is pinned");
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let (first, second) = (authority.issue(&["shop.com"]), authority.issue(&["shop.com"]));
    let with = |own: &Certified| revision(&server("shop.com", SIMPLE), &echo, &[("shop", own.credential())]);
    let proxy = start(with(&first), options());
    let speaker = Speaker::new(&authority);
    let mut open = speaker.connect(gateway(&proxy), "shop.com");
    assert_eq!(open.get("shop.com", "/", "").status, 200);
    proxy.swap(with(&second));
    assert_eq!(open.get("shop.com", "/", "").status, 200, "the open connection goes on");
    let shown = speaker.shake(gateway(&proxy), "shop.com").unwrap();
    assert_eq!(&*shown.conn.peer_certificates().unwrap()[0], second.der());
}

#[test]
fn what_lacks_a_certificate_is_named_and_closed() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let wrong = Credential { private_key: authority.issue(&["x"]).credential().private_key, ..own.credential() };
    let cases: [(&[(&str, Credential)], &str); 4] = [
        (&[], "there is no Secret shop in namespace"),
        (&[("shop-tls", own.credential())], "there is one called shop-tls"),
        (&[("shop", Credential::default())], "no `tls.crt`"),
        (&[("shop", wrong)], "its key is not that of its certificate"),
    ];
    for (secrets, reason) in cases {
        let proxy = start(revision(&server("shop.com", SIMPLE), &echo, secrets), options());
        let told = proxy.unsupported().join("\n");
        assert!(told.contains(reason) && told.contains("shop.com"), "A49: {told}");
        assert!(Speaker::new(&authority).shake(gateway(&proxy), "shop.com").is_err(), "A49");
    }
}

#[test]
fn versions_and_ciphers_are_narrowed() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let with = |more: &str| {
        let server = server("shop.com", &format!("{SIMPLE}, {more}"));
        revision(&server, &echo, &[("shop", own.credential())])
    };
    let speaks = |proxy: &Running, is_old: bool| {
        Speaker { is_old, ..Speaker::new(&authority) }.shake(gateway(proxy), "shop.com").ok().map(|stream| {
            let suite = stream.conn.negotiated_cipher_suite().unwrap().suite();
            suite.as_str().unwrap().to_owned()
        })
    };
    let proxy = start(with("minProtocolVersion: TLSV1_3"), options());
    assert!(speaks(&proxy, true).is_none() && speaks(&proxy, false).is_some(), "A50");
    proxy.swap(with("maxProtocolVersion: TLSV1_2"));
    assert!(speaks(&proxy, false).unwrap().starts_with("TLS_ECDHE"), "A50");
    proxy.swap(with("maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384]"));
    assert_eq!(speaks(&proxy, false).unwrap(), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "A50");
}

#[test]
fn the_mesh_narrows_versions_and_ciphers_where_a_server_does_not() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let with = |defaults: serde_json::Value, more: &str| {
        let config = MeshConfig::from_json(&serde_json::json!({"tlsDefaults": defaults}));
        let server = server("shop.com", &format!("{SIMPLE}{more}"));
        revision_in(config, &server, &echo, &[("shop", own.credential())])
    };
    let suite = |proxy: &Running| {
        let stream = Speaker { is_old: true, ..Speaker::new(&authority) }.shake(gateway(proxy), "shop.com").ok()?;
        Some(stream.conn.negotiated_cipher_suite()?.suite().as_str()?.to_owned())
    };
    let newest = || serde_json::json!({"minProtocolVersion": "TLSV1_3"});
    let proxy = start(with(newest(), ""), options());
    assert!(suite(&proxy).is_none(), "A50");
    proxy.swap(with(newest(), ", minProtocolVersion: TLSV1_2"));
    assert!(suite(&proxy).is_some(), "A50: what the server says counts");
    let strong = || serde_json::json!({"cipherSuites": ["ECDHE-ECDSA-AES256-GCM-SHA384"]});
    proxy.swap(with(strong(), ""));
    assert_eq!(suite(&proxy).as_deref(), Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), "A50");
    proxy.swap(with(strong(), ", cipherSuites: [ECDHE-ECDSA-AES128-GCM-SHA256]"));
    assert_eq!(suite(&proxy).as_deref(), Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), "A50");
}

#[test]
fn protocols_are_agreed_on() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let proxy = start(revision(&server("shop.com", SIMPLE), &echo, &[("shop", own.credential())]), options());
    let agreed = |offers: &[&str]| {
        let speaker = Speaker { offers, ..Speaker::new(&authority) };
        let stream = speaker.shake(gateway(&proxy), "shop.com").expect("A51");
        stream.conn.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(agreed(&["http/1.1", "h2"]).as_deref(), Some(&b"h2"[..]), "A51: the server's order");
    assert_eq!(agreed(&["http/1.1"]).as_deref(), Some(&b"http/1.1"[..]), "A51");
    assert_eq!(agreed(&[]), None, "A51");
    assert_eq!(agreed(&["smtp"]), None, "Envoy goes on without one");
}

#[test]
fn files_and_several_certificates() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("shop.pem"), own.pem()).unwrap();
    std::fs::write(directory.path().join("shop.key"), own.key_pem()).unwrap();
    let files = server("shop.com", "mode: SIMPLE, serverCertificate: shop.pem, privateKey: shop.key");
    let mut by_files = revision(&files, &echo, &[]);
    by_files.credentials.read_files(&by_files.table, directory.path());
    let proxy = start(by_files, options());
    let mut client = Speaker::new(&authority).connect(gateway(&proxy), "shop.com");
    assert_eq!(client.get("shop.com", "/", "").status, 200, "A46");

    let (one, two) = (authority.issue(&["one.com"]), authority.issue(&["two.com"]));
    let several = server("*", "mode: SIMPLE, credentialNames: [one, two]");
    proxy.swap(revision(&several, &echo, &[("one", one.credential()), ("two", two.credential())]));
    for (name, certificate) in [("one.com", &one), ("two.com", &two)] {
        let stream = Speaker::new(&authority).shake(gateway(&proxy), name).expect("A46");
        assert_eq!(&*stream.conn.peer_certificates().unwrap()[0], certificate.der(), "A46: {name}");
    }
}

#[test]
fn plain_requests_are_sent_to_tls() {
    let (echo, authority) = (Echo::start("a"), Authority::new());
    let own = authority.issue(&["shop.com"]);
    let plain = "  - port: {number: 80, name: http, protocol: HTTP}\n    hosts: [shop.com]\n    \
                 tls: {httpsRedirect: true}\n";
    let servers = [plain.to_owned(), server("shop.com", SIMPLE)].concat();
    let proxy = start(revision(&servers, &echo, &[("shop", own.credential())]), options());
    let answer = get(proxy.gateway(80), "shop.com", "/x?y", "");
    // A mapped port stands for the one that the file names.
    let location = format!("https://shop.com:{}/x?y", gateway(&proxy).port());
    assert_eq!((answer.status, answer.header("location")), (301, Some(location.as_str())), "A38");
    assert_eq!(Speaker::new(&authority).connect(gateway(&proxy), "shop.com").get("shop.com", "/", "").status, 200);
}
