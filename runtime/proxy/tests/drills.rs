//! Upstreams that break under a steady load. For each way to break stands here which failures the policy lets through,
//! as Envoy would; there is no other, the proxy serves on, and what it counts as in use goes back to nothing.
//!
//! `MALHA_DRILL_SECONDS` makes each fault last longer.

mod common;

use common::{
    Running,
    client::{Client, get},
    faulty::{BODY, Fault, Faulty},
    lasting,
    load::{Load, Outcomes},
    mesh, options, sample, start, wait_for,
};
use malha_proxy::Options;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A proxy with two endpoints, of which one breaks, under load.
struct Drill {
    proxy: Running,
    admin: SocketAddr,
    faulty: Faulty,
    /// It never breaks; it lasts as long as the proxy.
    _sound: Faulty,
    load: Load,
}

/// Clients of HTTP/1.1, and connections of HTTP/2 with four clients each.
const CLIENTS: (usize, usize) = (6, 2);

/// Requests that may be under way at once.
const AT_ONCE: u64 = 14;

/// After how many failures in a row an endpoint is left out.
const IN_A_ROW: u64 = 3;

/// Istio's own retries, which a route has that says nothing: of what failed before the request was sent.
const DEFAULT: &str = "";

/// Retries of everything that can be tried again.
const THOROUGH: &str = "    retries: {attempts: 3, perTryTimeout: 1s, retryOn: '5xx,reset'}\n";

impl Drill {
    fn start(policy: &str) -> Self {
        let (faulty, sound) = (Faulty::start(), Faulty::start());
        let rules = format!("  - route:\n    - destination: {{host: a}}\n{policy}");
        let text = format!(
            "{}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: default}}
spec:
  host: a
  trafficPolicy:
    loadBalancer: {{simple: ROUND_ROBIN}}
    connectionPool:
      tcp: {{maxConnections: 1000, connectTimeout: 5s}}
      http: {{http1MaxPendingRequests: 1000, http2MaxRequests: 1000, maxRetries: 1000}}
    outlierDetection:
      consecutive5xxErrors: {IN_A_ROW}
      interval: 50ms
      baseEjectionTime: 100ms
      maxEjectionPercent: 50
",
            mesh::gateway_text(&rules)
        );
        let table = mesh::compile(&text, &[faulty.address, sound.address], &[]);
        let proxy = start(table, Options { cores: 2, ..options() });
        let (address, admin) = (proxy.gateway(80), proxy.admin().expect("an admin server"));
        let load = Load::new(Some(BODY)).http1(CLIENTS.0, move || Client::connect(address)).http2(CLIENTS.1, address);
        let drill = Drill { proxy, admin, faulty, _sound: sound, load };
        drill.serves("before anything breaks");
        drill
    }

    /// Requests go through, every one of them.
    fn serves(&self, when: &str) {
        self.load.take();
        wait_for("requests", || self.load.count() > 300);
        let outcomes = self.load.take();
        assert!(outcomes.keys().eq(["200"]), "{when}: {outcomes:?}");
    }

    /// Lets it be broken for a while, and gives what requests came to, to the last that had to do with it.
    fn broken(&self, fault: Fault) -> Outcomes {
        self.load.take();
        let (before, since) = (self.ejections(), Instant::now());
        let duration = lasting("MALHA_DRILL_SECONDS", 1);
        self.faulty.set(Some(fault));
        if is_counted(fault) {
            wait_for("it to be left out", || self.ejections() > before);
        }
        // What is measured is how much is asked of it meanwhile, too.
        wait_within(duration + Duration::from_secs(10), "the time to pass", || since.elapsed() >= duration);
        self.faulty.set(None);
        self.mended(self.load.take())
    }

    /// Waits for what was under way, and until the endpoint is used again.
    fn mended(&self, mut outcomes: Outcomes) -> Outcomes {
        wait_for("it to be used again", || {
            self.load.take().into_iter().for_each(|(outcome, count)| *outcomes.entry(outcome).or_default() += count);
            let served = self.load.count();
            wait_for("requests", || self.load.count() > served + AT_ONCE);
            let metrics = get(self.admin, "localhost", "/metrics", "").text();
            let is_ejected = |line: &str| line.starts_with("malha_endpoint_ejected{") && line.ends_with(" 1");
            !metrics.lines().any(is_ejected) && self.load.take().keys().eq(["200"])
        });
        self.serves("once it is mended");
        outcomes
    }

    fn ejections(&self) -> u64 {
        let metrics = get(self.admin, "localhost", "/metrics", "").text();
        let lines = metrics.lines().filter(|line| line.starts_with("malha_endpoint_ejections_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Ends the load; afterwards nothing is in use.
    fn end(self) {
        let outcomes = self.load.stop();
        assert!(outcomes.keys().all(|outcome| outcome == "200"), "{outcomes:?}");
        let admin = self.admin;
        let open = || sample(admin, "malha_upstream_connections");
        wait_for("clients to be gone", || sample(admin, "malha_connections") == 0);
        wait_for("connections to be idle", || open() == sample(admin, "malha_upstream_connections_idle"));
        let metrics = get(admin, "localhost", "/metrics", "").text();
        let used: Vec<&str> = metrics.lines().filter(|line| line.starts_with("malha_cluster_used{")).collect();
        assert!(used.iter().any(|line| line.contains("resource=\"requests\"")), "{metrics}");
        let is_left = |line: &&&str| !line.contains("resource=\"connections\"") && !line.ends_with(" 0");
        assert_eq!(used.iter().find(is_left), None, "{used:?}");
        assert_eq!(sample(admin, "malha_panics_total"), 0);
        drop(self.proxy);
    }
}

/// Whether outlier detection comes to leave it out: a head of 200 starts the count anew, whatever comes after (as in
/// Envoy).
fn is_counted(fault: Fault) -> bool {
    !matches!(fault, Fault::ResetAmidBody | Fault::HalfAnAnswer)
}

fn wait_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Breaks it so under both policies. `by_default` and `at_best` say what clients may see then other than 200.
fn drill(fault: Fault, limit: &str, by_default: Option<&str>, at_best: Option<&str>) {
    for (policy, allowed) in [(format!("{DEFAULT}{limit}"), by_default), (THOROUGH.to_owned(), at_best)] {
        let drill = Drill::start(&policy);
        let before = drill.ejections();
        let mut outcomes = drill.broken(fault);
        let ejections = drill.ejections() - before;
        let served = outcomes.remove("200").unwrap_or_default();
        assert!(served > 0, "the other endpoint serves meanwhile");
        assert!(outcomes.keys().all(|outcome| Some(outcome.as_str()) == allowed), "{policy}: {outcomes:?}");
        let failed: u64 = outcomes.values().sum();
        // By turns it has half of the requests, as long as it is not left out.
        let most = if is_counted(fault) { (ejections + 1) * (IN_A_ROW + AT_ONCE) } else { served + AT_ONCE };
        assert!(failed <= most, "left out {ejections} times, it failed {failed} requests and served {served}");
        assert!(allowed.is_none() || failed > 0, "{policy}: the drill breaks something");
        drill.end();
    }
}

#[test]
fn frozen() {
    // Nobody asks for another try of what takes too long, unless the policy says how long a try may take.
    drill(Fault::Frozen, "    timeout: 500ms\n", Some("504"), None);
}

#[test]
fn resetting_at_once() {
    // It was connected, and the request was sent.
    drill(Fault::ResetAtOnce, "", Some("503"), None);
}

#[test]
fn resetting_after_the_request() {
    drill(Fault::ResetAfterRequest, "", Some("503"), None);
}

#[test]
fn resetting_amid_the_body() {
    // What has begun cannot be tried again: the client is told by the cut.
    drill(Fault::ResetAmidBody, "", Some("cut"), Some("cut"));
}

#[test]
fn sending_half_an_answer() {
    drill(Fault::HalfAnAnswer, "", Some("cut"), Some("cut"));
}

#[test]
fn sending_garbage() {
    drill(Fault::Garbage, "", Some("502"), None);
}

#[test]
fn killed_and_started_again() {
    // By default only what it had at work fails; what finds nobody listening is tried elsewhere.
    for (policy, most) in [(DEFAULT, AT_ONCE), (THOROUGH, 0)] {
        let mut drill = Drill::start(policy);
        for _ in 0..3 {
            drill.load.take();
            drill.faulty.kill();
            let ended = drill.load.count();
            wait_for("requests while it is down", || drill.load.count() > ended + 300);
            drill.faulty.revive();
            let mut outcomes = drill.mended(drill.load.take());
            assert!(outcomes.remove("200").is_some_and(|served| served > 300));
            assert!(outcomes.keys().all(|outcome| outcome == "503"), "{outcomes:?}");
            assert!(outcomes.values().sum::<u64>() <= most, "{policy}: {outcomes:?}");
            wait_for("connections to it", || drill.faulty.open() > 0);
        }
        drill.end();
    }
}

#[test]
fn flapping() {
    let mut drill = Drill::start(THOROUGH);
    let (since, duration) = (Instant::now(), lasting("MALHA_DRILL_SECONDS", 2));
    drill.load.take();
    let mut turns = 0;
    while since.elapsed() < duration || turns < 10 {
        drill.faulty.kill();
        let count = drill.load.count();
        wait_for("requests", || drill.load.count() > count + 20);
        drill.faulty.revive();
        wait_for("requests", || drill.load.count() > count + 40);
        turns += 1;
    }
    let outcomes = drill.mended(drill.load.take());
    assert!(outcomes.keys().eq(["200"]), "{outcomes:?}");
    drill.end();
}

#[cfg(target_os = "linux")]
#[test]
fn the_port_of_an_upstream_that_is_down_is_nobody_elses() {
    let mut upstream = Faulty::start();
    upstream.kill();
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let taken = other.bind(&upstream.address.into()).expect_err("it is reserved");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    let refused = std::net::TcpStream::connect(upstream.address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    upstream.revive();
    std::net::TcpStream::connect(upstream.address).expect("it listens again");
}
