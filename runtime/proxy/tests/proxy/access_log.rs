//! What the access log says of requests, over real sockets.

use crate::common::{
    client::{Client, get},
    echo::Echo,
    lines::Lines,
    mesh, options, start,
    tls::{Authority, Speaker},
};
use malha_proxy::{Credentials, LineFormat, LogFormat, Options, Revision};
use malha_table::Role;
use serde_json::{Value, json};

/// Options of a proxy whose log is in this format.
fn options_in(format: LogFormat, lines: &Lines) -> Options {
    Options { access_log: Some(lines.log().in_format(format)), ..options() }
}

const RULES: &str = "  - name: main
    match: [{uri: {prefix: /shop}}]
    rewrite: {uri: /}
    route:
    - destination: {host: a}
";

#[test]
fn a_line_of_json_has_istios_keys_and_values_of_their_kinds() {
    let (echo, lines) = (Echo::start("a"), Lines::default());
    let proxy = start(mesh::gateway(RULES, &[echo.address], &[]), options_in(LogFormat::Json, &lines));
    let mut client = Client::connect(proxy.gateway(80));
    let answer =
        client.send("POST /shop/1?q=x HTTP/1.1\r\nHost: x.com\r\nUser-Agent: curl\"\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(answer.status, 200);
    let line: Value = serde_json::from_str(&lines.wait(1).remove(0)).expect("JSON");
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "authority",
            "bytes_received",
            "bytes_sent",
            "connection_termination_details",
            "downstream_local_address",
            "downstream_remote_address",
            "duration",
            "malha_rule",
            "method",
            "path",
            "protocol",
            "request_id",
            "requested_server_name",
            "response_code",
            "response_code_details",
            "response_flags",
            "route_name",
            "start_time",
            "upstream_cluster",
            "upstream_host",
            "upstream_local_address",
            "upstream_service_time",
            "upstream_transport_failure_reason",
            "user_agent",
            "x_forwarded_for",
        ]
    );
    let seen = &echo.seen()[0];
    for (key, value) in [
        ("authority", json!("x.com")),
        ("bytes_received", json!(3)),
        ("bytes_sent", json!(answer.body.len())),
        ("downstream_local_address", json!(proxy.gateway(80).to_string())),
        ("malha_rule", json!("default/shop http[0].match[0] mesh.yaml:36")),
        ("method", json!("POST")),
        ("path", json!("/shop/1?q=x")),
        ("protocol", json!("HTTP/1.1")),
        ("request_id", seen["headers"]["x-request-id"].clone()),
        ("requested_server_name", json!(null)),
        ("response_code", json!(200)),
        ("response_code_details", json!("via_upstream")),
        ("response_flags", json!("-")),
        ("route_name", json!("main")),
        ("upstream_cluster", json!("outbound|80||a.default.svc.cluster.local")),
        ("upstream_host", json!(echo.address.to_string())),
        ("upstream_service_time", json!(answer.header("x-envoy-upstream-service-time"))),
        ("user_agent", json!("curl\"")),
        ("x_forwarded_for", json!("127.0.0.1")),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    assert!(line["duration"].is_u64() && line["upstream_local_address"].is_string(), "{line}");
}

#[test]
fn what_there_is_nothing_to_say_of_is_null() {
    let lines = Lines::default();
    let proxy = start(mesh::gateway(RULES, &[], &[]), options_in(LogFormat::Json, &lines));
    assert_eq!(get(proxy.gateway(80), "x.com", "/other", "").status, 404);
    let line: Value = serde_json::from_str(&lines.wait(1).remove(0)).expect("JSON");
    for key in ["malha_rule", "route_name", "upstream_cluster", "upstream_host", "upstream_service_time", "user_agent"]
    {
        assert_eq!(line[key], Value::Null, "{key} of {line}");
    }
    assert_eq!((&line["response_code"], &line["response_flags"]), (&json!(404), &json!("NR")));
}

/// Options of a proxy whose lines are in this format.
fn options_of(format: LineFormat, lines: &Lines) -> Options {
    Options { access_log: Some(lines.log().in_lines(format)), ..options() }
}

#[test]
fn a_line_of_text_says_what_its_format_asks_for() {
    let (echo, lines) = (Echo::start("a"), Lines::default());
    let rules = "  - name: main
    match: [{uri: {prefix: /shop}}]
    rewrite: {uri: /s, authority: in.side}
    headers: {request: {add: {x-added: yes-it-is}}, response: {set: {x-told: told}}}
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /own}}]
    directResponse: {status: 299}
";
    let format = "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(:SCHEME)% \
                  %REQ(X-Added):3% %REQ(x-none)% %RESP(x-told)% %RESP(server)% %RESP(:status)% %PROTOCOL% \
                  %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% \
                  %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %ROUTE_NAME% \
                  %REQUESTED_SERVER_NAME% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS% \
                  %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON% %TRAILER(x)% \
                  %DYNAMIC_METADATA(a:b)% [%START_TIME(%Y)%] 100%%";
    let format = LineFormat::text(&format!("{format}\n")).expect("a format");
    assert_eq!(format.untold(), ["DYNAMIC_METADATA"]);
    let proxy = start(mesh::gateway(rules, &[echo.address], &[]), options_of(format, &lines));
    let mut client = Client::connect(proxy.gateway(80));
    let answer = client.send("POST /shop/1?q HTTP/1.1\r\nHost: x.com\r\nContent-Length: 3\r\n\r\nabc");
    let line = lines.wait(1).remove(0);
    let year = line.rsplit_once('[').and_then(|(_, rest)| rest.get(..4)).unwrap_or_default();
    assert!(year.parse::<u32>().is_ok_and(|year| year > 2000), "{line}");
    let (upstream, local) = (echo.address, proxy.gateway(80));
    assert_eq!(
        line,
        format!(
            "POST /shop/1?q /s/1?q in.side http yes - told istio-envoy 200 HTTP/1.1 200 via_upstream - 3 {} {upstream} \
             outbound|80||a.default.svc.cluster.local 1 main - 127.0.0.1 {local} - - - - [{year}] 100%",
            answer.body.len()
        )
    );
    lines.clear();
    assert_eq!(client.get("x.com", "/own", "x-added: \"quoted\"\r\n").status, 299);
    let line = lines.wait(1).remove(0);
    let expected =
        "GET /own /own x.com http \\\"qu - - istio-envoy 299 HTTP/1.1 299 direct_response - 0 0 - - 0 - - 127.0.0.1";
    assert!(line.starts_with(expected), "{line}\n{expected}");
    lines.clear();
    assert_eq!(client.get("x.com", "/a%00", "").status, 400);
    let line = lines.wait(1).remove(0);
    assert!(line.starts_with("GET /a%00 /a%00 x.com - - - - istio-envoy 400 HTTP/1.1 400 "), "{line}");
}

#[test]
fn a_line_of_json_says_what_its_format_asks_for() {
    let (echo, lines) = (Echo::start("a"), Lines::default());
    let format = r#"{
        "method": "%REQ(:METHOD)%", "code": "%RESPONSE_CODE%", "none": "%REQ(x-none)%", "agent": "%REQ(user-agent)%",
        "request": "%REQUEST_DURATION%", "response": "%RESPONSE_DURATION%", "rest": "%RESPONSE_TX_DURATION%",
        "total": "%DURATION%", "mixed": "%REQ(x-none)%/%BYTES_RECEIVED%", "fixed": "100%%", "number": 7, "truth": true,
        "nested": {"list": ["%UPSTREAM_REMOTE_PORT%", "%UPSTREAM_HOST%", null]}
    }"#;
    let format = LineFormat::json(format).expect("a format");
    assert!(format.untold().is_empty());
    let proxy = start(mesh::gateway(RULES, &[echo.address], &[]), options_of(format, &lines));
    assert_eq!(get(proxy.gateway(80), "x.com", "/shop", "user-agent: a\"b\r\n").status, 200);
    let line = lines.wait(1).remove(0);
    let told: Value = serde_json::from_str(&line).expect("JSON");
    for (key, value) in [
        ("/method", json!("GET")),
        ("/code", json!(200)),
        ("/none", json!(null)),
        ("/agent", json!("a\"b")),
        ("/request", json!(0)),
        ("/mixed", json!("-/0")),
        ("/fixed", json!("100%")),
        ("/number", json!(7)),
        ("/truth", json!(true)),
        ("/nested/list", json!([echo.address.port(), echo.address.to_string(), null])),
    ] {
        assert_eq!(told.pointer(key), Some(&value), "{key} of {line}");
    }
    assert!(told["response"].as_u64() <= told["total"].as_u64() && told["rest"].is_u64(), "{line}");
    assert!(line.starts_with("{\"agent\":"), "in the order of the names: {line}");
}

#[test]
fn what_envoy_does_not_load_is_no_format() {
    for text in ["%NO_SUCH%", "100%", "%REQ()%", "%PROTOCOL(x)%"] {
        assert!(LineFormat::text(text).is_err(), "{text}");
        assert!(LineFormat::json(&json!({"a": [text]}).to_string()).is_err(), "{text}");
    }
    for text in ["", "[]", "\"%PROTOCOL%\"", "{\"a\": }"] {
        assert!(LineFormat::json(text).is_err(), "{text}");
    }
}

#[test]
fn the_server_name_of_tls_is_told() {
    let authority = Authority::new();
    let text = mesh::gateway_text(RULES).replace(
        "{number: 80, name: http, protocol: HTTP}",
        "{number: 443, name: https, protocol: HTTPS}\n    tls: {mode: SIMPLE, credentialName: shop}",
    );
    for format in [LogFormat::Json, LogFormat::Text] {
        let (echo, lines) = (Echo::start("a"), Lines::default());
        let table = mesh::compile(&text, &[echo.address], &[]);
        let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
        let mut credentials = Credentials::default();
        credentials.insert(&namespace, "shop", authority.issue(&["x.com"]).credential());
        let proxy = start(Revision { table, credentials }, options_in(format, &lines));
        let answer = Speaker::new(&authority).connect(proxy.gateway(443), "x.com").get("x.com", "/shop", "");
        assert_eq!(answer.status, 200);
        let line = lines.wait(1).remove(0);
        match format {
            LogFormat::Json => assert!(line.contains("\"requested_server_name\":\"x.com\""), "{line}"),
            LogFormat::Text => assert!(line.contains(" x.com main \"default/shop"), "{line}"),
        }
    }
}

#[test]
fn a_direct_response_is_told_without_an_upstream() {
    let lines = Lines::default();
    let rules = "  - directResponse: {status: 418, body: {string: short and stout}}\n";
    let proxy = start(mesh::gateway(rules, &[], &[]), lines.options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 418);
    let line = lines.wait(1).remove(0);
    assert!(line.contains("\" 418 - direct_response - "), "C30: {line}");
}
