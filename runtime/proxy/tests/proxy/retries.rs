//! Retries and timeouts (semantics C.6, C.7).

use crate::common::{
    client::{Client, get},
    echo::{Echo, dead},
    held::{Gated, Narrow},
    lines::Lines,
    mesh, options, start, wait_for,
};
use malha_proxy::{AccessLog, Options};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// An upstream that answers with these status codes in turn, and then with the last of them.
fn in_turn(codes: &'static [u16]) -> Echo {
    Echo::start_with("a", |_, before| {
        let code = codes.get(before).or(codes.last())?;
        Some(format!("HTTP/1.1 {code} Status\r\nContent-Length: 2\r\n\r\nok").into_bytes())
    })
}

fn rules(more: &str) -> String {
    format!("  - route:\n    - destination: {{host: a}}\n{more}")
}

fn attempts(echo: &Echo) -> Vec<String> {
    let seen = echo.seen();
    seen.iter().map(|seen| seen["headers"]["x-envoy-attempt-count"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn three_retries_make_four_tries_and_the_last_answer_is_passed_on() {
    let echo = in_turn(&[503]);
    let table = mesh::gateway(&rules("    retries: {attempts: 3, retryOn: 5xx, backoff: 1ms}\n"), &[echo.address], &[]);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = {
        let lines = Arc::clone(&lines);
        AccessLog::to_function(move |line| lines.lock().unwrap().push(line.to_owned()))
    };
    let proxy = start(table, Options { access_log: Some(log), ..options() });
    let answer = get(proxy.gateway(80), "x.com", "/", "");
    assert_eq!((answer.status, answer.text().as_str()), (503, "ok"));
    assert_eq!(attempts(&echo), ["1", "2", "3", "4"]);
    wait_for("the access log", || !lines.lock().unwrap().is_empty());
    let line = lines.lock().unwrap()[0].clone();
    assert!(line.contains("\" 503 URX via_upstream "), "{line}");
}

#[test]
fn conditions_that_are_named_take_the_place_of_the_usual_ones() {
    let conflict = in_turn(&[409, 200]);
    let usual = rules("    retries: {attempts: 1, backoff: 1ms}\n");
    let named = rules("    retries: {attempts: 1, backoff: 1ms, retryOn: retriable-4xx}\n");
    let flags = |rules: &str| {
        let lines = Lines::default();
        let proxy = start(mesh::gateway(rules, &[dead()], &[]), lines.options());
        assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 503);
        lines.wait(1).remove(0)
    };
    let (line, other) = (flags(&usual), flags(&named));
    assert!(line.contains("\" 503 URX,UF "), "C49: connect-failure is a usual one: {line}");
    assert!(other.contains("\" 503 UF "), "C49: and is none of those that are named: {other}");
    let status = |rules: &str, echo: &Echo| {
        let proxy = start(mesh::gateway(rules, &[echo.address], &[]), options());
        get(proxy.gateway(80), "x.com", "/", "").status
    };
    assert_eq!(status(&named, &conflict), 200, "C49");
    assert_eq!(status(&usual, &in_turn(&[409, 200])), 409, "C49");
}

#[test]
fn a_good_answer_ends_the_retries() {
    let echo = in_turn(&[500, 502, 200]);
    let table = mesh::gateway(&rules("    retries: {attempts: 5, retryOn: 5xx, backoff: 1ms}\n"), &[echo.address], &[]);
    let proxy = start(table, options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 200);
    assert_eq!(attempts(&echo), ["1", "2", "3"]);
}

#[test]
fn without_a_policy_a_503_is_passed_on_at_once() {
    let echo = in_turn(&[503]);
    let proxy = start(mesh::gateway(&rules(""), &[echo.address], &[]), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 503);
    assert_eq!(attempts(&echo), ["1"]);
}

#[test]
fn a_retry_avoids_the_endpoint_that_failed() {
    let echo = Echo::start("a");
    let endpoints: Vec<SocketAddr> = vec![dead(), echo.address];
    let proxy = start(mesh::gateway(&rules(""), &endpoints, &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    for _ in 0..20 {
        assert_eq!(client.get("x.com", "/", "").status, 200);
    }
}

#[test]
fn a_try_that_takes_too_long_is_followed_by_another_and_the_last_is_504() {
    let echo = Echo::start("a");
    let policy = "    retries: {attempts: 1, perTryTimeout: 50ms, retryOn: 5xx, backoff: 1ms}\n";
    let proxy = start(mesh::gateway(&rules(policy), &[echo.address], &[]), options());
    let answer = get(proxy.gateway(80), "x.com", "/", "x-echo-delay: 400\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (504, "upstream request timeout"));
    assert_eq!(attempts(&echo), ["1", "2"]);
    assert_eq!(echo.seen()[0]["headers"]["x-envoy-expected-rq-timeout-ms"], "50");
}

#[test]
fn the_timeout_covers_all_tries() {
    let echo = in_turn(&[503]);
    let policy = "    timeout: 120ms\n    retries: {attempts: 50, retryOn: 5xx, backoff: 40ms}\n";
    let proxy = start(mesh::gateway(&rules(policy), &[echo.address], &[]), options());
    let begin = Instant::now();
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 504);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(120) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn the_timeout_counts_from_the_end_of_the_request() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(&rules("    timeout: 100ms\n"), &[echo.address], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 4\r\n\r\nab");
    std::thread::sleep(Duration::from_millis(250));
    let answer = client.send("cd");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["body"], "abcd");
}

#[test]
fn a_timeout_amid_the_answer_cuts_the_connection() {
    let echo = Echo::start_with("a", |_, _| Some(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec()));
    let proxy = start(mesh::gateway(&rules("    timeout: 100ms\n"), &[echo.address], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    assert!(client.read().is_none(), "the answer is not whole");
}

#[test]
fn a_body_is_sent_again_if_it_was_kept() {
    let echo = Echo::start_with("a", |_, before| {
        (before == 0).then(|| b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let policy = "    retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}\n";
    let proxy = start(mesh::gateway(&rules(policy), &[echo.address], &[]), options());
    let body = "x".repeat(300_000);
    let head = format!("POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = Client::connect(proxy.gateway(80)).send(format!("{head}{body}"));
    assert_eq!(answer.status, 200);
    let bodies: Vec<usize> = echo.seen().iter().map(|seen| seen["body"].as_str().unwrap_or_default().len()).collect();
    assert_eq!(bodies, [300_000, 300_000]);
}

#[test]
fn a_chunked_body_is_sent_again_too() {
    let echo = Echo::start_with("a", |_, before| {
        (before == 0).then(|| b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let policy = "    retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}\n";
    let proxy = start(mesh::gateway(&rules(policy), &[echo.address], &[]), options());
    let message =
        "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(Client::connect(proxy.gateway(80)).send(message).status, 200);
    let bodies: Vec<Value> = echo.seen().iter().map(|seen| seen["body"].clone()).collect();
    assert_eq!(bodies, ["abcde", "abcde"]);
}

#[test]
fn a_body_that_is_too_long_to_keep_is_sent_once() {
    let echo = in_turn(&[503]);
    let policy = "    retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}\n";
    let proxy = start(mesh::gateway(&rules(policy), &[echo.address], &[]), options());
    let body = "x".repeat(1024 * 1024 + 1);
    let head = format!("POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: {}\r\n\r\n", body.len());
    assert_eq!(Client::connect(proxy.gateway(80)).send(format!("{head}{body}")).status, 503);
    assert_eq!(attempts(&echo), ["1"]);
}

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 4\r\n\r\nabcd";

#[test]
fn a_request_with_a_body_times_out_while_its_connection_is_being_opened() {
    let upstream = Narrow::start();
    let proxy = start(mesh::gateway(&rules("    timeout: 200ms\n"), &[upstream.address], &[]), options());
    let mut first = Client::connect(proxy.gateway(80));
    first.write(POST);
    wait_for("the only connection that there is", || upstream.seen() == 1);
    for expected in ["POST", "GET"] {
        let mut client = Client::connect(proxy.gateway(80));
        let message = String::from_utf8_lossy(POST).replace("POST", expected);
        let answer = client.send(&message);
        assert_eq!((answer.status, answer.text().as_str()), (504, "upstream request timeout"), "{expected}");
    }
    assert_eq!(first.read().map(|answer| answer.status), Some(504));
}

#[test]
fn a_request_with_a_body_times_out_in_the_queue_and_is_noticed_to_leave_it() {
    let upstream = Gated::start();
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: default}\n\
                spec:\n  host: a\n  trafficPolicy:\n    connectionPool:\n      tcp: {maxConnections: 1}\n      \
                http: {http1MaxPendingRequests: 1}\n";
    let rules = "  - match: [{method: {exact: POST}}]
    timeout: 100ms
    route:
    - destination: {host: a}
  - match: [{method: {exact: PUT}}]
    route:
    - destination: {host: a}
  - route:
    - destination: {host: a}
";
    let text = format!("{}{rule}", mesh::gateway_text(rules));
    let table = mesh::compile(&text, &[upstream.echo.address], &[]);
    let proxy = start(table, Options { cores: 1, ..options() });
    let address = proxy.gateway(80);
    let mut first = Client::connect(address);
    first.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    wait_for("the upstream has the first", || upstream.echo.seen().len() == 1);
    assert_eq!(Client::connect(address).send(POST).status, 504);
    // Half a body, and then nobody.
    let mut leaving = Client::connect(address);
    leaving.write(b"PUT / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 4\r\n\r\nab");
    let admin = proxy.admin().expect("an admin server");
    let queue = |count: usize| {
        let line = format!("resource=\"pending\"}} {count}\n");
        wait_for(&line, || get(admin, "localhost", "/metrics", "").text().contains(&line));
    };
    queue(1);
    drop(leaving);
    queue(0);
    upstream.open();
    assert_eq!(first.read().map(|answer| answer.status), Some(200));
    assert_eq!(Client::connect(address).send(POST).json()["body"], "abcd");
}

#[test]
fn a_body_that_was_read_ahead_is_sent_whole() {
    // No retries: nothing of it need be kept; it is longer than what is read ahead.
    let upstream = Gated::start();
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: default}\n\
                spec:\n  host: a\n  trafficPolicy:\n    connectionPool:\n      tcp: {maxConnections: 1}\n      \
                http: {http1MaxPendingRequests: 9}\n";
    for retries in ["{attempts: 0}", "{attempts: 2}"] {
        let text = format!("{}{rule}", mesh::gateway_text(&rules(&format!("    retries: {retries}\n"))));
        let limits = malha_proxy::Limits { replay_bytes: 64 * 1024, ..malha_proxy::Limits::default() };
        let table = mesh::compile(&text, &[upstream.echo.address], &[]);
        let proxy = start(table, Options { cores: 1, limits, ..options() });
        let address = proxy.gateway(80);
        let before = upstream.echo.seen().len();
        let mut first = Client::connect(address);
        first.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
        wait_for("the upstream has the first", || upstream.echo.seen().len() > before);
        let body = "0123456789abcdef".repeat(20_000);
        let head = format!("POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: {}\r\n\r\n", body.len());
        let own = body.clone();
        let second = std::thread::spawn(move || Client::connect(address).send(format!("{head}{own}")));
        let admin = proxy.admin().expect("an admin server");
        let line = "resource=\"pending\"} 1\n";
        if before == 0 {
            wait_for(line, || get(admin, "localhost", "/metrics", "").text().contains(line));
        }
        upstream.open();
        assert_eq!(first.read().map(|answer| answer.status), Some(200));
        assert!(second.join().unwrap().json()["body"] == body.as_str(), "{retries}");
    }
}

/// An upstream that reads a head, answers with these bytes, and says how its connection ended: when all was written and
/// read, or earlier.
fn answering(bytes: Vec<u8>) -> (SocketAddr, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(&bytes);
            while matches!(stream.read(&mut buffer), Ok(1..)) {}
            let _ = ended.send(());
        }
    });
    (address, end)
}

#[test]
fn a_client_that_does_not_read_holds_the_upstream_no_longer_than_the_timeout() {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20).into_bytes();
    bytes.resize(bytes.len() + (64 << 20), b'x');
    let (upstream, end) = answering(bytes);
    let proxy = start(mesh::gateway(&rules("    timeout: 300ms\n"), &[upstream], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    end.recv_timeout(Duration::from_secs(10)).expect("the upstream's connection ends");
    assert!(client.read().is_none(), "and the answer is not whole");
}

#[test]
fn the_timeout_holds_for_an_answer_that_came_before_the_end_of_the_request() {
    let (upstream, end) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec());
    let proxy = start(mesh::gateway(&rules("    timeout: 100ms\n"), &[upstream], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 4\r\n\r\nab");
    assert_eq!(client.line().as_deref(), Some("HTTP/1.1 200 OK"));
    while client.line().is_some_and(|line| !line.is_empty()) {}
    client.write(b"cd");
    end.recv_timeout(Duration::from_secs(10)).expect("the upstream's connection ends");
}

#[test]
fn a_later_try_says_how_much_time_is_left() {
    let echo = Echo::start_with("a", |_, before| {
        (before == 0).then(|| {
            std::thread::sleep(Duration::from_millis(100));
            b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec()
        })
    });
    let policy = "    timeout: 5s\n    retries: {attempts: 1, retryOn: 5xx, backoff: 1ms}\n";
    let proxy = start(mesh::gateway(&rules(policy), &[echo.address], &[]), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 200);
    let told: Vec<u64> = echo
        .seen()
        .iter()
        .filter_map(|seen| seen["headers"]["x-envoy-expected-rq-timeout-ms"].as_str()?.parse().ok())
        .collect();
    assert!(told.len() == 2 && told[0] == 5000 && (1..=4900).contains(&told[1]), "{told:?}");
}
