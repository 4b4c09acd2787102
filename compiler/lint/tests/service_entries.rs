//! ServiceEntries that overlap: where something of one is lost, and where they only add up.

#[allow(dead_code, reason = "each test file uses its part")]
mod common;

use common::findings;

/// A ServiceEntry of the name `namespace/name`, for the host `x.org` unless its fields say another.
fn entry(name: &str, fields: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let hosts = if fields.contains("hosts:") { "" } else { "hosts: [x.org], " };
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: \
         {{{hosts}{fields}}}\n---\n"
    )
}

/// What is said of ServiceEntries, as `CODE NAME FIELD`.
fn said(objects: &[String]) -> Vec<String> {
    let found = findings(objects.concat().as_bytes());
    let found = found.iter().filter(|finding| finding.rule.code.starts_with('S'));
    found
        .map(|finding| {
            let name = finding.resource.as_ref().map_or("", |resource| resource.name.as_str());
            format!("{} {name} {}", finding.rule.code, finding.field.as_deref().unwrap_or_default())
        })
        .collect()
}

const HTTP: &str =
    "ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 192.0.2.1}]";

#[test]
fn entries_of_one_namespace_add_up_unless_they_disagree() {
    let first = || entry("a", HTTP);
    let cases: [(&str, String, &[&str]); 9] = [
        ("the same", HTTP.to_owned(), &[]),
        ("HTTP by another name", HTTP.replace("HTTP", "HTTP_PROXY"), &[]),
        ("more endpoints", HTTP.replace("192.0.2.1", "192.0.2.2"), &[]),
        ("another port", HTTP.replace("80, name: http", "81, name: other"), &[]),
        ("another protocol", HTTP.replace("HTTP", "TCP"), &["S001 b spec.ports[0]"]),
        ("another kind of HTTP", HTTP.replace("HTTP", "GRPC"), &["S001 b spec.ports[0]"]),
        ("another resolution", HTTP.replace("STATIC", "DNS"), &["S001 b spec.ports[0]"]),
        ("endpoints by the name of the port", HTTP.replace("name: http", "name: web"), &["S001 b spec.ports[0]"]),
        (
            "another port with another resolution",
            HTTP.replace("80, name: http", "81, name: other").replace("STATIC", "DNS"),
            &["S002 b spec.ports[0]"],
        ),
    ];
    for (what, second, expected) in cases {
        assert_eq!(said(&[first(), entry("b", &second)]), expected, "{what}");
    }
    let named = |protocol: &str| HTTP.replace("HTTP", protocol);
    for (one, other) in [("HTTPS", "TLS"), ("GRPC", "HTTP2"), ("TCP", "MONGO")] {
        assert_eq!(said(&[entry("a", &named(one)), entry("b", &named(other))]), [""; 0], "{one}, {other}");
    }
    let other_host = format!("hosts: [y.org], {}", HTTP.replace("HTTP", "GRPC"));
    assert_eq!(said(&[first(), entry("b", &other_host)]), [""; 0], "another host");
}

#[test]
fn of_entries_in_several_namespaces_clients_elsewhere_have_one() {
    let to = |namespaces: &str, fields: &str| format!("{fields}, exportTo: [{namespaces}]");
    let other = HTTP.replace("192.0.2.1", "192.0.2.2");
    let split = HTTP.replace("80, name: http", "81, name: other");
    let cases: [(&str, String, String, &[&str]); 8] = [
        ("the same", HTTP.to_owned(), HTTP.to_owned(), &[]),
        ("other endpoints", HTTP.to_owned(), other.clone(), &["S001 two spec.ports[0]"]),
        ("split ports", HTTP.to_owned(), split.clone(), &["S002 two spec.ports[0]"]),
        ("nobody sees both", to("'.'", HTTP), to("'.'", &other), &[]),
        ("one namespace hides the other's", to("'.'", HTTP), other.clone(), &[]),
        ("they see each other, and have their own", to("one, two", HTTP), to("one, two", &other), &[]),
        ("a third sees both", to("one, third", HTTP), to("two, third", &other), &["S001 two spec.ports[0]"]),
        ("the third has its own of nothing", to("'~'", HTTP), other.clone(), &[]),
    ];
    for (what, one, two, expected) in cases {
        assert_eq!(said(&[entry("one/one", &one), entry("two/two", &two)]), expected, "{what}");
    }
}

#[test]
fn a_kubernetes_service_is_not_overlapped() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: default}\nspec: {ports: [{port: 80, name: http}]}\n---\n";
    let host = format!("hosts: [a.default.svc.cluster.local], {}", HTTP.replace("HTTP", "TCP"));
    assert_eq!(said(&[service.to_owned(), entry("a", &host)]), [""; 0], "E18");
}

#[test]
fn tcp_goes_by_address_and_port() {
    let tcp = |host: &str, addresses: &str, port: u32| {
        let last = if host == "a.org" { 9 } else { 10 };
        format!(
            "hosts: [{host}], addresses: [{addresses}], resolution: STATIC, endpoints: [{{address: 192.0.2.{last}}}], ports: \
             [{{number: {port}, name: tcp, protocol: TCP}}]"
        )
    };
    let first = || entry("a", &tcp("a.org", "10.0.0.1", 5432));
    let ranges = || entry("a", &tcp("a.org", "10.0.0.0/8", 5432));
    let b = |addresses: &str, port: u32| entry("b", &tcp("b.org", addresses, port));
    let lost = ["S001 b spec.addresses[0]"];
    assert_eq!(said(&[first(), b("10.0.0.1", 5432)]), lost);
    assert_eq!(said(&[ranges(), b("10.0.0.0/8", 5432)]), lost, "a range");
    for (what, objects) in [
        ("another address", [first(), b("10.0.0.2", 5432)]),
        ("another port", [first(), b("10.0.0.1", 5433)]),
        ("one endpoint of both", [first(), b("10.0.0.1", 5432).replace("192.0.2.10", "192.0.2.9")]),
        ("a narrower range has its part", [ranges(), b("10.1.0.0/16", 5432)]),
        ("an address in a range", [ranges(), b("10.0.0.1", 5432)]),
        ("HTTP says its host", [first(), b("10.0.0.1", 5432)].map(|text| text.replace("TCP", "HTTP"))),
        ("one host", [first(), b("10.0.0.1", 5432).replace("b.org", "a.org").replace("192.0.2.10", "192.0.2.9")]),
        (
            "nobody sees both",
            [first(), b("10.0.0.1", 5432).replace("namespace: default", "namespace: other")]
                .map(|text| text.replace("spec: {", "spec: {exportTo: ['.'], ")),
        ),
    ] {
        assert_eq!(said(&objects), [""; 0], "{what}");
    }
    let found = findings([first(), b("10.0.0.1", 5432)].concat().as_bytes());
    assert!(found.iter().any(|finding| finding.witness.is_some()), "{found:?}");
}
