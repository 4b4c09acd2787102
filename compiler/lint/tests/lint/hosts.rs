//! Hosts and gateways: names as they are written, and certificates that servers share.

use crate::common::{all_findings, object, said};
use malha_mesh::MeshConfig;

fn told(objects: &[String], code: &str) -> Vec<String> {
    said(objects, &[code], MeshConfig::default())
}

/// What a fix of the rule makes of a text, and whether it is safe.
fn fixed(text: &str, code: &str) -> Option<(String, bool)> {
    let found = all_findings(text.as_bytes());
    let fix = found.iter().find(|finding| finding.rule.code == code)?.fix.as_ref()?;
    let mut edits: Vec<_> = fix.edits.iter().collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.location));
    let mut fixed = text.to_owned();
    for edit in edits {
        let span = edit.location.span;
        fixed.replace_range(span.start as usize..span.end as usize, &edit.text);
    }
    assert!(!all_findings(fixed.as_bytes()).iter().any(|finding| finding.rule.code == code), "it is mended:\n{fixed}");
    Some((fixed, fix.safe))
}

fn server(number: u32, name: &str, hosts: &str, tls: &str) -> String {
    format!("{{port: {{number: {number}, name: {name}, protocol: HTTPS}}, hosts: [{hosts}], tls: {{{tls}}}}}")
}

fn gateway(name: &str, servers: &[String]) -> String {
    let spec = format!("spec: {{selector: {{istio: ingress}}, servers: [{}]}}", servers.join(", "));
    object(&format!("Gateway edge/{name}"), &spec)
}

#[test]
fn a_certificate_is_shown_by_one_server() {
    let simple = |credential: &str| format!("mode: SIMPLE, credentialName: {credential}");
    let files = "mode: SIMPLE, serverCertificate: /c, privateKey: /k".to_owned();
    let several = "mode: SIMPLE, credentialNames: [rsa, ecdsa]".to_owned();
    let cases = [
        ("other hosts", (443, "a.x.org", simple("c")), (443, "b.x.org", simple("c")), true),
        ("files", (443, "a.x.org", files.clone()), (443, "b.x.org", files), true),
        ("one of several", (443, "a.x.org", several), (443, "b.x.org", simple("ecdsa")), true),
        (
            "a second one that clients must have",
            (443, "a.x.org", simple("c")),
            (443, "b.x.org", simple("c").replace("SIMPLE", "MUTUAL")),
            true,
        ),
        ("another certificate", (443, "a.x.org", simple("c")), (443, "b.x.org", simple("d")), false),
        ("another port", (443, "a.x.org", simple("c")), (8443, "b.x.org", simple("c")), false),
        ("the first has the host too", (443, "'*.x.org'", simple("c")), (443, "b.x.org", simple("c")), false),
        (
            "passed through",
            (443, "a.x.org", "mode: PASSTHROUGH".to_owned()),
            (443, "b.x.org", "mode: PASSTHROUGH".to_owned()),
            false,
        ),
    ];
    for (what, one, other, expected) in cases {
        let first = server(one.0, "one", one.1, &one.2);
        let second = server(other.0, "two", other.1, &other.2);
        let together = told(&[gateway("a", &[first.clone(), second.clone()])], "H011");
        assert_eq!(together, if expected { vec!["H011 a spec.servers[1].tls"] } else { vec![] }, "{what}");
        let apart = told(&[gateway("a", &[first]), gateway("b", &[second])], "H011");
        assert_eq!(apart, if expected { vec!["H011 b spec.servers[0].tls"] } else { vec![] }, "{what}");
    }
    let egress =
        gateway("b", &[server(443, "two", "b.x.org", &simple("c"))]).replace("istio: ingress", "istio: egress");
    let ingress = gateway("a", &[server(443, "one", "a.x.org", &simple("c"))]);
    assert_eq!(told(&[ingress, egress], "H011"), [""; 0], "another proxy");
}

#[test]
fn hosts_are_written_as_clients_send_them() {
    let rules = |host: &str, authority: &str| {
        let http = format!("http: [{{match: [{{authority: {authority}}}], directResponse: {{status: 200}}}}]");
        object("VirtualService shop/v", &format!("spec: {{hosts: ['{host}'], gateways: [edge/gw], {http}}}"))
    };
    let authority = ["H012 v spec.http[0].match[0].authority.exact"];
    for (host, matching, expected) in [
        ("x.org", "{exact: x.org}", &[][..]),
        ("x.org", "{exact: X.org}", &authority),
        ("x.org", "{exact: 'x.org:443'}", &authority),
        ("x.org", "{exact: 'x.org:80'}", &authority),
        ("x.org", "{exact: 'x.org:8080'}", &[]),
        ("x.org", "{prefix: X}", &[]),
        ("x.org", "{regex: '(?i)X.*'}", &[]),
        ("X.org", "{exact: x.org}", &["H012 v spec.hosts[0]"]),
        // Refused (K008).
        ("x.org:80", "{exact: x.org}", &[]),
        ("2001:db8::1", "{exact: x.org}", &[]),
    ] {
        assert_eq!(told(&[rules(host, matching)], "H012"), expected, "{host} {matching}");
    }
    let (text, safe) = fixed(&rules("x.org", "{exact: \"X.org:80\"}"), "H012").expect("it is offered");
    assert!(text.contains("{exact: \"x.org\"}") && !safe, "{text}");
}

#[test]
fn names_are_completed_and_said_once() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts:\n  - orders # ours\n  \
                - orders.default.svc.cluster.local\n  http:\n  - route:\n    - destination: {host: \"orders\"}\n      weight: 100\n";
    let (once, safe) = fixed(text, "H013").expect("it is offered");
    assert!(once.contains("  hosts:\n  - orders # ours\n  http:") && safe, "{once}");
    let mut whole = once;
    while let Some((text, safe)) = fixed_one(&whole, "H009") {
        assert!(safe);
        whole = text;
    }
    assert!(whole.contains("  - orders.default.svc.cluster.local # ours\n"), "{whole}");
    assert!(whole.contains("{host: \"orders.default.svc.cluster.local\"}"), "{whole}");
}

/// One fix of the rule, applied.
fn fixed_one(text: &str, code: &str) -> Option<(String, bool)> {
    let found = all_findings(text.as_bytes());
    let fix = found.iter().find(|finding| finding.rule.code == code)?.fix.as_ref()?;
    let mut fixed = text.to_owned();
    for edit in &fix.edits {
        let span = edit.location.span;
        fixed.replace_range(span.start as usize..span.end as usize, &edit.text);
    }
    Some((fixed, fix.safe))
}

#[test]
fn the_mesh_is_added_to_gateways() {
    let service = object("Service shop/orders", "spec: {ports: [{name: http, port: 80}]}");
    let rules = |gateways: &str| {
        object(
            "VirtualService shop/v",
            &format!("spec:\n  hosts: [orders]\n  gateways: {gateways}\n  http:\n  - directResponse: {{status: 200}}"),
        )
    };
    let (text, safe) = fixed(&(service.clone() + &rules("[edge/gw]")), "H006").expect("it is offered");
    assert!(text.contains("gateways: [edge/gw, mesh]") && !safe, "{text}");
    let (text, _) = fixed(&(service.clone() + &rules("\n  - edge/gw # outside")), "H006").expect("it is offered");
    assert!(text.contains("  - edge/gw # outside\n  - mesh\n"), "{text}");
    let other = rules("[mesh]").replace("name: v,", "name: w,");
    assert_eq!(told(&[service, rules("[edge/gw]"), other], "H006"), [""; 0], "another one is for the mesh");
    assert_eq!(told(&[rules("[edge/gw]")], "H006"), [""; 0], "it is no service of the cluster");
}

#[test]
fn an_object_is_exported_to_namespaces_that_are_there() {
    let entry = |export: &str| {
        let ports = "ports: [{number: 80, name: http, protocol: HTTP}]";
        object(
            "ServiceEntry shop/e",
            &format!("spec: {{exportTo: [{export}], hosts: [x.org], resolution: DNS, {ports}}}"),
        )
    };
    let other = object("Service checkout/s", "spec: {ports: [{name: http, port: 80}]}");
    let namespace = |name: &str| object(&format!("Namespace {name}"), "");
    let lost = ["O006 e spec.exportTo[0]"];
    let all = |export: &str| told(&[entry(export), other.clone()], "O006");
    assert_eq!(all("checkuot"), lost);
    for export in ["checkout", "'.'", "'*'", "'~'", "somewhere", "default", "istio-system", "kube-system"] {
        assert_eq!(all(export), [""; 0], "{export}");
    }
    let declared =
        |export: &str| [entry(export), other.clone(), namespace("default/shop"), namespace("default/checkout")];
    assert_eq!(told(&declared("somewhere"), "O006"), lost, "every namespace has its object");
    assert_eq!(told(&declared("checkout"), "O006"), [""; 0]);
    assert_eq!(told(&declared("somewhere")[..3], "O006"), [""; 0], "not every namespace has its object");
}
