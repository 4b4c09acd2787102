//! The routing recordings through real sockets: what Envoy's upstreams and clients saw, ours see.
//!
//! `RECORDING=facts/C15 cargo test -p malha-proxy --test recordings -- --nocapture` shows one case.

mod common;
#[path = "recordings/layer4.rs"]
mod layer4;

use common::{
    client::{Answer, Client, tunnel},
    echo::{Echo, dead},
    lines::Lines,
    mesh, options,
    tls::{Authority, Speaker},
};
use flate2::read::GzDecoder;
use layer4::Entrance;
use malha_mesh::{
    MeshConfig, ProxySpec,
    program::{Role, UpstreamProtocol},
};
use malha_proxy::{
    Credential, Credentials, Handle, ListenerAddress, LogFormat, Options, Proxy, Revision, certificate_problems,
};
use malha_table::{Table, view::Filter};
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Answers that differ from the recorded ones, and why. Each is `(case, line, reason)`.
const EXCEPTIONS: &[(&str, usize, &str)] = &[
    ("facts/A66-A67-A68-path-normalization", 27, "hyper refuses `<`, `>`, `^` and backticks in a target"),
    ("facts/B-header-value-bytes", 3, "Envoy's RE2 reads header values as Latin-1, the table as UTF-8"),
    ("facts/B-header-value-bytes", 5, "Envoy's RE2 reads header values as Latin-1, the table as UTF-8"),
    ("facts/B33-mesh-tcp", 4, "what no service takes does not leave this machine, and is refused in words"),
    ("gateway/0121", 11, ONLY_ONE),
    ("gateway/0121", 27, ONLY_ONE),
    ("mesh/0114", 66, ONLY_ONE),
    ("mesh/0114", 67, ONLY_ONE),
    ("mesh/0114", 75, ONLY_ONE),
    ("mesh/0114", 78, ONLY_ONE),
    ("mesh/0114", 79, ONLY_ONE),
    ("mesh/0114", 80, ONLY_ONE),
    ("mesh/0114", 81, ONLY_ONE),
];

/// Which of both levels of header operations has the last word depends on how many destinations the file names (C33,
/// C34); the table holds those with a weight.
const ONLY_ONE: &str = "a destination whose only companions have no weight is taken for the only one";

/// What these are is no answer at all.
const LATER: [&str; 7] = ["tcp-forward", "passthrough", "no-listener", "listener-rejected", "closed", "hang", "error"];

/// Headers whose values are the recorder's, or that it left out.
const VARYING: [&str; 13] = [
    "x-request-id",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-external-address",
    "x-envoy-internal",
    "content-length",
    "transfer-encoding",
    "host",
    "date",
    "server",
];

#[test]
fn answers_are_as_recorded() {
    let wanted = std::env::var("RECORDING").unwrap_or_default();
    let echo = Echo::start("echo");
    let authority = Authority::new();
    let own = authority.issue(&["recorded.test"]);
    let authorities = Some(Arc::from(authority.pem().into_bytes()));
    let credential = Credential { authorities, ..own.credential() };
    let speaker = Speaker { shows: Some(&own), is_careless: true, ..Speaker::new(&authority) };
    let lines = Lines::default();
    let log = Some(lines.log().in_format(LogFormat::Json));
    let options = Options { access_log: log, admin: None, explain: false, ..options() };
    let mut proxy: Option<Handle> = None;
    let (mut asked, mut failures) = (Vec::new(), Vec::new());
    for case in cases().filter(|case| case["id"].as_str().is_some_and(|id| id.contains(&wanted))) {
        let Some(table) = table(&case, echo.address) else { continue };
        let revision = Revision { credentials: credentials(&table, &credential), table: Arc::clone(&table) };
        match &proxy {
            Some(proxy) => {
                proxy.swap(revision);
            }
            None => proxy = Some(Proxy::start(revision, options.clone()).expect("free ports are free")),
        }
        let proxy = proxy.as_ref().expect("just started");
        let id = case["id"].as_str().unwrap_or_default();
        for (index, recorded) in case["requests"].as_array().into_iter().flatten().enumerate() {
            let line = index + 1;
            let (request, expect) = (&recorded["request"], &recorded["expect"]);
            let is_shut = || {
                Some((is_closed((proxy, &table), &speaker, &lines, request, expect)?, "Envoy took no such connection"))
            };
            let is_absent = || Some((has_no_listener(proxy, request, expect)?, "Envoy has no such listener"));
            if let Some((found, recorded)) = is_shut().or_else(is_absent) {
                asked.push(id.to_owned());
                if let Err(found) = found {
                    failures.push(format!("{id}:{line}: {recorded}: {found}"));
                }
                continue;
            }
            let mut compare = |differences: Vec<String>, how: &str| {
                asked.push(id.to_owned());
                let is_exception = EXCEPTIONS.iter().any(|(other, number, _)| *other == id && *number == line);
                match (differences.is_empty(), is_exception) {
                    (false, false) => failures.push(format!("{id}:{line}{how}: {}", differences.join("; "))),
                    (true, true) => failures.push(format!("{id}:{line}{how}: is no exception any more")),
                    _ => {}
                }
            };
            let sidecar = sidecar(proxy, request);
            let gateway = || Some(Entrance::Gateway(gateway_listener(proxy, request)?.address, &speaker));
            if let Some(entrance) = sidecar.map(Entrance::Sidecar).or_else(gateway)
                && let Some(differences) = layer4::differences(&entrance, &lines, echo.address, request, expect)
            {
                compare(differences, " (bytes)");
                continue;
            }
            // A mesh client says where it goes in Host, and by CONNECT.
            for how in if sidecar.is_some() { &["", " (tunnel)"][..] } else { &[""] } {
                lines.clear();
                let Some(answer) = ask(proxy, &speaker, request, expect, !how.is_empty()) else { continue };
                let originals = |location: &str| originals(location, proxy, &table, request);
                compare(differences(&answer, originals, expect, &lines), how);
            }
        }
    }
    if let Some(proxy) = proxy {
        proxy.shutdown(Duration::ZERO);
    }
    println!("{} requests, {} differ", asked.len(), failures.len());
    for failure in failures.iter().take(60) {
        println!("{failure}");
    }
    assert!(!asked.is_empty() && failures.is_empty());
    if wanted.is_empty() {
        let facts = include_str!("facts.tsv").split(['\t', '\n', ';']).map(str::trim);
        let cited = facts.filter_map(|cell| cell.strip_prefix("recording "));
        let id = |case: &str| if case.contains('/') { case.to_owned() } else { format!("facts/{case}") };
        let unheard: Vec<_> = cited.filter(|case| !asked.contains(&id(case))).collect();
        assert!(unheard.is_empty(), "facts.tsv names recordings of which nothing is sent here: {unheard:?}");
    }
}

fn cases() -> impl Iterator<Item = Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/routing.jsonl.gz");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.expect("the archive is gzip of lines")).expect("each line is JSON"))
}

/// The case's mesh with all endpoints at the echo server, but those of `dead`.
fn table(case: &Value, echo: SocketAddr) -> Option<Arc<Table>> {
    let proxies: Vec<ProxySpec> = case["proxies"]["proxies"].as_array()?.iter().map(proxy).collect();
    let config = MeshConfig::from_json(&case["proxies"]["meshConfig"]);
    Some(mesh::compile_with(&accepted(case), &proxies, config, |cluster| {
        // The upstream of these tests speaks plain HTTP/1.1, as the recorder's did, whatever its port is called and its
        // policy says.
        cluster.protocol = UpstreamProtocol::Http1;
        if let Some(policy) = cluster.policy.source.as_mut().and_then(|policy| Arc::make_mut(policy).as_object_mut()) {
            policy.remove("tls");
        }
        Some(match cluster.host.starts_with("dead.") {
            _ if cluster.endpoints.is_empty() => Vec::new(),
            true => vec![dead()],
            false => vec![echo],
        })
    }))
}

/// One certificate wherever the table asks for one.
fn credentials(table: &Table, credential: &Credential) -> Credentials {
    let mut credentials = Credentials::default();
    for problem in certificate_problems(table, &Credentials::default()) {
        for name in &problem.credentials {
            credentials.insert(&problem.namespace, name, credential.clone());
        }
        for (certificate, key) in &problem.files {
            for (path, part) in [(certificate, &credential.certificate), (key, &credential.private_key)] {
                credentials.insert_file(path, Arc::clone(part.as_ref().expect("it has both")));
            }
        }
        if let (Some(path), Some(authorities)) = (&problem.authorities_file, &credential.authorities) {
            credentials.insert_file(path, Arc::clone(authorities));
        }
    }
    credentials
}

fn proxy(recorded: &Value) -> ProxySpec {
    let text = |value: &Value| value.as_str().unwrap_or_default().into();
    let labels = recorded["labels"].as_object().into_iter().flatten();
    ProxySpec {
        role: if recorded["type"] == "sidecar" { Role::Sidecar } else { Role::Gateway },
        namespace: text(&recorded["namespace"]),
        name: text(&recorded["name"]),
        labels: labels.map(|(name, value)| (name.as_str().into(), text(value))).collect(),
    }
}

/// The input without the objects that Istio's validation refused.
fn accepted(case: &Value) -> String {
    let mut verdicts = case["validation"].as_array().into_iter().flatten();
    let mut text = String::new();
    for document in case["case"].as_str().unwrap_or_default().split("---\n") {
        let is_istio = document.lines().any(|line| line.starts_with("apiVersion: networking.istio.io/"));
        if !is_istio || verdicts.next().is_some_and(|verdict| verdict["accepted"] == true) {
            text.push_str(document);
            text.push_str("---\n");
        }
    }
    text
}

/// Sends a recorded request; none for one that is not for this test.
fn ask(proxy: &Handle, speaker: &Speaker<'_>, request: &Value, expect: &Value, through_tunnel: bool) -> Option<Answer> {
    let is_later = LATER.contains(&expect["outcome"].as_str()?);
    // A weighted destination is drawn: what is seen is one of several answers. An address is said by CONNECT alone.
    let is_said = request["dest"].is_null() || through_tunnel;
    if is_later || !request["protocol"].is_null() || !is_said || !expect["observed"].is_null() {
        return None;
    }
    // Of several destinations, that drawn has a part in the headers of an abort.
    let count = expect["destinations"].as_array().map_or(0, Vec::len);
    if expect["outcome"] == "fault-abort" && count > 1 {
        return None;
    }
    let destinations = expect["destinations"].as_array().into_iter().flatten();
    if destinations.filter(|destination| destination["missing"] == true).count() > 0
        && expect["destinations"].as_array().is_some_and(|all| all.len() > 1)
    {
        return None;
    }
    let is_original_destination =
        |destination: &Value| destination["endpoints"].is_null() && destination["missing"] != true;
    if expect["status"].is_null()
        || expect["destinations"].as_array().is_some_and(|all| all.iter().any(is_original_destination))
    {
        return None;
    }
    let sidecar = sidecar(proxy, request);
    let authority = request["authority"].as_str();
    let mut client = match (sidecar, request["tls"].as_object()) {
        (Some(sidecar), _) if through_tunnel => {
            let to = layer4::http_destination(request)?;
            Client::over(tunnel(sidecar, &to).unwrap_or_else(|answer| panic!("{request}: {answer:?}")))
        }
        (Some(sidecar), _) => Client::connect(says_its_port(request).then_some(sidecar)?),
        (None, None) => Client::connect(gateway_listener(proxy, request)?.address),
        (None, Some(tls)) => {
            let name = tls.get("sni").and_then(Value::as_str).unwrap_or("192.0.2.1");
            let stream = speaker.shake(gateway_listener(proxy, request)?.address, name);
            Client::over(stream.unwrap_or_else(|error| panic!("{request}: {error}")))
        }
    };
    client.try_write(&http_bytes(request, authority)?);
    client.read_answer_to(request["method"] == "HEAD")
}

/// What a gateway does with a TLS connection that no filter chain of Envoy's took, other than that (semantics A53); none
/// where one did.
fn is_closed(
    (proxy, table): (&Handle, &Table),
    speaker: &Speaker<'_>,
    lines: &Lines,
    request: &Value,
    expect: &Value,
) -> Option<Result<(), String>> {
    if expect["outcome"] != "closed" || request["via"] == "mesh" {
        return None;
    }
    let name = request["tls"].as_object()?.get("sni").and_then(Value::as_str).unwrap_or("192.0.2.1");
    let listener = gateway_listener(proxy, request)?;
    lines.clear();
    if speaker.shake(listener.address, name).is_ok() {
        return Some(Err("hands were shaken".to_owned()));
    }
    // A chain for plain HTTP takes what no other does, and can make nothing of TLS.
    let own = table.proxies().filter(|own| request["proxy"] == own.name()).flat_map(|own| own.listeners());
    let mut chains = own.filter(|own| own.port() == u32::from(listener.port)).flat_map(|own| own.chains());
    if chains.any(|chain| chain.termination().is_none() && matches!(chain.filter(), Some(Filter::Http(_)))) {
        return Some(Ok(()));
    }
    let Some(line) = line(lines) else { return Some(Err("nothing is logged".to_owned())) };
    let is_unmatched = line["response_flags"] == "NR" && line["response_code_details"] == "filter_chain_not_found";
    Some(if is_unmatched { Ok(()) } else { Err(format!("logged {line}")) })
}

/// What is logged of the only connection or request, if anything is.
fn line(lines: &Lines) -> Option<Value> {
    let asked = Instant::now();
    while lines.now().is_empty() && asked.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(1));
    }
    Some(serde_json::from_str(lines.now().first()?).expect("lines are JSON"))
}

/// What a gateway listens on where Envoy did not; none where Envoy did.
fn has_no_listener(proxy: &Handle, request: &Value, expect: &Value) -> Option<Result<(), String>> {
    let is_none = ["no-listener", "listener-rejected"].iter().any(|outcome| expect["outcome"] == *outcome);
    // One with an address of its own is another than the one that is asked.
    let found = || gateway_listener(proxy, request).filter(|listener| listener.name.starts_with("0.0.0.0_"));
    (is_none && request["via"] != "mesh").then(|| found().map_or(Ok(()), |listener| Err(listener.name)))
}

fn gateway_listener(proxy: &Handle, request: &Value) -> Option<ListenerAddress> {
    let (name, port) = (request["proxy"].as_str()?, request["port"].as_u64()?);
    proxy.listeners().into_iter().find(|listener| {
        let is_proxys = listener.proxy.split_once('/').is_some_and(|(_, other)| other == name);
        is_proxys && listener.role == "gateway" && u64::from(listener.port) == port
    })
}

/// Where a sidecar's client finds it; none for what is not for a sidecar.
fn sidecar(proxy: &Handle, request: &Value) -> Option<SocketAddr> {
    let name = request["proxy"].as_str().filter(|_| request["via"] == "mesh")?;
    let is_its = |listener: &&ListenerAddress| listener.role == "mesh" && listener.name == name;
    Some(proxy.listeners().iter().find(is_its)?.address)
}

/// Whether Host says the port of the connection, by which a sidecar knows the listener where nothing else is said.
fn says_its_port(request: &Value) -> bool {
    let named = request["authority"].as_str().unwrap_or_default();
    let said = malha_table::http::port_start(named).map(|colon| named[colon + 1..].parse().ok());
    match request["port"].as_u64() {
        Some(80) => !named.contains(':') || named.ends_with(":80"),
        port => said == Some(port),
    }
}

fn http_bytes(request: &Value, authority: Option<&str>) -> Option<Vec<u8>> {
    let version = request["version"].as_str().unwrap_or("1.1");
    let mut lines = vec![format!("{} {} HTTP/{version}", request["method"].as_str()?, request["path"].as_str()?)];
    lines.extend(authority.map(|authority| format!("Host: {authority}")));
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        for line in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
            lines.push(format!("{name}: {}", line.as_str()?));
        }
    }
    let text = lines.join("\r\n") + "\r\n\r\n";
    // The recordings write a byte as the character of its number.
    Some(text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect())
}

fn differences(answer: &Answer, originals: impl Fn(&str) -> Vec<String>, expect: &Value, lines: &Lines) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, recorded: &Value, seen: Value| {
        if *recorded != seen {
            found.push(format!("{what}: recorded {recorded}, seen {seen}"));
        }
    };
    compare("status", &expect["status"], json!(answer.status));
    if let Some(location) = expect["location"].as_str() {
        let seen = answer.header("location").unwrap_or_default();
        if !originals(seen).iter().any(|original| original == location) {
            compare("location", &json!(location), json!(seen));
        }
    }
    if let Some(body) = expect["body"].as_str() {
        compare("body", &json!(body), json!(answer.text()));
    }
    // What hyper cannot read is answered without a word.
    let is_unread = expect["outcome"] == "bad-request" && expect["flags"].is_null();
    let line = if is_unread { None } else { line(lines) };
    let line = line.unwrap_or_default();
    if let Some(recorded) = expect["flags"].as_str() {
        compare("flags", &json!(recorded), line["response_flags"].clone());
    }
    if !is_unread {
        let seen = line.get("upstream_cluster").cloned().unwrap_or(json!("no line"));
        let clusters = clusters(expect);
        if !clusters.contains(&seen) {
            compare("cluster", &json!(clusters), seen);
        }
    }
    if let Some(upstream) = expect["upstream"].as_object().filter(|_| !answer.body.is_empty()) {
        let seen: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        compare("upstream method", &upstream["method"], seen["method"].clone());
        compare("upstream authority", &upstream["authority"], seen["authority"].clone());
        compare(
            "upstream path",
            &json!(as_hyper_writes(upstream["path"].as_str().unwrap_or_default())),
            seen["path"].clone(),
        );
        compare("upstream headers", &upstream["headers"], json!(without_varying(&seen["headers"])));
    }
    let mut recorded = expect["response"]["headers"].as_object().cloned().unwrap_or_default();
    if answer.header("server").is_none() {
        // What hyper cannot read it answers itself, without a body.
        recorded.remove("content-type");
    }
    let mut seen = response(answer, expect);
    if let Some(cookie) = seen.get_mut("set-cookie") {
        *cookie = json!(without_value(cookie.as_str().unwrap_or_default()));
    }
    compare("response headers", &json!(recorded), json!(seen));
    found
}

/// A cookie whose value was made up, as the recordings have it.
fn without_value(cookie: &str) -> String {
    let mut parts = cookie.splitn(3, '"');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(value), Some(rest)) if value.len() == 16 => format!("{name}*{rest}"),
        _ => cookie.to_owned(),
    }
}

/// The clusters of which one is drawn for a request; null: none.
fn clusters(expect: &Value) -> Vec<Value> {
    let cluster = |to: &Value| {
        let (subset, host) = (to["subset"].as_str().unwrap_or_default(), to["host"].as_str().unwrap_or_default());
        if to["missing"] == true { Value::Null } else { json!(format!("outbound|{}|{subset}|{host}", to["port"])) }
    };
    let destinations = expect["destinations"].as_array().map_or(&[][..], Vec::as_slice);
    if destinations.is_empty() { vec![Value::Null] } else { destinations.iter().map(cluster).collect() }
}

/// What a Location may have been before the proxy wrote the port that the gateway's listener has here: that by which
/// clients of the cluster know it, which need not be written where it is the scheme's own.
fn originals(location: &str, proxy: &Handle, table: &Table, request: &Value) -> Vec<String> {
    let as_it_is = vec![location.to_owned()];
    let Some((scheme, rest)) = location.split_once("://") else { return as_it_is };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some(colon) = malha_table::http::port_start(authority) else { return as_it_is };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    let name = request["proxy"].as_str().unwrap_or_default();
    let is_here = |listener: &ListenerAddress| {
        listener.role == "gateway"
            && listener.proxy.split_once('/').is_some_and(|(_, other)| other == name)
            && listener.address.port().to_string() == port
    };
    let Some(here) = proxy.listeners().into_iter().find(is_here) else { return as_it_is };
    let listeners = table.proxies().filter(|proxy| proxy.name() == name).flat_map(|proxy| proxy.listeners());
    let mut known = listeners.filter(|listener| listener.port() == u32::from(here.port));
    let original = known.find_map(|listener| listener.server_ports().next()).unwrap_or(u32::from(here.port));
    let mut originals = vec![format!("{scheme}://{host}:{original}{path}")];
    if original == if scheme == "https" { 443 } else { 80 } {
        originals.push(format!("{scheme}://{host}{path}"));
    }
    originals
}

/// A rewritten path that is none: hyper writes a leading slash, and no angle brackets.
fn as_hyper_writes(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{slash}{path}").replace('<', "%3C").replace('>', "%3E")
}

fn without_varying(headers: &Value) -> Map<String, Value> {
    let headers = headers.as_object().into_iter().flatten();
    headers
        .filter(|(name, _)| !VARYING.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The response's headers as the recordings have them: the echo server's own two only where they are not as it sent
/// them.
fn response(answer: &Answer, expect: &Value) -> Map<String, Value> {
    let is_echos = expect["upstream"].is_object();
    let mut headers = Map::new();
    for (name, value) in &answer.headers {
        if [
            "content-length",
            "connection",
            "date",
            "server",
            "x-envoy-upstream-service-time",
            "transfer-encoding",
            "location",
        ]
        .contains(&name.as_str())
        {
            continue;
        }
        match headers.get_mut(name) {
            Some(Value::Array(lines)) => lines.push(json!(value)),
            Some(first) => *first = json!([first.clone(), value]),
            None => {
                headers.insert(name.clone(), json!(value));
            }
        }
    }
    if is_echos {
        for (name, sent) in [("content-type", "application/json"), ("x-up", "echo")] {
            match headers.get(name) {
                Some(value) if value == sent => {
                    headers.remove(name);
                }
                None if name == "x-up" => {
                    headers.insert(name.to_owned(), Value::Null);
                }
                // That the type is gone is not recorded.
                _ => {}
            }
        }
    }
    headers
}
