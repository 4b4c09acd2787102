//! Servers of Gateways that one proxy merges: which of them conflict, and what shows it.

use crate::common::findings;
use malha_syntax::{Claim, Finding, Severity};
use std::fmt::Write as _;

const SIMPLE: &str = "tls: {mode: SIMPLE, credentialName: c}";

/// A Gateway of the name, its servers one a line, as `NUMBER PROTOCOL HOSTS` and perhaps more fields.
fn gateway(name: &str, servers: &[String]) -> String {
    let mut text = format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: edge}}\nspec:\n  selector: \
         {{istio: ingressgateway}}\n  servers:\n"
    );
    for (at, server) in servers.iter().enumerate() {
        let mut words = server.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (number, protocol, hosts, more) = (word(), word(), word(), word());
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        writeln!(text, "  - {{port: {{number: {number}, name: p{at}, protocol: {protocol}}}, hosts: {hosts}{more}}}")
            .expect("a string takes everything");
    }
    text.push_str("---\n");
    text
}

/// A VirtualService of a Gateway that answers everything.
fn rules(name: &str, gateway: &str, host: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: edge}}\nspec:\n  hosts: \
         ['{host}']\n  gateways: [{gateway}]\n  http:\n  - match: [{{uri: {{prefix: /a}}}}]\n    directResponse: {{status: 200}}\n---\n"
    )
}

fn conflicts(text: &str) -> Vec<Finding> {
    let mut found = findings(text.as_bytes());
    found.retain(|finding| finding.rule.code == "H010");
    found
}

#[test]
fn servers_conflict_only_where_one_of_them_loses() {
    // What each of two servers says, whether in one Gateway or in two.
    let passthrough = "tls: {mode: PASSTHROUGH}";
    let redirect = "tls: {httpsRedirect: true}";
    let cases = [
        ("A12: plain HTTP merges", "80 HTTP [a.com]".to_owned(), "80 HTTP [a.com]".to_owned(), false),
        ("A12: and so do its kinds", "80 HTTP [a.com]".to_owned(), "80 GRPC [b.com]".to_owned(), false),
        ("A13", "80 HTTP [a.com]".to_owned(), "80 TCP [b.com]".to_owned(), true),
        ("A13", "80 TCP [a.com]".to_owned(), "80 TCP [b.com]".to_owned(), true),
        ("A13", "443 HTTP [a.com]".to_owned(), format!("443 HTTPS [b.com] {SIMPLE}"), true),
        ("A14: another bind", "80 HTTP [a.com]".to_owned(), "80 TCP [b.com] bind: 10.1.2.3".to_owned(), false),
        ("another port", "80 HTTP [a.com]".to_owned(), "81 TCP [a.com]".to_owned(), false),
        ("A10", format!("443 HTTPS [a.com] {SIMPLE}"), format!("443 HTTPS [a.com] {SIMPLE}"), true),
        (
            "A10: one host of two",
            format!("443 HTTPS [a.com] {SIMPLE}"),
            format!("443 HTTPS [b.com,a.com] {SIMPLE}"),
            true,
        ),
        ("A10", format!("443 HTTPS [a.com] {SIMPLE}"), format!("443 TLS [a.com] {passthrough}"), true),
        (
            "A10: the same namespace",
            format!("443 HTTPS [edge/a.com] {SIMPLE}"),
            format!("443 HTTPS ['./a.com'] {SIMPLE}"),
            true,
        ),
        ("A10: any namespace", format!("443 HTTPS ['*/a.com'] {SIMPLE}"), format!("443 HTTPS [a.com] {SIMPLE}"), true),
        (
            "A52: the most specific name",
            format!("443 HTTPS ['*.a.com'] {SIMPLE}"),
            format!("443 HTTPS [x.a.com] {SIMPLE}"),
            false,
        ),
        ("A52", format!("443 HTTPS ['*'] {SIMPLE}"), format!("443 HTTPS ['*.a.com'] {SIMPLE}"), false),
        (
            "A10: equal wildcards",
            format!("443 HTTPS ['*.a.com'] {SIMPLE}"),
            format!("443 HTTPS ['*.a.com'] {SIMPLE}"),
            true,
        ),
        (
            "A5: another bind",
            format!("443 HTTPS [a.com] {SIMPLE}"),
            format!("443 HTTPS [a.com] {SIMPLE}, bind: 10.1.2.3"),
            false,
        ),
        ("A38: both redirect", format!("80 HTTP [a.com] {redirect}"), format!("80 HTTP [b.com] {redirect}"), false),
        ("another host redirects", format!("80 HTTP [a.com] {redirect}"), "80 HTTP [b.com]".to_owned(), false),
    ];
    for (fact, one, other, conflict) in cases {
        let together = gateway("a", &[one.clone(), other.clone()]);
        let apart = gateway("a", std::slice::from_ref(&one)) + &gateway("b", std::slice::from_ref(&other));
        for text in [together, apart] {
            let found = conflicts(&text);
            assert_eq!(found.len(), usize::from(conflict), "{fact}: {one} / {other}: {found:?}");
            assert!(
                found.iter().all(|finding| finding.severity == Severity::Error && finding.related.len() == 1),
                "{fact}"
            );
        }
    }
}

#[test]
fn gateways_of_other_proxies_do_not_meet() {
    let one = gateway("a", &["80 HTTP ['*']".to_owned()]);
    let other = gateway("b", &["80 TCP ['*']".to_owned()]).replace("ingressgateway", "egressgateway");
    assert_eq!(conflicts(&(one + &other)), []);
}

#[test]
fn a_lost_server_is_shown_by_a_request() {
    let server = |credential: &str, hosts: &str| {
        format!("443 HTTPS {hosts} tls: {{mode: SIMPLE, credentialName: {credential}}}")
    };
    let text = gateway("a", &[server("one", "[a.com]")])
        + &gateway("b", &[server("two", "[a.com,b.com]")])
        + &rules("of-a", "a", "a.com")
        + &rules("of-b", "b", "a.com");
    let found = conflicts(&text);
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    for word in ["`a.com`", "as `b.com`", "`one`, not its `two`", "older"] {
        assert!(finding.message.contains(word), "{word}: {}", finding.message);
    }
    let witness = finding.witness.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(witness.contains(r#""authority":"a.com""#) && witness.contains(r#""sni":"a.com""#), "{witness}");
    let claim = finding.claim.as_ref().expect("it claims something");
    assert!(matches!(claim, Claim::TakenBy(rule) if rule.name == "of-a"), "{claim:?}");

    // Both objects' rules are reached by way of the first Gateway: nothing of them is lost.
    let shared = text.replace("gateways: [b]", "gateways: [a, b]");
    assert!(conflicts(&shared).iter().all(|finding| finding.witness.is_none()));
    // The files say themselves which is older.
    let dated = |text: String, name: &str, year: u32| {
        text.replace(
            &format!("{{name: {name}, "),
            &format!("{{creationTimestamp: '{year}-01-01T00:00:00Z', name: {name}, "),
        )
    };
    let found = conflicts(&dated(dated(text, "a", 2024), "b", 2025));
    assert!(found.iter().all(|finding| !finding.message.contains("older")), "{found:?}");
}

#[test]
fn a_redirect_counts_for_the_host() {
    let redirect = |hosts: &str| format!("80 HTTP {hosts} tls: {{httpsRedirect: true}}");
    let plain = |hosts: &str| format!("80 HTTP {hosts}");
    let cases = [
        ("A40: the same host", redirect("[a.com]"), plain("[a.com]"), true),
        ("A40: an exception that is none", redirect("['*']"), plain("[a.com]"), true),
        ("the narrower host redirects", redirect("[a.com]"), plain("['*']"), false),
        ("another host", redirect("[b.com]"), plain("[a.com]"), false),
    ];
    for (fact, one, other, conflict) in cases {
        let text = gateway("a", &[one, other]) + &rules("v", "a", "a.com");
        let found = conflicts(&text);
        assert_eq!(found.len(), usize::from(conflict), "{fact}: {found:?}");
        assert!(found.iter().all(|finding| finding.witness.is_some()), "{fact}: {found:?}");
    }
}

#[test]
fn plaintext_beside_tls_of_another_gateway_hangs_on_their_age() {
    let tls = format!("443 HTTPS [a.com] {SIMPLE}");
    let text = gateway("a", std::slice::from_ref(&tls)) + &gateway("b", &["443 HTTP [b.com]".to_owned()]);
    let found = conflicts(&text);
    assert_eq!(found.iter().map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::Warning], "A13, A17");
    let one = gateway("a", &[tls, "443 HTTP [b.com]".to_owned()]);
    assert_eq!(conflicts(&one), [], "A17: the order of one file is what it is");
}
