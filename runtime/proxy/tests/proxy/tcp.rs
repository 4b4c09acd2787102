//! Bytes that a gateway passes on: plain (semantics A57 to A61), in TLS that ends here, and in TLS that does not (A59).

use crate::common::{
    client::{connect, get, has_ended},
    lines::Lines,
    mesh, options,
    plain::{serving, upstream},
    start,
    tls::{Authority, Speaker},
    wait_for,
};
use malha_proxy::{Credentials, Revision};
use malha_table::{Role, Table};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    sync::{Arc, Mutex, mpsc::channel},
    time::Duration,
};

/// A gateway with this server, and these rules for all its hosts; the services are `a` and `b`.
pub(crate) fn table(server: &str, rules: &str, a: &[SocketAddr], b: &[SocketAddr]) -> Arc<Table> {
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
{server}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
{rules}
",
        mesh::SERVICES
    );
    mesh::compile(&text, a, b)
}

/// A server of plain bytes, on port 5432.
pub(crate) const PLAIN: &str = "  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}";

#[test]
fn bytes_go_both_ways_and_each_side_ends_for_itself() {
    let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]";
    let proxy = start(table(PLAIN, rules, &[upstream("welcome ")], &[]), options());
    let mut stream = connect(proxy.gateway(5432));
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).expect("the server speaks first");
    assert_eq!(&greeting, b"welcome ");
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "HELLO", "half a connection is open yet");
}

#[test]
fn each_connection_has_a_destination_of_its_own() {
    let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}, weight: 50},
      {destination: {host: b, port: {number: 80}}, weight: 50}]}]";
    let proxy = start(table(PLAIN, rules, &[upstream("a")], &[upstream("b")]), options());
    let counts = (0..60).fold([0, 0], |mut counts, _| {
        let mut first = [0];
        connect(proxy.gateway(5432)).read_exact(&mut first).unwrap();
        counts[usize::from(first[0] - b'a')] += 1;
        counts
    });
    assert!(counts[0] > 10 && counts[1] > 10, "A61: {counts:?}");
}

#[test]
fn who_cannot_be_connected_is_closed() {
    let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]";
    for endpoints in [vec![crate::common::echo::dead()], Vec::new()] {
        let proxy = start(table(PLAIN, rules, &endpoints, &[]), options());
        let mut rest = Vec::new();
        let _ = connect(proxy.gateway(5432)).read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn an_endpoint_that_cannot_be_connected_is_left_out() {
    let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    outlierDetection: {consecutive5xxErrors: 2, baseEjectionTime: 60s, maxEjectionPercent: 50}";
    let proxy = start(table(PLAIN, rules, &[crate::common::echo::dead(), upstream("a")], &[]), options());
    let is_served = || matches!(connect(proxy.gateway(5432)).read(&mut [0]), Ok(1));
    let failed = (0..40).filter(|_| !is_served()).count();
    assert_eq!(failed, 2, "D49: two in a row, and no more");
    let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
    let ejected = |line: &&str| line.starts_with("malha_endpoint_ejected{") && line.ends_with(" 1");
    assert_eq!(metrics.lines().filter(ejected).count(), 1);
}

#[test]
fn tls_ends_before_the_bytes() {
    let authority = Authority::new();
    let server = "  - port: {number: 5433, name: tls, protocol: TLS}
    hosts: [db.com]
    tls: {mode: SIMPLE, credentialName: db}";
    let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]";
    let table = table(server, rules, &[upstream("welcome ")], &[]);
    let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
    let mut credentials = Credentials::default();
    credentials.insert(&namespace, "db", authority.issue(&["db.com"]).credential());
    let proxy = start(Revision { table, credentials }, options());
    let speaker = Speaker { offers: &["postgresql"], ..Speaker::new(&authority) };
    let mut stream = speaker.shake(proxy.gateway(5433), "db.com").expect("A57");
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.conn.send_close_notify();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert_eq!((&greeting, text.as_str()), (b"welcome ", "HELLO"));
}

#[test]
fn the_server_name_leads_tls_to_where_it_ends() {
    // Where it ends stands a gateway of this kind, too.
    let authority = Authority::new();
    let behind = |name: &str, greeting| {
        let server = format!(
            "  - port: {{number: 443, name: tls, protocol: TLS}}
    hosts: [{name}]
    tls: {{mode: SIMPLE, credentialName: own}}"
        );
        let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]";
        let table = table(&server, rules, &[upstream(greeting)], &[]);
        let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
        let mut credentials = Credentials::default();
        credentials.insert(&namespace, "own", authority.issue(&[name]).credential());
        start(Revision { table, credentials }, options())
    };
    let (one, two) = (behind("one.com", "1"), behind("x.two.com", "2"));
    let rules = "  tls:
  - match: [{sniHosts: [one.com]}]
    route: [{destination: {host: a, port: {number: 80}}}]
  - match: [{sniHosts: ['*.two.com']}]
    route: [{destination: {host: b, port: {number: 80}}}]"
        .replace("hosts: ['*']", "");
    // No mode is this one (semantics A45).
    for (protocol, mode) in [("TLS", "mode: PASSTHROUGH"), ("HTTPS", "mode: PASSTHROUGH"), ("TLS", ""), ("HTTPS", "")] {
        let server = format!(
            "  - port: {{number: 443, name: tls, protocol: {protocol}}}
    hosts: ['*.com']
    tls: {{{mode}}}"
        );
        let front = start(table(&server, &rules, &[one.gateway(443)], &[two.gateway(443)]), options());
        for (name, greeting) in [("one.com", "1"), ("x.two.com", "2")] {
            let mut stream = Speaker::new(&authority).shake(front.gateway(443), name).expect("A59");
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, greeting.as_bytes(), "A45, A59: {protocol} {mode} {name}");
        }
        assert!(Speaker::new(&authority).shake(front.gateway(443), "three.com").is_err(), "A53");
    }
}

/// What OpenSSL says first where it may speak TLS 1.1 and no newer, to `one.com`; no signature algorithms are in it.
const OLD_HELLO: [u8; 82] = [
    0x16, 0x03, 0x01, 0x00, 0x4d, 0x01, 0x00, 0x00, 0x49, 0x03, 0x02, 0x30, 0x0f, 0x98, 0x77, 0x3f, 0xe2, 0xa1, 0x6d,
    0x8e, 0x43, 0xc0, 0x43, 0x49, 0x45, 0x87, 0x86, 0xec, 0x44, 0x4f, 0xda, 0x46, 0x0e, 0x16, 0xbc, 0x54, 0xa3, 0x19,
    0xde, 0xfd, 0x02, 0xdf, 0x8c, 0x00, 0x00, 0x04, 0x00, 0x2f, 0x00, 0xff, 0x01, 0x00, 0x00, 0x1c, 0x00, 0x00, 0x00,
    0x0c, 0x00, 0x0a, 0x00, 0x00, 0x07, 0x6f, 0x6e, 0x65, 0x2e, 0x63, 0x6f, 0x6d, 0x00, 0x23, 0x00, 0x00, 0x00, 0x16,
    0x00, 0x00, 0x00, 0x17, 0x00, 0x00,
];

#[test]
fn tls_that_could_not_end_here_is_led_on_by_its_server_name_too() {
    let server = "  - port: {number: 443, name: tls, protocol: TLS}
    hosts: [one.com, two.com]
    tls: {mode: PASSTHROUGH}";
    let rules = "  tls:
  - match: [{sniHosts: [one.com]}]
    route: [{destination: {host: a, port: {number: 80}}}]
  - match: [{sniHosts: [two.com]}]
    route: [{destination: {host: b, port: {number: 80}}}]"
        .replace("hosts: ['*']", "");
    // It tells what it was sent.
    let (told, hears) = channel();
    let a = serving(move |mut stream| {
        let mut bytes = vec![0; OLD_HELLO.len()];
        if stream.read_exact(&mut bytes).is_ok() {
            let _ = told.send(bytes);
        }
    });
    let front = start(table(server, &rules, &[a], &[upstream("b")]), options());
    // Over two records, and with an older version still.
    let (head, body) = OLD_HELLO.split_at(5);
    let (first, second) = body.split_at(30);
    let record = |piece: &[u8]| [&head[..3], &[0, u8::try_from(piece.len()).unwrap()], piece].concat();
    let mut oldest = OLD_HELLO;
    oldest[10] = 1;
    for hello in [OLD_HELLO.to_vec(), oldest.to_vec(), [record(first), record(second)].concat()] {
        connect(front.gateway(443)).write_all(&hello).unwrap();
        let came = hears.recv_timeout(Duration::from_secs(10)).expect("A59");
        assert_eq!(came, hello[..OLD_HELLO.len()], "A59: as it came");
    }
}

#[test]
fn the_meshs_own_tls_is_led_on_by_the_name_of_a_cluster() {
    let authority = Authority::new();
    // Where it ends stands a gateway that knows those names.
    let name = |service: &str| format!("outbound_.80_._.{service}.default.svc.cluster.local");
    let behind = |service: &str, greeting| {
        let server = "  - port: {number: 443, name: tls, protocol: TLS}
    hosts: ['*']
    tls: {mode: SIMPLE, credentialName: own}";
        let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]";
        let table = table(server, rules, &[upstream(greeting)], &[]);
        let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
        let mut credentials = Credentials::default();
        credentials.insert(&namespace, "own", authority.issue(&[&name(service)]).credential());
        start(Revision { table, credentials }, options())
    };
    let (a, b) = (behind("a", "1"), behind("b", "2"));
    let server = "  - port: {number: 15443, name: tls, protocol: TLS}
    hosts: ['*.cluster.local']
    tls: {mode: AUTO_PASSTHROUGH}";
    let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]";
    let front = start(table(server, rules, &[a.gateway(443)], &[b.gateway(443)]), options());
    for (service, greeting) in [("a", "1"), ("b", "2")] {
        let speaker = Speaker { is_careless: true, ..Speaker::new(&authority) };
        let mut stream = speaker.shake(front.gateway(15443), &name(service)).expect("A.6");
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, greeting.as_bytes(), "A.6: {service}");
    }
    assert!(Speaker::new(&authority).shake(front.gateway(15443), "a.default.svc.cluster.local").is_err(), "A.6");
}

/// A rule to the service `a`, whose policy is this.
fn to_a(policy: &str) -> String {
    let rules = "  tcp: [{route: [{destination: {host: a, port: {number: 80}}}]}]\n";
    rules.to_owned() + &mesh::policy_of_a(policy)
}

/// An endpoint that is asked for tunnels: it tells what it was asked, says so much, and then sends back in capitals what
/// comes.
fn asked(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heads = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            heads.lock().unwrap().push(head.join("\n").to_ascii_lowercase());
            let _ = (&stream).write_all(answer.as_bytes());
            for line in lines {
                let _ = (&stream).write_all(format!("{}\n", line.to_uppercase()).as_bytes());
            }
        }
    });
    (address, asked)
}

#[test]
fn bytes_go_through_a_tunnel_that_the_endpoint_is_asked_for() {
    // What comes with the answer is the destination's already.
    let (upstream, heads) = asked("HTTP/1.1 200 OK\r\n\r\nwelcome\n");
    let policy = to_a("tunnel: {protocol: CONNECT, targetHost: db.example.com, targetPort: 5432}");
    let proxy = start(table(PLAIN, &policy, &[upstream], &[]), options());
    let mut stream = connect(proxy.gateway(5432));
    stream.write_all(b"hello\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "welcome\nHELLO\n", "D60");
    let heads = heads.lock().unwrap();
    assert_eq!(*heads, ["connect db.example.com:5432 http/1.1\nhost: db.example.com:5432"], "D60");
}

#[test]
fn a_client_whose_tunnel_is_refused_is_closed() {
    let (upstream, _) = asked("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
    let proxy = start(
        table(PLAIN, &to_a("tunnel: {targetHost: db.example.com, targetPort: 5432}"), &[upstream], &[]),
        options(),
    );
    let mut stream = connect(proxy.gateway(5432));
    assert!(has_ended(&mut stream));
}

#[test]
fn a_connection_ends_when_it_is_as_old_as_it_gets() {
    let lines = Lines::default();
    let policy = to_a("connectionPool: {tcp: {maxConnectionDuration: 150ms}}");
    let proxy = start(table(PLAIN, &policy, &[upstream("welcome ")], &[]), lines.options());
    let mut text = String::new();
    let _ = connect(proxy.gateway(5432)).read_to_string(&mut text);
    assert_eq!(text, "welcome ", "D.6: the client is closed though nobody else ended it");
    wait_for("its line", || lines.now().iter().any(|line| line.contains("\" 0 DT - ")));
}

#[test]
fn endpoints_of_bytes_are_told_of_the_client() {
    let policy = to_a("proxyProtocol: {version: V1}");
    let proxy = start(table(PLAIN, &policy, &[upstream("")], &[]), options());
    let gateway = proxy.gateway(5432);
    let mut stream = connect(gateway);
    let from = stream.local_addr().unwrap().port();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {}\r\nHELLO", gateway.port()), "D61");
}

#[test]
fn a_connection_that_is_silent_for_too_long_is_closed_and_one_that_is_not_goes_on() {
    let policy = to_a("connectionPool: {tcp: {idleTimeout: 300ms}}");
    let (upstream, _) = asked("");
    let proxy = start(table(PLAIN, &policy, &[upstream], &[]), options());
    let mut stream = connect(proxy.gateway(5432));
    stream.write_all(b"\n").unwrap();
    let mut answer = [0; 3];
    // Longer than it may be silent, but never silent for so long.
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(b"hi\n").unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HI\n");
    }
    assert!(has_ended(&mut stream), "D.6");
}
