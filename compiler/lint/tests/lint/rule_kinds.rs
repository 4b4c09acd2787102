//! Rules of a kind that no port takes.

use crate::common::findings;

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.org], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: [a.org], tls: {mode: PASSTHROUGH}}
  - {port: {number: 9443, name: ends, protocol: TLS}, hosts: [a.org], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['other/*']}
---
";

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: s}
spec:
  ports: [{name: http, port: 80}, {name: tcp, port: 5432}, {name: tls, port: 443}, {name: any, port: 7000}]
---
";

/// The fields of what is said of a VirtualService for `host` with these other fields, among such objects.
fn said(objects: &str, host: &str, fields: &str) -> Vec<String> {
    let text = format!(
        "{objects}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec: {{hosts: ['{host}'], {fields}}}\n"
    );
    let found = findings(text.as_bytes());
    let found = found.iter().filter(|finding| finding.rule.code == "R009");
    found.map(|finding| finding.field.clone().unwrap_or_default()).collect()
}

fn route(more: &str) -> String {
    format!("{{{more}route: [{{destination: {{host: s, port: {{number: 5432}}}}}}]}}")
}

#[test]
fn a_gateways_server_takes_rules_of_one_kind() {
    let said = |section: &str, port: &str| {
        let ports = if port.is_empty() { String::new() } else { format!("port: {port}, ") };
        let item = if section == "tls" { format!("{ports}sniHosts: [a.org]") } else { ports };
        let matches = if item.is_empty() { String::new() } else { format!("match: [{{{item}}}], ") };
        said(&[GATEWAY, SERVICE].concat(), "a.org", &format!("gateways: [gw], {section}: [{}]", route(&matches)))
    };
    for (section, right, wrong) in [
        ("http", ["", "80", "443"].as_slice(), ["8443", "9443"].as_slice()),
        ("tls", &["", "8443"], &["80", "443", "9443"]),
        ("tcp", &["", "9443"], &["80", "443", "8443"]),
    ] {
        for port in right {
            assert_eq!(said(section, port), [""; 0], "A57, A59, B2: {section} {port}");
        }
        for port in wrong {
            assert_eq!(said(section, port), [format!("spec.{section}[0]")], "A57, A59, B2: {section} {port}");
        }
        // Where no server is meant nothing is of the wrong kind; that of port 5432 is for another namespace.
        for port in ["81", "5432"] {
            assert_eq!(said(section, port), [""; 0], "{section} {port}");
        }
    }
}

#[test]
fn a_port_of_a_service_takes_rules_of_its_protocol() {
    let in_mesh = |section: &str, item: &str| {
        said(
            SERVICE,
            "s.default.svc.cluster.local",
            &format!("{section}: [{}]", route(&format!("match: [{{{item}}}], "))),
        )
    };
    for (section, right, wrong) in [
        ("http", ["80", "7000"].as_slice(), ["5432", "443"].as_slice()),
        ("tcp", &["5432", "7000"], &["80", "443"]),
        ("tls", &["443"], &["80", "5432", "7000"]),
    ] {
        let item = |port: &str| {
            let sni = if section == "tls" { ", sniHosts: [s.default.svc.cluster.local]" } else { "" };
            format!("port: {port}{sni}")
        };
        for port in right {
            assert_eq!(in_mesh(section, &item(port)), [""; 0], "B2, E24: {section} {port}");
        }
        for port in wrong {
            assert_eq!(in_mesh(section, &item(port)), [format!("spec.{section}[0]")], "B2, E24: {section} {port}");
        }
    }
    let some = format!(
        "tcp: [{}, {}, {}]",
        route("match: [{port: 80}], "),
        route("match: [{port: 5432}], "),
        route("match: [{port: 443}], ")
    );
    assert_eq!(said(SERVICE, "s", &some), ["spec.tcp[0]"], "one finding for all that are not used");
}

#[test]
fn what_may_be_elsewhere_takes_rules_of_any_kind() {
    let tcp = format!("tcp: [{}]", route(""));
    assert_eq!(said(SERVICE, "unknown", &tcp), [""; 0]);
    assert_eq!(said(SERVICE, "*.svc.cluster.local", &tcp), [""; 0], "there may be more services");
    assert_eq!(said(SERVICE, "a.org", &format!("gateways: [elsewhere], {tcp}")), [""; 0]);
    let both = format!("gateways: [elsewhere, mesh], tcp: [{}]", route("match: [{port: 80}], "));
    assert_eq!(said(SERVICE, "s", &both), [""; 0], "the other gateway may have such a port");
    let here = format!("gateways: [elsewhere, mesh], tcp: [{}]", route("match: [{port: 80, gateways: [mesh]}], "));
    assert_eq!(said(SERVICE, "s", &here), ["spec.tcp[0]"], "but this is not for it");
    // A Sidecar's listener has a protocol of its own (semantics E35).
    let sidecar = "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec: {egress: [{port: {number: 80, protocol: TCP, name: bytes}, hosts: ['./*']}, {hosts: ['./*']}]}
---
";
    let of_http = format!("tcp: [{}]", route("match: [{port: 80}], "));
    assert_eq!(said(&[SERVICE, sidecar].concat(), "s", &of_http), [""; 0]);
    // Every port of TLS is another rule's, and said once.
    let tls = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e}
spec: {hosts: [e.org], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}
---
";
    assert_eq!(said(tls, "e.org", "http: [{route: [{destination: {host: e.org}}]}]"), [""; 0]);
}
