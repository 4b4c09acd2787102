//! Family T: which retries, timeouts and faults are told, and which are not.

use crate::common::all_findings;

/// What is said by rules of the family of one rule with these fields, after `match` if it has one.
fn told(fields: &str) -> Vec<String> {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\nspec:\n  selector: {{istio: ingressgateway}}\n  \
         servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]\n---\napiVersion: networking.istio.io/v1\nkind: \
         VirtualService\nmetadata: {{name: shop}}\nspec:\n  hosts: [shop.example.com]\n  gateways: [edge]\n  http:\n  - {{{fields}}}\n"
    );
    let found = all_findings(text.as_bytes());
    let of_family = found.iter().filter(|finding| finding.rule.code.starts_with('T'));
    of_family.map(|finding| format!("{} {}", finding.rule.code, finding.field.as_deref().unwrap_or_default())).collect()
}

const ROUTE: &str = "route: [{destination: {host: shop.example.com}}]";

fn says(fields: &str, code: &str) -> bool {
    told(&format!("{fields}, {ROUTE}")).iter().any(|told| told.starts_with(code))
}

#[test]
fn only_tries_that_hang_use_up_a_timeout() {
    for (fields, expected) in [
        ("timeout: 5s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}", true),
        ("timeout: 8s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}", false),
        ("timeout: 5s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: 'reset,503'}", true),
        // These conditions do not count a try that hangs as failed.
        ("timeout: 5s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: 'connect-failure,503'}", false),
        ("timeout: 5s, retries: {attempts: 3, perTryTimeout: 2s}", false),
        // Such a limit is ignored, whatever the conditions are.
        ("timeout: 5s, retries: {attempts: 1, perTryTimeout: 5s}", true),
        ("timeout: 5s, retries: {attempts: 3, retryOn: 5xx}", false),
        ("timeout: 5s, retries: {attempts: 0}", false),
        ("retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}", false),
    ] {
        assert_eq!(says(fields, "T001"), expected, "{fields}");
    }
    assert!(says("retries: {attempts: 3, perTryTimeout: 2s}", "T002"));
    assert!(!says("timeout: 5s, retries: {attempts: 1, perTryTimeout: 2s}", "T002"));
}

#[test]
fn what_was_carried_out_is_repeated_only_where_such_requests_come() {
    for (fields, expected) in [
        ("retries: {attempts: 2, retryOn: 5xx}", true),
        ("match: [{method: {exact: PATCH}}], retries: {attempts: 2, retryOn: gateway-error}", true),
        ("retries: {attempts: 2, retryOn: '503'}", true),
        ("match: [{method: {exact: GET}}], retries: {attempts: 2, retryOn: 5xx}", false),
        ("retries: {attempts: 2, retryOn: connect-failure}", false),
        ("retries: {attempts: 2}", false),
        ("timeout: 1s", false),
    ] {
        assert_eq!(says(fields, "T003"), expected, "{fields}");
    }
}

#[test]
fn defaults_are_told_where_they_hold() {
    assert!(says("timeout: 1s", "T004"));
    assert!(!says("retries: {attempts: 0}", "T004"));
    assert_eq!(told("redirect: {uri: /new}"), [""; 0]);
    assert_eq!(told("directResponse: {status: 200}"), [""; 0]);
}

#[test]
fn faults_are_told_by_what_they_do() {
    let chaos = "match: [{headers: {x-chaos: {exact: '1'}}}]";
    let abort = "abort: {httpStatus: 503, percentage: {value: 50}}";
    let delay = "delay: {fixedDelay: 5s, percentage: {value: 50}}";
    for (fields, t006, t007) in [
        (format!("{chaos}, fault: {{{abort}}}, retries: {{attempts: 2}}"), true, false),
        (format!("{chaos}, fault: {{{delay}}}, timeout: 3s"), true, false),
        (format!("{chaos}, fault: {{{abort}}}, timeout: 3s"), false, false),
        (format!("{chaos}, fault: {{{abort}}}, retries: {{attempts: 0}}"), false, false),
        // Without a share it never happens.
        (format!("{chaos}, fault: {{abort: {{httpStatus: 503}}}}, retries: {{attempts: 2}}"), false, false),
        (format!("fault: {{{abort}}}"), false, true),
        (format!("fault: {{{delay}}}"), false, true),
        ("fault: {abort: {httpStatus: 503}}".to_owned(), false, false),
        (format!("match: [{{uri: {{prefix: /}}}}], fault: {{{abort}}}"), false, true),
        (format!("match: [{{method: {{exact: GET}}}}], fault: {{{abort}}}"), false, true),
        (
            format!("match: [{{headers: {{x: {{exact: '1'}}}}}}, {{uri: {{prefix: /}}}}], fault: {{{abort}}}"),
            false,
            true,
        ),
        // To close a path by an abort is an old way.
        (format!("match: [{{uri: {{prefix: /admin/}}}}], fault: {{{abort}}}"), false, false),
        (format!("match: [{{sourceLabels: {{app: test}}}}], fault: {{{abort}}}"), false, false),
    ] {
        assert_eq!((says(&fields, "T006"), says(&fields, "T007")), (t006, t007), "{fields}");
    }
}

#[test]
fn a_rule_of_a_delegate_is_told_in_the_delegate() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: root}\nspec:\n  hosts: [shop.example.com]\n  http:\n  \
                - match: [{uri: {prefix: /a}}]\n    timeout: 3s\n    delegate: {name: leaf}\n---\napiVersion: networking.istio.io/v1\nkind: \
                VirtualService\nmetadata: {name: leaf}\nspec:\n  http:\n  - retries: {attempts: 2, perTryTimeout: 2s, retryOn: 5xx}\n    \
                route: [{destination: {host: shop.example.com}}]\n";
    let found = all_findings(text.as_bytes());
    let told = found.iter().find(|finding| finding.rule.code == "T001").expect("the root's timeout holds for it");
    let resource = told.resource.as_ref().map(|resource| resource.name.as_str());
    assert_eq!((resource, told.field.as_deref()), (Some("leaf"), Some("spec.http[0].timeout")));
    assert!(text[told.location.span.start as usize..].starts_with("retries"), "all of the delegate's rule");
}
