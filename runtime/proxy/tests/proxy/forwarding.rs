//! What goes upstream, and what comes back.

use crate::common::{client::Client, client::get, echo::Echo, mesh, options, start};
use serde_json::json;

#[test]
fn a_request_is_forwarded_with_what_envoy_adds() {
    let echo = Echo::start("a");
    let table = mesh::gateway("  - route:\n    - destination: {host: a}\n", &[echo.address], &[]);
    let proxy = start(table, options());
    let answer = get(proxy.gateway(80), "x.com", "/p?q=1", "X-Own: v\r\n");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.json();
    assert_eq!(seen["path"], "/p?q=1");
    assert_eq!(seen["authority"], "x.com");
    assert_eq!(seen["headers"]["x-own"], "v");
    assert_eq!(seen["headers"]["x-envoy-attempt-count"], "1");
    assert_eq!(seen["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen["headers"]["x-forwarded-proto"], "http");
    assert_eq!(answer.header("server"), Some("istio-envoy"));
    assert!(answer.header("date").is_some());
    assert!(answer.header("x-envoy-upstream-service-time").is_some());
    assert_eq!(answer.header("x-malha-rule"), Some("default/shop http[0] mesh.yaml:35"));
}

#[test]
fn connections_are_kept_on_both_sides() {
    let echo = Echo::start("a");
    let table = mesh::gateway("  - route:\n    - destination: {host: a}\n", &[echo.address], &[]);
    let proxy = start(table, options());
    let mut client = Client::connect(proxy.gateway(80));
    for _ in 0..20 {
        assert_eq!(client.get("x.com", "/", "").status, 200);
    }
    assert_eq!(echo.connections(), 1);
}

/// Semantics C31 to C34.
#[test]
fn a_single_destinations_operations_run_with_the_routes_and_those_of_several_before() {
    let of_route = "{set: {s: route}, add: {a: route, sa: route}, remove: [gone, dd]}";
    let of_destination = "{set: {s: dest, sa: dest, dd: dest}, add: {a: dest}, remove: [s]}";
    let destination = |host| {
        format!("    - destination: {{host: {host}}}\n      weight: 50\n      headers: {{request: {of_destination}}}\n")
    };
    let route = format!("    headers: {{request: {of_route}}}\n    route:\n{}", destination("a"));
    let rules = format!("  - match: [{{uri: {{prefix: /one}}}}]\n{route}  - match: []\n{route}{}", destination("b"));
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(&rules, &[echo.address], &[echo.address]), options());
    let seen = |path| get(proxy.gateway(80), "x.com", path, "gone: client\r\n").json()["headers"].clone();

    let one = seen("/one");
    assert_eq!((&one["s"], &one["dd"]), (&json!("dest"), &json!("dest")));
    assert_eq!((&one["a"], &one["sa"]), (&json!(["route", "dest"]), &json!(["dest", "route"])));
    let several = seen("/several");
    assert_eq!((&several["s"], &several["dd"]), (&json!("route"), &json!(null)));
    assert_eq!((&several["a"], &several["sa"]), (&json!(["dest", "route"]), &json!(["dest", "route"])));
    assert_eq!((&one["gone"], &several["gone"]), (&json!(null), &json!(null)));
}
