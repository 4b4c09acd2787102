//! Traces, as a collector gets them, and as upstreams hear of them.

use crate::common::{
    Running,
    client::get,
    echo::{self, Echo},
    mesh, options, start, wait_for,
};
use malha_proxy::{Options, Tracing};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// A collector of OTLP over HTTP, which keeps what it is sent.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span as it arrived.
#[derive(Clone, Debug)]
struct Span {
    service: String,
    name: String,
    kind: u64,
    trace: String,
    id: String,
    parent: String,
    attributes: BTreeMap<String, String>,
    is_error: bool,
    nanoseconds: u64,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Collector { address: listener.local_addr().unwrap(), spans: Arc::default() };
        let spans = Arc::clone(&collector.spans);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let arrived = take(&stream);
                spans.lock().unwrap().extend(arrived);
                let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
            }
        });
        collector
    }

    fn options(&self, percent: f64) -> Options {
        let tracing = Tracing::to_collector(&format!("http://{}", self.address), percent).expect("an address");
        Options { tracing: Some(tracing), cores: 1, ..options() }
    }

    /// All spans, once the proxy has ended.
    fn spans(&self, proxy: Running) -> Vec<Span> {
        drop(proxy);
        self.spans.lock().unwrap().clone()
    }
}

/// The spans of one message.
fn take(stream: &TcpStream) -> Vec<Span> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a head");
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_ascii_lowercase());
    }
    assert_eq!(head[0], "post /v1/traces http/1.1");
    assert!(head.iter().any(|line| line == "content-type: application/json"), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).expect("a body");
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let attributes = |value: &Value| -> BTreeMap<String, String> {
        list(value).iter().map(|one| (text(&one["key"]), text(&one["value"]["stringValue"]))).collect()
    };
    let mut spans = Vec::new();
    for resource in list(&message["resourceSpans"]) {
        let service = attributes(&resource["resource"]["attributes"])["service.name"].clone();
        for span in list(&resource["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
            let time = |key: &str| text(&span[key]).parse::<u64>().expect("nanoseconds");
            spans.push(Span {
                service: service.clone(),
                name: text(&span["name"]),
                kind: span["kind"].as_u64().unwrap(),
                trace: text(&span["traceId"]),
                id: text(&span["spanId"]),
                parent: text(&span["parentSpanId"]),
                attributes: attributes(&span["attributes"]),
                is_error: span["status"]["code"] == 2,
                nanoseconds: time("endTimeUnixNano").checked_sub(time("startTimeUnixNano")).expect("it ends later"),
            });
        }
    }
    spans
}

const RULES: &str = "  - match: [{uri: {prefix: /a}}]
    retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /b}}]
    retries: {attempts: 0}
    route:
    - destination: {host: b}
  - match: [{uri: {prefix: /copied}}]
    mirror: {host: b}
    route:
    - destination: {host: a}
";

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What an upstream was told in a header.
fn told(seen: &Value, name: &str) -> Option<String> {
    let headers = seen["headers"].as_object().unwrap();
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str().unwrap().to_owned())
}

#[test]
fn a_request_is_a_span_and_each_of_its_tries_another() {
    let (collector, a) = (
        Collector::start(),
        Echo::start_with("a", |_, before| {
            (before == 0).then(|| b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec())
        }),
    );
    let proxy = start(mesh::gateway(RULES, &[a.address], &[]), collector.options(100.0));
    let gateway = proxy.listeners()[0].proxy.clone();
    assert_eq!(get(proxy.gateway(80), "x.com", "/a/1?q", "User-Agent: curl\r\n").status, 200);
    let spans = collector.spans(proxy);
    let [server, first, second] = &spans[..] else { panic!("three spans: {spans:?}") };
    let (namespace, name) = gateway.split_once('/').unwrap();
    assert_eq!(server.service, format!("{name}.{namespace}"));
    assert_eq!((server.kind, server.parent.as_str(), server.is_error), (2, "", false));
    assert_eq!(server.name, "a.default.svc.cluster.local:80/*");
    let cluster = "outbound|80||a.default.svc.cluster.local";
    let seen = a.seen();
    for (name, value) in [
        ("http.method", "GET"),
        ("http.url", "http://x.com/a/1?q"),
        ("http.status_code", "200"),
        ("http.protocol", "HTTP/1.1"),
        ("user_agent", "curl"),
        ("response_flags", "-"),
        ("upstream_cluster", cluster),
        ("guid:x-request-id", &told(&seen[0], "x-request-id").unwrap()),
        ("malha.rule", "default/shop http[0].match[0] mesh.yaml:35"),
    ] {
        assert_eq!(server.attributes.get(name).map(String::as_str), Some(value), "{name} of {server:?}");
    }
    for (index, (one, code)) in [(first, "503"), (second, "200")].into_iter().enumerate() {
        assert_eq!((one.kind, &one.parent, &one.trace), (3, &server.id, &server.trace));
        assert_eq!(one.name, format!("router {cluster} egress"));
        assert_eq!((one.attributes["http.status_code"].as_str(), one.is_error), (code, code == "503"));
        assert_eq!(one.attributes["upstream_address"], a.address.to_string());
        assert!(one.nanoseconds <= server.nanoseconds, "{one:?} is part of {server:?}");
        // Each try tells its own span.
        let parent = told(&seen[index], "traceparent").expect("it is told");
        assert_eq!(parent, format!("00-{}-{}-01", server.trace, one.id));
        assert_eq!(told(&seen[index], "b3"), None, "nobody spoke it");
    }
    assert_eq!(second.attributes["retry.count"], "1");
}

#[test]
fn a_client_does_not_say_how_large_a_span_is() {
    let (collector, a) = (Collector::start(), Echo::start("a"));
    let proxy = start(mesh::gateway(RULES, &[a.address], &[]), collector.options(100.0));
    let [path, host, agent, id] = ["/a", "x.com", "curl", "1"].map(|begin| begin.to_owned() + &"x".repeat(4000));
    let headers = format!("User-Agent: {agent}\r\nX-Request-Id: {id}\r\n");
    assert_eq!(get(proxy.gateway(80), &host, &path, &headers).status, 200);
    assert_eq!(a.seen()[0]["path"].as_str(), Some(path.as_str()), "the upstream gets it whole");
    let spans = collector.spans(proxy);
    let server = &spans[0].attributes;
    assert_eq!(server["http.url"], format!("http://{}{}", &host[..256], &path[..256]));
    assert_eq!(server["user_agent"], agent[..256]);
    let longest = spans.iter().flat_map(|span| span.attributes.values()).map(String::len).max();
    assert!(longest.is_some_and(|length| length <= "http://".len() + 512), "{spans:?}");
}

#[test]
fn the_same_seed_names_and_samples_the_same_traces() {
    let draw = |seed| {
        let (collector, a) = (Collector::start(), Echo::start("a"));
        let options = Options { seed: Some(seed), ..collector.options(50.0) };
        let proxy = start(mesh::gateway(RULES, &[a.address], &[]), options);
        for _ in 0..20 {
            assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
        }
        let told: Vec<_> = a.seen().iter().map(|seen| told(seen, "traceparent").expect("it is told")).collect();
        (told, collector.spans(proxy).into_iter().map(|span| (span.trace, span.id)).collect::<Vec<_>>())
    };
    let (told, spans) = draw(7);
    assert!(spans.len() > 2 && spans.len() < 40, "some are sampled: {spans:?}");
    assert!(spans.iter().all(|(trace, _)| told.iter().any(|told| told.contains(trace))));
    assert_eq!(draw(7), (told.clone(), spans));
    assert_ne!(draw(8).0, told);
}

#[test]
fn a_trace_goes_on_in_every_form() {
    let w3c = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\ntracestate: a=b\r\n");
    let single = format!("b3: {TRACE}-b7ad6b7169203331-1\r\n");
    let lines = format!("X-B3-TraceId: {TRACE}\r\nX-B3-SpanId: b7ad6b7169203331\r\nX-B3-Sampled: 1\r\n");
    for (headers, form) in [(w3c, "traceparent"), (single, "b3"), (lines, "x-b3-spanid")] {
        let (collector, a) = (Collector::start(), Echo::start("a"));
        // Nothing would be sampled, were it not decided.
        let proxy = start(mesh::gateway(RULES, &[a.address], &[]), collector.options(0.0));
        assert_eq!(get(proxy.gateway(80), "x.com", "/a", &headers).status, 200);
        let spans = collector.spans(proxy);
        let [server, client] = &spans[..] else { panic!("two spans: {spans:?}") };
        assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, "b7ad6b7169203331"), "{form}");
        let seen = &a.seen()[0];
        assert_eq!(told(seen, "traceparent").unwrap(), format!("00-{TRACE}-{}-01", client.id));
        match form {
            "b3" => assert_eq!(told(seen, form).unwrap(), format!("{TRACE}-{}-1-{}", client.id, server.id)),
            "x-b3-spanid" => {
                assert_eq!(told(seen, form).as_ref(), Some(&client.id));
                assert_eq!(told(seen, "x-b3-parentspanid").as_ref(), Some(&server.id));
                assert_eq!(told(seen, "x-b3-sampled").as_deref(), Some("1"));
            }
            _ => assert_eq!(told(seen, "tracestate").as_deref(), Some("a=b")),
        }
    }
}

#[test]
fn what_is_not_sampled_is_told_upstream_and_to_no_collector() {
    let (collector, a) = (Collector::start(), Echo::start("a"));
    let proxy = start(mesh::gateway(RULES, &[a.address], &[]), collector.options(100.0));
    let not = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-00\r\n");
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", &not).status, 200);
    let parent = told(&a.seen()[0], "traceparent").unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    assert!(!parent.contains("b7ad6b7169203331"), "it has a span of its own: {parent}");
    assert!(collector.spans(proxy).is_empty());
    let proxy = start(mesh::gateway(RULES, &[a.address], &[]), collector.options(0.0));
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
    assert!(told(&a.seen()[1], "traceparent").unwrap().ends_with("-00"));
    assert!(collector.spans(proxy).is_empty());
}

#[test]
fn what_fails_is_an_error_and_says_why() {
    let collector = Collector::start();
    let proxy = start(mesh::gateway(RULES, &[], &[echo::dead()]), collector.options(100.0));
    assert_eq!(get(proxy.gateway(80), "x.com", "/b", "").status, 503);
    assert_eq!(get(proxy.gateway(80), "x.com", "/other", "").status, 404);
    let spans = collector.spans(proxy);
    let [server, client, lost] = &spans[..] else { panic!("three spans: {spans:?}") };
    assert!(server.is_error && client.is_error && !lost.is_error, "{spans:?}");
    assert_eq!(
        (server.attributes["response_flags"].as_str(), client.attributes["response_flags"].as_str()),
        ("UF", "UF")
    );
    assert_eq!((lost.name.as_str(), lost.attributes["response_flags"].as_str()), ("egress", "NR"));
    assert!(!client.attributes.contains_key("http.status_code") && !lost.attributes.contains_key("malha.rule"));
}

#[test]
fn copies_hear_of_the_trace() {
    let (collector, a, b) = (Collector::start(), Echo::start("a"), Echo::start("b"));
    let proxy = start(mesh::gateway(RULES, &[a.address], &[b.address]), collector.options(100.0));
    assert_eq!(get(proxy.gateway(80), "x.com", "/copied", "").status, 200);
    wait_for("the copy", || !b.seen().is_empty());
    let spans = collector.spans(proxy);
    let parent = told(&b.seen()[0], "traceparent").expect("it is told");
    assert_eq!(parent, format!("00-{}-{}-01", spans[0].trace, spans[0].id));
}

#[test]
fn without_a_collector_headers_pass_as_they_are() {
    let a = Echo::start("a");
    let proxy = start(mesh::gateway(RULES, &[a.address], &[]), options());
    let headers = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\nb3: 0\r\ntracestate: x\r\n");
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", &headers).status, 200);
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
    let seen = a.seen();
    assert_eq!(told(&seen[0], "traceparent").unwrap(), format!("00-{TRACE}-b7ad6b7169203331-01"));
    assert_eq!((told(&seen[0], "b3").as_deref(), told(&seen[0], "tracestate").as_deref()), (Some("0"), Some("x")));
    assert_eq!((told(&seen[1], "traceparent"), told(&seen[1], "b3")), (None, None));
}

#[test]
fn a_collector_that_is_away_or_silent_costs_spans_and_no_request() {
    let a = Echo::start("a");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for collector in [echo::dead(), silent.local_addr().unwrap()] {
        let tracing = Tracing::to_collector(&format!("http://{collector}"), 100.0).expect("an address");
        let proxy = start(
            mesh::gateway(RULES, &[a.address], &[]),
            Options { tracing: Some(tracing.clone()), cores: 1, ..options() },
        );
        for _ in 0..20 {
            assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
        }
        wait_for("lost spans to be counted", || tracing.lost() > 0);
        assert_eq!(tracing.sent(), 0);
        let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
        assert!(metrics.contains("\nmalha_spans_sent_total 0\n"), "{metrics}");
        assert!(!metrics.contains("\nmalha_spans_lost_total 0\n"), "{metrics}");
        drop(proxy);
        assert_eq!((tracing.sent(), tracing.lost()), (0, 40), "what waits at the end is lost, and counted");
    }
}
