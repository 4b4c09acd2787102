//! Pairs of rules, A before B, on which other analysers are known to be wrong: is B reached?

use crate::common::findings;

/// What takes part in a row besides A and B.
const HTTP: &str = "http";

struct Probe {
    section: &'static str,
    a: &'static str,
    b: &'static str,
    reached: bool,
}

const fn dead(a: &'static str, b: &'static str) -> Probe {
    Probe { section: HTTP, a, b, reached: false }
}

const fn live(a: &'static str, b: &'static str) -> Probe {
    Probe { reached: true, ..dead(a, b) }
}

const PROBES: [Probe; 20] = [
    dead("uri: {prefix: /a}", "uri: {prefix: /ab}"),
    dead("uri: {prefix: /}", "uri: {exact: /x}"),
    dead("uri: {prefix: /a}", "uri: {regex: '/a.*'}"),
    dead("uri: {prefix: /a}", "{uri: {prefix: /a}, headers: {x: {exact: '1'}}}"),
    dead("uri: {prefix: /a}", "{uri: {prefix: /ab}, headers: {x: {exact: '1'}}}"),
    dead("uri: {prefix: /a}", "{uri: {prefix: /ab}, authority: {exact: foo}}"),
    dead("uri: {prefix: /a}", "{uri: {prefix: /ab}, method: {exact: POST}}"),
    dead("uri: {prefix: /a}", "{uri: {prefix: /ab}, port: 80}"),
    dead("{uri: {prefix: /a}, headers: {x: {prefix: foo}}}", "{uri: {prefix: /ab}, headers: {x: {prefix: foobar}}}"),
    dead("port: 80", "{uri: {prefix: /a}, port: 80}"),
    dead("{}", "{uri: {prefix: /a}, method: {exact: GET}}"),
    dead("uri: {prefix: /a}\n        - uri: {prefix: /b}", "uri: {regex: '/[ab]/c'}"),
    // Envoy takes the most specific server name, wherever it stands: the recordings and semantics A52 say so, against
    // the order of the file.
    Probe { section: "tls", a: "sniHosts: ['*.a.com']", b: "sniHosts: [x.a.com]", reached: true },
    Probe { section: "tcp", a: "port: 80", b: "{port: 80, destinationSubnets: [10.0.0.0/8]}", reached: false },
    live("{uri: {prefix: /a}, authority: {exact: foo}}", "uri: {prefix: /ab}"),
    live("{uri: {prefix: /a}, method: {exact: GET}}", "uri: {prefix: /ab}"),
    live("{uri: {prefix: /a}, headers: {x: {regex: 'a+'}}}", "{uri: {prefix: /ab}, headers: {x: {regex: 'b+'}}}"),
    live("{uri: {prefix: /a}, headers: {x: {exact: '1'}}}", "{uri: {prefix: /ab}, headers: {x: {}}}"),
    live("{uri: {prefix: /a}, headers: {x: {prefix: foobar}}}", "{uri: {prefix: /ab}, headers: {x: {prefix: foo}}}"),
    live("{uri: {prefix: /a}, sourceLabels: {version: v1}}", "{uri: {prefix: /ab}, sourceLabels: {version: v2}}"),
];

#[test]
fn every_probe_is_decided_as_it_is() {
    for Probe { section, a, b, reached } in PROBES {
        let does = match section {
            HTTP => |port: u32| format!("directResponse: {{status: {port}}}"),
            _ => |port: u32| format!("route: [{{destination: {{host: a.com, port: {{number: {port}}}}}}}]"),
        };
        let rule = |of: &str, port| format!("    - match:\n        - {of}\n      {}\n", does(port));
        let hosts = if section == "tls" { "['*.a.com']" } else { "['foo', 'shop.example.com']" };
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: shop}}\nspec:\n  hosts: {hosts}\n  \
             {section}:\n{}{}",
            rule(a, 200),
            rule(b, 404)
        );
        let told: Vec<String> = findings(text.as_bytes())
            .iter()
            .filter(|finding| finding.rule.code.starts_with('R'))
            .map(|finding| format!("{} {}", finding.rule.code, finding.field.as_deref().unwrap_or_default()))
            .collect();
        if reached {
            assert_eq!(told, Vec::<String>::new(), "{a} | {b}");
        } else {
            assert_eq!(told.len(), 1, "{a} | {b}: {told:?}");
            assert!(told[0].contains(&format!("spec.{section}[1]")), "{a} | {b}: {told:?}");
        }
    }
}

#[test]
fn rules_for_other_gateways_are_in_nobody_s_way() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop}\nspec:\n  \
                hosts: [shop.example.com]\n  gateways: [g1, g2]\n  http:\n    \
                - match: [{uri: {prefix: /a}, gateways: [g1]}]\n      directResponse: {status: 200}\n    \
                - match: [{uri: {prefix: /ab}, gateways: [g2]}]\n      directResponse: {status: 404}\n";
    let told = findings(text.as_bytes());
    assert!(!told.iter().any(|finding| finding.rule.code.starts_with('R')), "{told:?}");
}
