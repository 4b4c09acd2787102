//! Every scenario of examples/simul-shop does, through the running proxy, what its README says.
//!
//! The commands are the README's own; only the ports differ, since the test takes free ones.

#[path = "support/running.rs"]
mod running;
#[path = "support/transcript.rs"]
mod transcript;

use running::{Running, repository};
use std::{fs, process::Command, thread};

/// Whether the commands of a README may run at once: those of `timeout` would take a minute one by one.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    OneByOne,
    AtOnce,
}

fn scenario(name: &str, order: Order) {
    let directory = repository().join("examples/simul-shop").join(name);
    let readme = fs::read_to_string(directory.join("README.md")).expect("the scenario has a README");
    let running = Running::start(&["--mock", "--seed", "1"], &directory);
    let mut replace = running.replacements();
    replace.push(("cargo run --".to_owned(), env!("CARGO_BIN_EXE_malha").to_owned()));
    let steps: Vec<_> =
        transcript::steps(&readme).into_iter().filter(|step| !transcript::serves(&step.command)).collect();
    assert!(!steps.is_empty(), "the README of {name} shows nothing to try");
    match order {
        Order::OneByOne => steps.iter().for_each(|step| transcript::run(step, &repository(), &replace)),
        Order::AtOnce => thread::scope(|scope| {
            for step in &steps {
                scope.spawn(|| transcript::run(step, &repository(), &replace));
            }
        }),
    }
    running.stop();
}

macro_rules! scenarios {
    ($($function:ident => $run:ident($name:literal, $order:expr);)*) => {
        $(#[test] fn $function() { $run($name, $order); })*

        #[test]
        fn no_scenario_is_left_out() {
            let mut listed = vec![$($name),*];
            listed.extend(["services"]);
            let mut found: Vec<String> = fs::read_dir(repository().join("examples/simul-shop"))
                .expect("the examples are there")
                .filter_map(Result::ok)
                .filter(|entry| entry.path().is_dir())
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            found.sort();
            listed.sort_unstable();
            assert_eq!(found, listed);
        }
    };
}

scenarios! {
    no_routes => scenario("no-routes", Order::OneByOne);
    default_gateway => scenario("default-gateway", Order::OneByOne);
    named_hosts => scenario("named-hosts", Order::OneByOne);
    path_routes => scenario("path-routes", Order::OneByOne);
    canary => scenario("canary", Order::OneByOne);
    header_route => scenario("header-route", Order::OneByOne);
    several_headers => scenario("several-headers", Order::OneByOne);
    multi_rule => scenario("multi-rule", Order::OneByOne);
    api_versions => scenario("api-versions", Order::OneByOne);
    headers => scenario("headers", Order::OneByOne);
    timeout => scenario("timeout", Order::AtOnce);
    retries => scenario("retries", Order::OneByOne);
    round_robin => scenario("round-robin", Order::OneByOne);
    conflict => scenario("conflict", Order::OneByOne);
    subset_typo => scenario("subset-typo", Order::OneByOne);
    fault => scenario("fault", Order::OneByOne);
    mirror => scenario("mirror", Order::OneByOne);
    circuit_breaker => scenario("circuit-breaker", Order::OneByOne);
    random => scenario("random", Order::OneByOne);
    localities => scenario("localities", Order::OneByOne);
    hash_source_ip => scenario("hash-source-ip", Order::OneByOne);
    hash_query => scenario("hash-query", Order::OneByOne);
    service_entry => scenario("service-entry", Order::OneByOne);
    egress => scenario("egress", Order::OneByOne);
    tls => scenario("tls", Order::OneByOne);
}

/// The route tests beside the scenarios pass.
#[test]
fn their_route_tests_pass() {
    let told = Command::new(env!("CARGO_BIN_EXE_malha"))
        .args(["test", "examples/simul-shop"])
        .current_dir(repository())
        .output()
        .expect("malha runs");
    let out = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{out}{}", String::from_utf8_lossy(&told.stderr));
    assert!(out.contains("3 test files"), "{out}");
}

/// With three clients: what the proxy refuses is what it counts as refused, and the catalogue has seen the rest.
#[test]
fn the_breaker_refuses_what_it_says() {
    let running = Running::start(&["--mock", "--seed", "7"], &repository().join("examples/simul-shop/circuit-breaker"));
    let statuses: Vec<String> = thread::scope(|scope| {
        let client = || {
            let ask = |_| running::status(&running.address(80), "/catalogue/?wait=0.1");
            (0..20).map(ask).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let count = |status: &str| statuses.iter().filter(|own| *own == status).count();
    let (answered, refused) = (count("200"), count("503"));
    assert_eq!(answered + refused, 60, "{statuses:?}");
    let metrics = running::get(&running.admin(), "/metrics");
    let counted = |label: &str| -> usize {
        let lines = metrics.lines().filter(|line| line.starts_with("malha_requests_total") && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
    };
    assert_eq!((counted("flags=\"UO\""), counted("code=\"200\"")), (refused, answered), "{metrics}");
    running.stop();
}

/// 90/10 over 400 requests: the share of v2 lies within four standard deviations of its mean, whatever the seed.
#[test]
fn canary_keeps_its_weights() {
    let running = Running::start(&["--mock", "--seed", "7"], &repository().join("examples/simul-shop/canary"));
    let v2 = (0..400).filter(|_| running.get("/").contains("\"version\":\"v2\"")).count();
    running.stop();
    assert!((16..=64).contains(&v2), "{v2} of 400 requests went to v2");
}

/// Each request to credit has two lines in the access log: to the egress gateway, and out.
#[test]
fn the_access_log_shows_both_legs_of_egress() {
    let running = Running::start(&["--mock"], &repository().join("examples/simul-shop/egress"));
    let status = running::status(&running.sidecar(), "http://credit.financial:8000/");
    assert_eq!(status, "200");
    let has = |cluster: &str| running.log().contains(&format!(" {cluster} "));
    running::wait_for("both lines", || {
        has("outbound|80||istio-egressgateway.istio-system.svc.cluster.local") && has("outbound|8000||credit.financial")
    });
    running.stop();
}
