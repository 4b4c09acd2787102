//! Cross-origin requests beyond what the recordings hold (semantics C.10).

use crate::common::{client::Client, echo::Echo, mesh, options, start, wait_for};
use malha_proxy::{AccessLog, Options};
use std::sync::{Arc, Mutex};

const RULES: &str = "  - match: [{uri: {prefix: /prefix}}]
    corsPolicy: {allowOrigins: [{prefix: '*'}]}
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /regex}}]
    corsPolicy: {allowOrigins: [{regex: '[*]|http://one'}]}
    route:
    - destination: {host: a}
  - corsPolicy: {allowOrigins: [{exact: 'http://one'}]}
    route:
    - destination: {host: a}
";

#[test]
fn what_allows_a_star_allows_all() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(RULES, &[echo.address], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    for (path, origin) in [("/prefix", Some("http://two")), ("/regex", Some("http://two")), ("/", None)] {
        let answer = client.get("x.com", path, "Origin: http://two\r\n");
        assert_eq!(answer.header("access-control-allow-origin"), origin, "{path}");
    }
}

#[test]
fn a_preflight_is_logged_as_such() {
    let echo = Echo::start("a");
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = {
        let lines = Arc::clone(&lines);
        AccessLog::to_function(move |line| lines.lock().unwrap().push(line.to_owned()))
    };
    let table = mesh::gateway(RULES, &[echo.address], &[]);
    let proxy = start(table, Options { access_log: Some(log), ..options() });
    let preflight =
        "OPTIONS / HTTP/1.1\r\nHost: x.com\r\nOrigin: http://one\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    assert_eq!(Client::connect(proxy.gateway(80)).send(preflight).status, 200);
    wait_for("its line", || lines.lock().unwrap().iter().any(|line| line.contains(" 200 - cors_response ")));
    assert!(echo.seen().is_empty());
}
