//! Which rule a witness is held to, and where a finding points.

use crate::common::findings;
use malha_syntax::{Claim, Finding, RuleName};

const EDGE: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n  \
                    selector: {istio: ingressgateway}\n  servers:\n    \
                    - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}\n";

fn service(name: &str, hosts: &str, http: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  \
         hosts: {hosts}\n  gateways: [edge]\n  http:\n{http}"
    )
}

fn of(code: &str, text: &str) -> Vec<Finding> {
    let mut found = findings(text.as_bytes());
    found.retain(|finding| finding.rule.code == code);
    found
}

fn taker(finding: &Finding) -> Option<&RuleName> {
    match finding.claim.as_ref()? {
        Claim::TakenBy(rule) => Some(rule),
        Claim::NoRule { .. } => None,
    }
}

const DEAD: &str = "    - match: [{uri: {prefix: /a}}]\n      directResponse: {status: 200}\n    \
                    - match: [{uri: {prefix: /ab}}]\n      directResponse: {status: 404}\n";

#[test]
fn a_witness_is_taken_by_the_rule_in_the_way_and_no_other() {
    // The object `first` comes before and takes the same requests: on the shared host nothing shows what `shop` does.
    let taking = "    - match: [{uri: {prefix: /a}}]\n      directResponse: {status: 201}\n";
    let shared = format!(
        "{EDGE}{}{}",
        service("first", "[shop.example.com]", taking),
        service("shop", "[shop.example.com]", DEAD)
    );
    let told = of("R001", &shared);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].witness, None);

    // Another host of its own shows it.
    let own = format!(
        "{EDGE}{}{}",
        service("first", "[shop.example.com]", taking),
        service("shop", "[shop.example.com, other.example.com]", DEAD)
    );
    let told = of("R001", &own);
    assert_eq!(told[0].witness.as_ref().map(|witness| &witness["authority"]), Some(&"other.example.com".into()));
    assert_eq!(taker(&told[0]).map(|rule| (rule.name.as_str(), rule.index)), Some(("shop", 0)));
}

#[test]
fn of_two_matches_of_a_rule_the_witness_names_the_one_that_takes_it() {
    let http = "    - match: [{uri: {prefix: /a}}, {uri: {prefix: /ab}}]\n      directResponse: {status: 200}\n";
    let told = of("R002", &format!("{EDGE}{}", service("shop", "[shop.example.com]", http)));
    assert_eq!(told.len(), 1);
    assert_eq!(taker(&told[0]).map(|rule| (rule.index, rule.match_index)), Some((0, Some(0))));
}

#[test]
fn unmatched_requests_are_those_that_are_answered_404() {
    let some = "    - match: [{uri: {prefix: /a}}]\n      directResponse: {status: 200}\n";
    let all = "    - directResponse: {status: 201}\n";
    let alone = format!("{EDGE}{}", service("shop", "[shop.example.com]", some));
    let beside = format!("{alone}{}", service("rest", "[shop.example.com]", all));
    let count = |text: &str| {
        let told = crate::common::all_findings(text.as_bytes());
        told.iter().filter(|finding| finding.rule.code == "R005").count()
    };
    assert_eq!((count(&alone), count(&beside)), (1, 0));
}

#[test]
fn a_regex_that_takes_every_text_leaves_odd_bytes_alone() {
    let http = "    - match: [{withoutHeaders: {x: {regex: '.*'}}}]\n      directResponse: {status: 200}\n";
    let told = of("R007", &format!("{EDGE}{}", service("shop", "[shop.example.com]", http)));
    assert_eq!(told.len(), 1);
    assert!(told[0].message.contains("not UTF-8"), "{}", told[0].message);
}

#[test]
fn a_dead_match_of_a_root_is_told_at_the_root() {
    let http = "    - match: [{uri: {prefix: /a}}, {uri: {prefix: /ab}}]\n      delegate: {name: below}\n";
    let below = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: below}\nspec:\n  \
                 http:\n    - directResponse: {status: 200}\n";
    let told = of("R002", &format!("{EDGE}{}{below}", service("shop", "[shop.example.com]", http)));
    let fields: Vec<_> = told.iter().map(|finding| finding.field.as_deref().unwrap_or_default()).collect();
    assert_eq!(fields, ["spec.http[0].match[1]"]);
    assert_eq!(told[0].resource.as_ref().map(|resource| resource.name.as_str()), Some("shop"));
}

#[test]
fn what_a_wildcard_would_not_take_either_is_not_hidden() {
    // Of the wildcard's rules the first takes all; the second never takes anything.
    let wide = "    - directResponse: {status: 200}\n";
    let narrow = "    - match: [{uri: {prefix: /a}}]\n      directResponse: {status: 201}\n";
    let text = format!(
        "{EDGE}{}{}",
        service("wide", "['*.example.com']", wide),
        service("narrow", "[shop.example.com]", narrow)
    );
    let told = of("H004", &text);
    assert_eq!(told.len(), 1);
    assert!(matches!(&told[0].claim, Some(Claim::NoRule { outcome, .. }) if outcome == "not-found"));
}
