//! Endpoints that are found by name (semantics E5 to E8), with a name server that says what a test wants.

use crate::common::{
    Running,
    client::{Client, get},
    echo::Echo,
    held::{Gate, Silent},
    load::Load,
    mesh,
    name_server::{NameServer, Says, local},
    options, start, wait_for,
};
use malha_mesh::MeshConfig;
use malha_proxy::{Dns, Options};
use malha_table::Table;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// A gateway whose requests all go to `x.example`, found as `resolution` says, at this port.
pub(super) fn table(resolution: &str, port: u16, more: &str) -> Arc<Table> {
    table_of(resolution, port, "", more)
}

/// The same with these endpoints, in flow style.
fn table_of(resolution: &str, port: u16, endpoints: &str, more: &str) -> Arc<Table> {
    table_with(MeshConfig::default(), resolution, port, endpoints, more)
}

/// The same under these settings of the mesh.
fn table_with(config: MeshConfig, resolution: &str, port: u16, endpoints: &str, more: &str) -> Arc<Table> {
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: x, namespace: default}}
spec:
  hosts: [x.example]
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: {port}}}
  resolution: {resolution}
  endpoints: [{endpoints}]
---
{}{more}",
        mesh::entrance(
            "  - retries: {attempts: 0}
    route:
    - destination: {host: x.example, port: {number: 80}}
"
        )
    );
    mesh::compile_with(&text, &[], config, |_| None)
}

fn policy(policy: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: x, namespace: default}}
spec: {{host: x.example, trafficPolicy: {{{policy}}}}}
"
    )
}

/// Asks that server, and asks again soon where an answer does not say for how long it holds.
pub(super) fn asking(server: &NameServer) -> Options {
    Options {
        dns: Dns { servers: vec![server.address], refresh: Duration::from_millis(20), ..Dns::default() },
        ..options()
    }
}

const CLUSTER: &str = "cluster.outbound|80||x.example";

/// The value of a statistic of the cluster.
pub(super) fn stat(proxy: &Running, name: &str) -> u64 {
    let stats = get(proxy.admin().expect("an admin server"), "localhost", "/stats", "").text();
    let value = |line: &str| {
        line.strip_prefix(CLUSTER)?.strip_prefix('.')?.strip_prefix(name)?.strip_prefix(": ")?.parse().ok()
    };
    stats.lines().find_map(value).unwrap_or_else(|| panic!("no {name} in\n{stats}"))
}

/// Who answers a request: the name of an upstream, or the status and the text of the proxy.
fn who(client: &mut Client) -> String {
    let answer = client.get("x.com", "/", "");
    if answer.status == 200 {
        return answer.json()["name"].as_str().unwrap_or_default().to_owned();
    }
    format!("{} {}", answer.status, answer.text())
}

pub(super) fn whos(proxy: &Running, requests: usize) -> BTreeSet<String> {
    let mut client = Client::connect(proxy.gateway(80));
    (0..requests).map(|_| who(&mut client)).collect()
}

pub(super) fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// Upstreams that hold back their answers at `/slow` until a gate is open.
fn slow(names: &[&str], gate: &Gate) -> Vec<Echo> {
    let gate = gate.clone();
    Echo::start_many_with(names, move |seen, _| {
        if seen["path"] == "/slow" {
            gate.pass();
        }
        None
    })
}

pub(super) const UNHEALTHY: &str = "503 no healthy upstream";

#[test]
fn each_address_is_a_host_and_follows_the_answers() {
    let echoes = Echo::start_many(&["one", "two", "three"]);
    let server = NameServer::start();
    server.say("x.example", local(0, &[1, 2, 2]));
    let proxy =
        start(table("DNS", echoes[0].address.port(), &policy("loadBalancer: {simple: ROUND_ROBIN}")), asking(&server));
    assert_eq!(stat(&proxy, "membership_total"), 2, "E5: each address once");
    assert_eq!(whos(&proxy, 2), set(["one", "two"]), "E5: in turn");
    server.say("x.example", local(0, &[3, 2]));
    wait_for("the third", || whos(&proxy, 2) == set(["two", "three"]));
    let before = (stat(&proxy, "update_success"), stat(&proxy, "update_no_rebuild"));
    wait_for("more answers", || stat(&proxy, "update_success") > before.0 + 2);
    assert!(stat(&proxy, "update_no_rebuild") > before.1, "what stays is not made anew");
    assert_eq!(stat(&proxy, "update_failure"), 0);
    assert!(stat(&proxy, "update_attempt") >= stat(&proxy, "update_success"));
}

#[test]
fn answers_hold_as_long_as_they_say() {
    let echoes = Echo::start_many(&["one", "two"]);
    let server = NameServer::start();
    // The shortest of the way counts.
    server.say("x.example", Says::Alias(1, "y.example".to_owned()));
    server.say("y.example", local(3600, &[1]));
    let proxy = start(table("DNS", echoes[0].address.port(), ""), asking(&server));
    let begun = Instant::now();
    assert_eq!((whos(&proxy, 1), server.asked("x.example")), (set(["one"]), 1));
    server.say("y.example", local(3600, &[2]));
    wait_for("the other address", || whos(&proxy, 1) == set(["two"]));
    assert!(begun.elapsed() > Duration::from_millis(900), "E5: a second is a second");
}

#[test]
fn a_mesh_says_how_soon_names_are_looked_up_again() {
    let echoes = Echo::start_many(&["one", "two"]);
    let port = echoes[0].address.port();
    let server = NameServer::start();
    server.say("x.example", local(0, &[1]));
    let config = MeshConfig { dns_refresh: Some(Duration::from_millis(20)), ..MeshConfig::default() };
    let dns = Dns { servers: vec![server.address], ..Dns::default() };
    let proxy = start(table_with(config, "DNS", port, "", ""), Options { dns, ..options() });
    assert_eq!(whos(&proxy, 1), set(["one"]));
    server.say("x.example", local(0, &[2]));
    wait_for("the other address", || whos(&proxy, 1) == set(["two"]));
}

#[test]
fn a_name_with_a_long_lifetime_is_left_alone() {
    let echoes = Echo::start_many(&["one"]);
    let server = NameServer::start();
    server.say("x.example", local(3600, &[1]));
    server.say("z.example", Says::Nothing);
    let endpoints = "{address: x.example}, {address: z.example}";
    let proxy = start(table_of("DNS", echoes[0].address.port(), endpoints, ""), asking(&server));
    wait_for("the other name", || server.asked("z.example") > 6);
    assert_eq!((whos(&proxy, 1), server.asked("x.example")), (set(["one"]), 1));
}

#[test]
fn no_address_is_an_answer_and_no_answer_is_none() {
    let echoes = Echo::start_many(&["one"]);
    let server = NameServer::start();
    server.say("x.example", local(0, &[1]));
    let proxy = start(table("DNS", echoes[0].address.port(), ""), asking(&server));
    for silence in [Says::Failure, Says::Garbage] {
        assert_eq!(whos(&proxy, 1), set(["one"]));
        let failures = stat(&proxy, "update_failure");
        server.say("x.example", silence);
        wait_for("failures", || stat(&proxy, "update_failure") >= failures + 2);
        assert_eq!(whos(&proxy, 3), set(["one"]), "what was known stays");
    }
    for nothing in [Says::Unknown, Says::Nothing] {
        server.say("x.example", nothing);
        wait_for("nobody", || whos(&proxy, 1) == set([UNHEALTHY]));
        assert_eq!(stat(&proxy, "membership_total"), 0, "E8");
        server.say("x.example", local(0, &[1]));
        wait_for("somebody", || whos(&proxy, 1) == set(["one"]));
    }
}

#[test]
fn a_proxy_waits_for_the_first_answer_but_not_for_ever() {
    let echoes = Echo::start_many(&["one"]);
    let (server, gate) = (NameServer::start(), Gate::default());
    server.say("x.example", Says::Late(gate.clone(), Box::new(local(60, &[1]))));
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        gate.open();
    });
    let proxy = start(table("DNS", echoes[0].address.port(), ""), asking(&server));
    assert_eq!(whos(&proxy, 1), set(["one"]), "E5: its first request finds the address");
    later.join().unwrap();
    // It takes no longer to serve a name that nobody answers for.
    server.say("x.example", Says::Silence);
    let begun = Instant::now();
    let proxy = start(table("DNS", echoes[0].address.port(), ""), asking(&server));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(whos(&proxy, 1), set([UNHEALTHY]), "E8");
    server.say("x.example", local(60, &[1]));
    wait_for("the answer", || whos(&proxy, 1) == set(["one"]));
}

#[test]
fn a_long_answer_comes_over_tcp() {
    let echoes = Echo::start_many(&["one"]);
    let server = NameServer::start();
    let many = |count: u16| -> Vec<IpAddr> {
        let address = |number: u16| {
            let [high, low] = number.to_be_bytes();
            Ipv4Addr::new(127, 1, high, low).into()
        };
        (0..count).map(address).collect()
    };
    server.say("x.example", Says::Addresses(0, many(3000)));
    let proxy = start(table("DNS", echoes[0].address.port(), ""), asking(&server));
    assert_eq!(stat(&proxy, "membership_total"), 3000, "E5");
    server.say("x.example", local(0, &[1]));
    wait_for("the one", || whos(&proxy, 1) == set(["one"]));
}

#[test]
fn a_logical_name_is_one_host_at_the_first_address_of_the_newest_answer() {
    let gate = Gate::default();
    let echoes = slow(&["one", "two"], &gate);
    let server = NameServer::start();
    server.say("x.example", local(0, &[1, 2]));
    let proxy = start(table("DNS_ROUND_ROBIN", echoes[0].address.port(), ""), asking(&server));
    let mut client = Client::connect(proxy.gateway(80));
    assert_eq!((0..4).map(|_| who(&mut client)).collect::<BTreeSet<_>>(), set(["one"]), "E6");
    assert_eq!(stat(&proxy, "membership_total"), 1, "E6");
    let (answers, asked) = (stat(&proxy, "update_success"), server.asked("x.example"));
    server.say("x.example", local(0, &[2, 1]));
    wait_for("the other answer", || {
        stat(&proxy, "update_success") > answers + 2 && server.asked("x.example") > asked + 2
    });
    assert_eq!(who(&mut client), "one", "E6: the open connection stays in use");
    // The kept one is busy: another is opened, where the name leads to now.
    let gateway = proxy.gateway(80);
    let slow = std::thread::spawn(move || get(gateway, "x.com", "/slow", "").json()["name"].clone());
    wait_for("the slow one", || echoes[0].seen().len() == 6);
    assert_eq!(whos(&proxy, 1), set(["two"]), "E6");
    gate.open();
    assert_eq!(slow.join().unwrap(), "one");
    // It stays where it was when nobody knows.
    for nothing in [Says::Unknown, Says::Failure] {
        let failures = stat(&proxy, "update_failure");
        server.say("x.example", nothing);
        wait_for("failures", || stat(&proxy, "update_failure") >= failures + 2);
        assert_eq!(stat(&proxy, "membership_total"), 1);
    }
}

#[test]
fn the_next_address_of_a_logical_name_is_used_where_the_first_is_not_reached() {
    let echo = Echo::start("one");
    let server = NameServer::start();
    server.say("x.example", local(60, &[9, 1]));
    let proxy = start(table("DNS_ROUND_ROBIN", echo.address.port(), ""), asking(&server));
    assert_eq!(whos(&proxy, 2), set(["one"]));
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_that_says_nothing_does_not_use_up_the_time_of_the_next() {
    let echo = Echo::start("one");
    let silent = Silent::at(SocketAddr::from(([127, 0, 0, 2], echo.address.port())));
    let server = NameServer::start();
    server.say("x.example", local(60, &[2, 1]));
    let short = policy("connectionPool: {tcp: {connectTimeout: 5s}}");
    let proxy = start(table("DNS_ROUND_ROBIN", echo.address.port(), &short), asking(&server));
    assert_eq!(whos(&proxy, 1), set(["one"]), "E6");
    drop(silent);
}

#[test]
fn what_is_known_of_an_address_that_stays_goes_on() {
    let echoes = Echo::start_many(&["one", "two", "three"]);
    let server = NameServer::start();
    server.say("x.example", local(0, &[1, 2]));
    let detection = "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 100, baseEjectionTime: 300s}";
    let proxy = start(table("DNS", echoes[0].address.port(), &policy(detection)), asking(&server));
    let mut client = Client::connect(proxy.gateway(80));
    let failed = client.get("x.com", "/", "x-echo-status: 500\r\n").json()["name"].as_str().unwrap().to_owned();
    let other = if failed == "one" { "two" } else { "one" };
    assert_eq!(whos(&proxy, 8), set([other]));
    server.say("x.example", local(0, &[3, 2, 1]));
    wait_for("the third", || whos(&proxy, 16) == set([other, "three"]));
    assert_eq!(stat(&proxy, "outlier_detection.ejections_active"), 1);
}

#[test]
fn a_request_at_an_address_that_goes_is_answered() {
    let gate = Gate::default();
    let echoes = slow(&["one", "two"], &gate);
    let server = NameServer::start();
    server.say("x.example", local(0, &[1]));
    let proxy = start(table("DNS", echoes[0].address.port(), ""), asking(&server));
    let gateway = proxy.gateway(80);
    let slow = std::thread::spawn(move || get(gateway, "x.com", "/slow", "").json()["name"].clone());
    wait_for("the slow one", || echoes[0].seen().len() == 1);
    server.say("x.example", local(0, &[2]));
    wait_for("the other", || whos(&proxy, 1) == set(["two"]));
    gate.open();
    assert_eq!(slow.join().unwrap(), "one");
}

#[test]
fn endpoints_have_weights_whatever_their_names_lead_to() {
    let echoes = Echo::start_many(&["one", "two", "three"]);
    let server = NameServer::start();
    server.say("a.example", local(60, &[1, 2]));
    server.say("b.example", local(60, &[3]));
    let endpoints = "{address: a.example, weight: 2}, {address: b.example, weight: 4}";
    let balanced = policy("loadBalancer: {simple: ROUND_ROBIN}");
    let proxy = start(table_of("DNS", echoes[0].address.port(), endpoints, &balanced), asking(&server));
    wait_for("both names", || stat(&proxy, "membership_total") == 3);
    let mut client = Client::connect(proxy.gateway(80));
    let before: Vec<usize> = echoes.iter().map(|echo| echo.seen().len()).collect();
    (0..80).for_each(|_| _ = who(&mut client));
    let counts = echoes.iter().zip(before).map(|(echo, before)| echo.seen().len() - before);
    assert_eq!(counts.collect::<Vec<_>>(), [20, 20, 40], "E5: each address has the weight of its endpoint");
}

#[test]
fn another_table_goes_on_with_what_is_known() {
    let echoes = Echo::start_many(&["one", "two"]);
    let server = NameServer::start();
    server.say("x.example", local(3600, &[1, 2]));
    let port = echoes[0].address.port();
    let detection = "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 100, baseEjectionTime: 300s}";
    let proxy = start(table("DNS", port, &policy(detection)), asking(&server));
    let mut client = Client::connect(proxy.gateway(80));
    let failed = client.get("x.com", "/", "x-echo-status: 500\r\n").json()["name"].as_str().unwrap().to_owned();
    let other = if failed == "one" { "two" } else { "one" };
    assert_eq!(whos(&proxy, 8), set([other]));
    server.say("x.example", Says::Silence);
    let begun = Instant::now();
    proxy.swap(table("DNS", port, &policy(&format!("{detection}, connectionPool: {{http: {{http2MaxRequests: 7}}}}"))));
    assert!(begun.elapsed() < Duration::from_secs(4), "nobody is waited for");
    assert_eq!(whos(&proxy, 8), set([other]), "what is ejected stays so");
    assert_eq!(stat(&proxy, "outlier_detection.ejections_active"), 1);
    assert_eq!(server.asked("x.example"), 1);
}

#[test]
fn names_of_this_machine_are_not_asked_for() {
    let echoes = Echo::start_many(&["one"]);
    let server = NameServer::start();
    let endpoints = "{address: localhost}, {address: a.localhost}";
    let proxy = start(table_of("DNS", echoes[0].address.port(), endpoints, ""), asking(&server));
    assert_eq!(whos(&proxy, 4), set(["one"]));
    assert!(server.names().is_empty(), "{:?}", server.names());
}

#[test]
fn no_request_fails_while_names_move() {
    let echoes = Echo::start_many(&["one", "two", "three"]);
    let server = NameServer::start();
    server.say("x.example", local(0, &[1]));
    let proxy = start(table("DNS", echoes[0].address.port(), ""), Options { cores: 2, ..asking(&server) });
    let gateway = proxy.gateway(80);
    let load = Load::new(None).http1(4, move || Client::connect(gateway)).http2(1, gateway);
    let late = |gate: &Gate| Says::Late(gate.clone(), Box::new(local(0, &[3, 1])));
    let gate = Gate::default();
    for says in [
        local(0, &[2]),
        Says::Failure,
        local(0, &[3, 2, 1]),
        Says::Garbage,
        local(0, &[1, 3]),
        late(&gate),
        local(0, &[2, 3]),
        Says::Alias(0, "y.example".to_owned()),
        local(0, &[1]),
    ] {
        server.say("y.example", local(0, &[3]));
        server.say("x.example", says);
        let asked = server.asked("x.example");
        wait_for("the question", || server.asked("x.example") > asked);
        gate.open();
        let (attempts, requests) = (stat(&proxy, "update_attempt"), load.count());
        wait_for("answers and requests", || stat(&proxy, "update_attempt") > attempts && load.count() > requests + 50);
    }
    let outcomes = load.stop();
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["200"], "{outcomes:?}");
    assert!(echoes.iter().all(|echo| !echo.seen().is_empty()));
}

#[test]
fn bytes_go_by_name_too() {
    let echoes = Echo::start_many(&["one", "two"]);
    let server = NameServer::start();
    server.say("t.example", local(0, &[1]));
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: t, namespace: default}}
spec:
  hosts: [t.example]
  ports:
  - {{number: 90, name: tcp, protocol: TCP, targetPort: {port}}}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - port: {{number: 90, name: tcp, protocol: TCP}}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: t, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  tcp:
  - match: [{{port: 90}}]
    route:
    - destination: {{host: t.example, port: {{number: 90}}}}
",
        port = echoes[0].address.port()
    );
    let proxy = start(mesh::compile_with(&text, &[], MeshConfig::default(), |_| None), asking(&server));
    let name = || get(proxy.gateway(90), "x.com", "/", "").json()["name"].clone();
    assert_eq!(name(), "one", "E5");
    server.say("t.example", local(0, &[2]));
    wait_for("the other", || name() == "two");
    server.say("t.example", Says::Unknown);
    wait_for("nobody", || {
        let mut client = Client::connect(proxy.gateway(90));
        !client.try_write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n") || client.read().is_none()
    });
}
