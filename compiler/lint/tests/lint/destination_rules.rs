//! DestinationRules of one host: where something of one is lost, and where they only add up.

use crate::common::{findings_under, object, said};
use malha_mesh::MeshConfig;

/// A rule for `orders` of the name `namespace/name`.
fn rule(name: &str, fields: &str) -> String {
    let name = if name.contains('/') { name.to_owned() } else { format!("shop/{name}") };
    object(&format!("DestinationRule {name}"), &format!("spec: {{host: orders.shop.svc.cluster.local, {fields}}}"))
}

fn told(objects: &[String]) -> Vec<String> {
    said(objects, &["D002", "D003"], MeshConfig::default())
}

const V1: &str = "subsets: [{name: v1, labels: {version: v1}}]";
const RANDOM: &str = "trafficPolicy: {loadBalancer: {simple: RANDOM}}";

#[test]
fn rules_add_up_unless_they_disagree() {
    let limits = "trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}}";
    let both = "trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 5}}}";
    let cases: [(&str, &str, String, &[&str]); 11] = [
        ("the same", V1, V1.to_owned(), &[]),
        ("another subset", V1, V1.replace("name: v1", "name: v2"), &[]),
        ("a subset and a policy", V1, RANDOM.to_owned(), &[]),
        ("the same policy", RANDOM, RANDOM.to_owned(), &[]),
        ("a part of the policy", both, RANDOM.to_owned(), &[]),
        ("another policy", RANDOM, limits.to_owned(), &["D002 b spec.trafficPolicy"]),
        ("more of a policy", RANDOM, both.to_owned(), &["D002 b spec.trafficPolicy"]),
        ("a subset of other labels", V1, V1.replace("version: v1", "version: v2"), &["D002 b spec.subsets[0]"]),
        (
            "a subset of another policy",
            V1,
            V1.replace("v1}}", &format!("v1}}, {RANDOM}}}")),
            &["D002 b spec.subsets[0]"],
        ),
        (
            "a port's policy",
            RANDOM,
            "trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}".to_owned(),
            &["D002 b spec.trafficPolicy"],
        ),
        ("for some clients", RANDOM, format!("workloadSelector: {{matchLabels: {{app: c}}}}, {limits}"), &[]),
    ];
    for (what, one, other, expected) in cases {
        assert_eq!(told(&[rule("a", one), rule("b", &other)]), expected, "{what}");
    }
    let selecting = |fields: &str| format!("workloadSelector: {{matchLabels: {{app: c}}}}, {fields}");
    let found = told(&[rule("a", &selecting(RANDOM)), rule("b", &selecting(limits))]);
    assert_eq!(found, ["D002 b spec.trafficPolicy"], "D6: of one selector");
    let short = rule("b", limits).replace("orders.shop.svc.cluster.local", "orders");
    assert_eq!(told(&[rule("a", RANDOM), short]), ["D002 b spec.trafficPolicy"], "D5: one host, written otherwise");
    assert_eq!(told(&[rule("a", RANDOM), rule("team/b", limits)]), [""; 0], "D1: for clients of another namespace");
    let wide = rule("b", limits).replace("orders.shop", "'*.shop");
    assert_eq!(
        told(&[rule("a", RANDOM), wide.replace("local,", "local',")]),
        [""; 0],
        "D9: a wildcard is another host"
    );
}

#[test]
fn the_blocks_that_are_lost_are_named() {
    let lost = "trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}, outlierDetection: {}}";
    let objects = [rule("a", RANDOM), rule("b", lost)].concat();
    let found = findings_under(objects.as_bytes(), MeshConfig::default());
    let finding = found.iter().find(|finding| finding.rule.code == "D002").expect("it is told");
    for word in ["`shop/a`", "`connectionPool`, `outlierDetection` are not used", "older"] {
        assert!(finding.message.contains(word), "{word}: {}", finding.message);
    }
    let dated =
        |text: String, year: u32| text.replace("labels: {}", &format!("creationTimestamp: '{year}-01-01T00:00:00Z'"));
    let objects = [dated(rule("a", RANDOM), 2025), dated(rule("b", lost), 2024)].concat();
    let found = findings_under(objects.as_bytes(), MeshConfig::default());
    let finding = found.iter().find(|finding| finding.rule.code == "D002").expect("it is told");
    assert!(finding.message.contains("`shop/b`") && !finding.message.contains("older"), "{}", finding.message);
}

#[test]
fn rules_that_are_exported_otherwise_do_not_merge() {
    let export = |to: &str, fields: &str| format!("exportTo: [{to}], {fields}");
    let v2 = V1.replace("v1", "v2");
    let cases: [(&str, String, String, &[&str]); 6] = [
        ("D7: the same", export("'.'", V1), export("'.'", &v2), &[]),
        ("D8: the later one is exported further", export("'.'", V1), export("'.', team", &v2), &[]),
        ("D8: absent contains nothing", V1.to_owned(), export("'.'", &v2), &["D003 a spec.host"]),
        ("D8: the later one is narrower", export("'.', team", V1), export("'.'", &v2), &["D003 a spec.exportTo"]),
        ("nobody sees both", export("one", V1), export("two", &v2), &[]),
        ("they say the same", V1.to_owned(), export("'.'", V1), &[]),
    ];
    for (what, one, other, expected) in cases {
        assert_eq!(told(&[rule("a", &one), rule("b", &other)]), expected, "{what}");
    }
}

#[test]
fn weights_are_shares() {
    let routes = |weights: &[&str]| {
        let route = |(at, weight): (usize, &&str)| format!("{{destination: {{host: h{at}}}{weight}}}");
        let routes: Vec<String> = weights.iter().enumerate().map(route).collect();
        let text = format!("spec: {{hosts: [a], http: [{{route: [{}]}}]}}", routes.join(", "));
        said(&[object("VirtualService shop/v", &text)], &["D004"], MeshConfig::default())
    };
    let weighted = |weights: &[u32]| {
        let weights: Vec<String> = weights.iter().map(|weight| format!(", weight: {weight}")).collect();
        routes(&weights.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let odd: [(&[u32], &[&str]); 11] = [
        (&[90, 10], &[]),
        (&[1, 2], &[]),
        (&[33, 33, 33], &[]),
        (&[33, 66], &[]),
        (&[500, 1], &[]),
        (&[100], &[]),
        (&[0], &[]),
        (&[50], &["D004 v spec.http[0].route[0]"]),
        (&[90, 20], &["D004 v spec.http[0].route[1]"]),
        (&[80, 10, 0], &["D004 v spec.http[0].route[1]"]),
        (&[25, 25, 25, 25], &[]),
    ];
    for (weights, expected) in odd {
        assert_eq!(weighted(weights), expected, "{weights:?}");
    }
    assert_eq!(routes(&["", ", weight: 10"]), ["D004 v spec.http[0].route[0]"]);
    assert_eq!(routes(&[""]), [""; 0]);
    let tcp = "spec: {hosts: [a], tcp: [{route: [{destination: {host: b}}, {destination: {host: c}, weight: 10}]}]}";
    let found = said(&[object("VirtualService shop/v", tcp)], &["D004"], MeshConfig::default());
    assert_eq!(found, ["D004 v spec.tcp[0].route[0]"]);
}

#[test]
fn a_destination_is_told_by_all_that_it_names() {
    let two = |one: &str, other: &str| {
        let text = format!(
            "spec: {{hosts: [a], http: [{{route: [{{destination: {one}, weight: 50}}, {{destination: {other}, weight: 50}}]}}]}}"
        );
        said(&[object("VirtualService shop/v", &text)], &["D015"], MeshConfig::default())
    };
    let repeated = ["D015 v spec.http[0].route[1].destination"];
    assert_eq!(two("{host: a}", "{host: a}"), repeated);
    assert_eq!(two("{host: a, subset: s}", "{host: a.shop.svc.cluster.local, subset: s}"), repeated, "0.3");
    assert_eq!(two("{host: a, subset: s}", "{host: a, subset: t}"), [""; 0]);
    assert_eq!(two("{host: a, port: {number: 80}}", "{host: a, port: {number: 81}}"), [""; 0], "another port");
    assert_eq!(two("{host: ab, subset: c}", "{host: a, subset: bc}"), [""; 0], "host and subset are two");
    assert_eq!(two("{host: a}", "{host: a}, headers: {request: {set: {x: y}}}"), [""; 0], "another treatment");
}

#[test]
fn rules_for_the_mesh_do_not_hold_for_gateways() {
    let at_gateway = |destination: &str| {
        object(
            "VirtualService edge/v",
            &format!("spec: {{hosts: [v.org], gateways: [gw], http: [{{route: [{{destination: {destination}}}]}}]}}"),
        )
    };
    let in_mesh = |head: &str, rules: &str| {
        object("VirtualService shop/orders", &format!("spec: {{hosts: [orders], {head}http: [{rules}]}}"))
    };
    let subset = "{route: [{destination: {host: orders, subset: v1}}]}";
    let whole = "{host: orders.shop.svc.cluster.local}";
    let found = |objects: &[String]| said(objects, &["D007"], MeshConfig::default());
    let told = ["D007 v spec.http[0].route[0].destination"];
    assert_eq!(found(&[at_gateway(whole), in_mesh("", subset)]), told, "a short name and a whole one");
    let cases: [(&str, String, String); 6] = [
        ("another service", at_gateway("{host: orders}"), in_mesh("", subset)),
        ("a subset here too", at_gateway("{host: orders.shop.svc.cluster.local, subset: v2}"), in_mesh("", subset)),
        ("no subsets", at_gateway(whole), in_mesh("", "{route: [{destination: {host: orders}}]}")),
        ("for the gateway too", at_gateway(whole), in_mesh("gateways: [mesh, edge/gw], ", subset)),
        (
            "for some clients",
            at_gateway(whole),
            in_mesh("", &subset.replace("{route", "{match: [{sourceLabels: {a: b}}], route")),
        ),
        ("only the mesh", at_gateway(whole).replace("gateways: [gw]", "gateways: [mesh]"), in_mesh("", subset)),
    ];
    for (what, one, other) in cases {
        assert_eq!(found(&[one, other]), [""; 0], "{what}");
    }
}
