//! What the files cannot know: rules that only facts outside them keep alive are not called dead.

use crate::common::findings;

/// The codes of proofs that are told of rules with these matches, behind `spec`, in their order.
fn told(spec: &str, matches: &[&str]) -> Vec<String> {
    let rule =
        |(at, item): (usize, &&str)| format!("    - match: [{item}]\n      directResponse: {{status: {}}}\n", 200 + at);
    let rules = matches.iter().enumerate().map(rule).collect::<Vec<_>>().concat();
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: shop}}\nspec:\n{spec}  http:\n{rules}"
    );
    let all = findings(text.as_bytes());
    all.iter()
        .filter(|finding| finding.rule.code.starts_with('R'))
        .map(|finding| finding.rule.code.to_owned())
        .collect()
}

const MESH: &str = "  hosts: [shop.example.com]\n";
const GATEWAY: &str = "  hosts: [shop.example.com]\n  gateways: [elsewhere/edge]\n";

#[test]
fn what_lies_outside_the_files_keeps_rules_alive() {
    let cases: [(&str, &[&str]); 8] = [
        // A Gateway that the files do not hold may have any port.
        (GATEWAY, &["{port: 8443}"]),
        (GATEWAY, &["{port: 80}", "{port: 8443, uri: {prefix: /a}}"]),
        // A service of that name may have any port.
        (MESH, &["{port: 9999}"]),
        (MESH, &["{port: 80}", "{uri: {prefix: /a}}"]),
        // What a token says is known to whoever asks for tokens.
        (GATEWAY, &["{headers: {'@request.auth.claims.sub': {exact: a}}}", "{uri: {prefix: /a}}"]),
        (GATEWAY, &["{withoutHeaders: {'@request.auth.claims.sub': {exact: a}}}", "{uri: {prefix: /a}}"]),
        // A proxy may write it for a client that shows a certificate.
        (GATEWAY, &["{headers: {x-forwarded-client-cert: {regex: '.*Hash.*'}}}"]),
        // Addresses, names below headless services: more names lead to a host of the mesh than its own.
        (MESH, &["{authority: {exact: shop.example.com}}", "{authority: {prefix: '10.'}}"]),
    ];
    for (spec, matches) in cases {
        assert_eq!(told(spec, matches), Vec::<String>::new(), "{matches:?}");
    }
}

#[test]
fn what_no_file_can_change_is_told() {
    let cases: [(&str, &[&str], &str); 3] = [
        (GATEWAY, &["{port: 80}", "{port: 80, uri: {prefix: /a}}"], "R001"),
        (GATEWAY, &["{headers: {x: {exact: a}}, withoutHeaders: {x: {prefix: a}}}"], "R004"),
        (MESH, &["{authority: {prefix: shop}}", "{authority: {exact: shop.example.com}}"], "R001"),
    ];
    for (spec, matches, code) in cases {
        assert_eq!(told(spec, matches), [code], "{matches:?}");
    }
}
