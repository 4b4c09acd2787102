//! ServiceEntries that overlap: where something of one is lost, and where they only add up.

use crate::common::findings;

/// A ServiceEntry of the name `namespace/name`, for the host `x.org` unless its fields say another.
fn entry(name: &str, fields: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let hosts = if fields.contains("hosts:") { "" } else { "hosts: [x.org], " };
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: \
         {{{hosts}{fields}}}\n---\n"
    )
}

/// What is said of ServiceEntries that overlap, as `CODE NAME FIELD`.
fn said(objects: &[String]) -> Vec<String> {
    let found = findings(objects.concat().as_bytes());
    let found = found.iter().filter(|finding| matches!(finding.rule.code, "S001" | "S002"));
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

/// What is said of the rule `code`.
fn said_of(objects: &[String], code: &str) -> Vec<String> {
    crate::common::said(objects, &[code], malha_mesh::MeshConfig::default())
}

#[test]
fn tcp_without_an_address_takes_the_whole_port() {
    let tcp = |protocol: &str, more: &str| {
        entry("a", &format!("hosts: [a.org], ports: [{{number: 5432, name: p, protocol: {protocol}}}], {more}"))
    };
    let told = ["S003 a spec.ports[0]"];
    let cases: [(&str, String, &[&str]); 8] = [
        ("by DNS", tcp("TCP", "resolution: DNS"), &told),
        ("at one place", tcp("TCP", "resolution: STATIC, endpoints: [{address: 192.0.2.1}]"), &told),
        ("another protocol without names", tcp("MONGO", "resolution: DNS"), &told),
        ("an address", tcp("TCP", "resolution: DNS, addresses: [192.0.2.9]"), &[]),
        ("where the client meant to go", tcp("TCP", "resolution: NONE"), &[]),
        ("TLS says a name", tcp("TLS", "resolution: DNS"), &[]),
        ("HTTP says a name", tcp("HTTP", "resolution: DNS"), &[]),
        ("nobody sees it", tcp("TCP", "resolution: DNS, exportTo: ['~']"), &[]),
    ];
    for (what, object, expected) in cases {
        assert_eq!(said_of(&[object], "S003"), expected, "{what}");
    }
    let found = findings(tcp("TCP", "resolution: DNS").as_bytes());
    let finding = found.iter().find(|finding| finding.rule.code == "S003").expect("it is told");
    let witness = finding.witness.as_ref().expect("a connection shows it");
    assert!(witness["protocol"] == "tcp" && witness["port"] == 5432, "{witness}");
}

#[test]
fn http_and_tls_do_not_go_together() {
    let entry_of =
        |ports: &str, more: &str| entry("e", &format!("hosts: [x.org], resolution: DNS, {more}ports: [{ports}]"));
    let https = "{number: 443, name: https, protocol: HTTPS}";
    let both = "{number: 443, name: https, protocol: HTTPS}, {number: 80, name: http, protocol: HTTP}";
    let rules = |head: &str, sections: &str| {
        crate::common::object("VirtualService v", &format!("spec: {{hosts: [x.org], {head}{sections}}}"))
    };
    let to = |port: u32| format!("http: [{{route: [{{destination: {{host: x.org, port: {{number: {port}}}}}}}]}}]");
    let originate =
        crate::common::object("DestinationRule r", "spec: {host: x.org, trafficPolicy: {tls: {mode: SIMPLE}}}");
    let unused = ["S005 v spec.hosts[0]"];
    let plain = ["S005? v spec.http[0].route[0].destination.host"];
    let cases: Vec<(&str, Vec<String>, &[&str])> = vec![
        ("only TLS", vec![entry_of(https, ""), rules("", &to(443))], &unused),
        ("whatever starts TLS", vec![entry_of(https, ""), rules("", &to(443)), originate.clone()], &unused),
        (
            "rules for TLS alone",
            vec![
                entry_of(https, ""),
                rules("", "tls: [{match: [{sniHosts: [x.org]}], route: [{destination: {host: x.org}}]}]"),
            ],
            &[],
        ),
        ("a port for HTTP", vec![entry_of(both, ""), rules("", &to(80))], &[]),
        ("HTTP to TLS", vec![entry_of(both, ""), rules("", &to(443))], &plain),
        ("TLS is started", vec![entry_of(both, ""), rules("", &to(443)), originate], &[]),
        ("inside the mesh", vec![entry_of(both, "location: MESH_INTERNAL, "), rules("", &to(443))], &[]),
        ("who knows who listens", vec![entry_of(https, ""), rules("gateways: [edge/gw], ", &to(443))], &[]),
    ];
    for (what, objects, expected) in cases {
        assert_eq!(said_of(&objects, "S005"), expected, "{what}");
    }
    let gateway = crate::common::object(
        "Gateway edge/gw",
        "spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
    );
    let objects = [gateway, entry_of(https, ""), rules("gateways: [edge/gw], ", &to(443))];
    assert_eq!(said_of(&objects, "S005"), plain, "a gateway starts no TLS by itself");
}

#[test]
fn dns_knows_no_wildcards() {
    let wild = |more: &str| {
        entry("e", &format!("hosts: ['*.x.org'], ports: [{{number: 443, name: tls, protocol: TLS}}], {more}"))
    };
    let refused = ["S006 e spec.hosts[0]"];
    assert_eq!(said_of(&[wild("resolution: DNS")], "S006"), refused);
    assert_eq!(said_of(&[wild("resolution: DNS_ROUND_ROBIN")], "S006"), refused);
    for more in ["resolution: NONE", "resolution: DYNAMIC_DNS", "resolution: DNS, endpoints: [{address: y.org}]"] {
        assert_eq!(said_of(&[wild(more)], "S006"), [""; 0], "{more}");
    }
}

#[test]
fn an_entry_for_all_says_so() {
    let text = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: shop}\nspec:\n  hosts: [x.org]\n  \
                resolution: DNS\n  ports: [{number: 80, name: http, protocol: HTTP}]\n";
    let found = crate::common::all_findings(text.as_bytes());
    let fix = found.iter().find(|finding| finding.rule.code == "S004").and_then(|finding| finding.fix.as_ref());
    let edit = &fix.expect("it is offered").edits[0];
    let mut fixed = text.to_owned();
    fixed.insert_str(edit.location.span.start as usize, &edit.text);
    assert!(fixed.contains("  exportTo: [\".\"]\n  resolution: DNS\n"), "{fixed}");
    assert!(!crate::common::all_findings(fixed.as_bytes()).iter().any(|finding| finding.rule.code == "S004"));
    let root = entry("istio-system/e", HTTP);
    assert_eq!(said_of(&[root], "S004"), [""; 0], "the root namespace speaks for all");
}
