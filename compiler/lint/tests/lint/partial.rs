//! Rules that cross: which pairs are told, and which are the usual order of special before general.

use crate::common::all_findings;
use malha_syntax::{Claim, Finding};
use std::fmt::Write as _;

/// What R003 says of rules, each of which answers with a status of its own unless it says another.
fn said(rules: &[&str]) -> Vec<Finding> {
    let mut text = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: shop}\nspec:\n  selector: {istio: \
                    ingressgateway}\n  servers:\n  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}\n---\n\
                    apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop}\nspec:\n  hosts: \
                    [shop.example.com]\n  gateways: [shop]\n  http:\n"
        .to_owned();
    for (at, rule) in rules.iter().enumerate() {
        let (items, does) = rule.split_once(" => ").unwrap_or((rule, ""));
        let status = if does.is_empty() { (200 + at).to_string() } else { does.to_owned() };
        let items = if items.is_empty() { String::new() } else { format!("match: [{items}], ") };
        writeln!(text, "  - {{{items}directResponse: {{status: {status}}}}}").expect("a string takes everything");
    }
    let mut found = all_findings(text.as_bytes());
    found.retain(|finding| finding.rule.code == "R003");
    found
}

#[test]
fn only_rules_that_cross_are_told() {
    let header = "{headers: {x-canary: {exact: '1'}}}";
    let cases: [(&str, &[&str], bool); 15] = [
        ("a header and a path", &[header, "{uri: {prefix: /api}}"], true),
        (
            "a method in a wide path, and a narrow path",
            &["{uri: {prefix: /api}, method: {exact: GET}}", "{uri: {prefix: /api/v1}}"],
            true,
        ),
        ("two expressions", &["{uri: {regex: '/a.*x'}}", "{uri: {regex: '/.*bx'}}"], true),
        ("special before general", &["{uri: {prefix: /api/v1}}", "{uri: {prefix: /api}}"], false),
        (
            "special by a header",
            &["{uri: {prefix: /api}, headers: {x-canary: {exact: '1'}}}", "{uri: {prefix: /api}}"],
            false,
        ),
        ("before a catch-all", &[header, ""], false),
        ("general before special, which is dead", &["{uri: {prefix: /api}}", "{uri: {prefix: /api/v1}}"], false),
        ("nothing in common", &["{uri: {prefix: /a}}", "{uri: {prefix: /b}}"], false),
        ("only by a header sent twice", &[header, "{headers: {x-canary: {exact: '2'}}}"], false),
        ("the same action", &["{headers: {x-canary: {exact: '1'}}} => 200", "{uri: {prefix: /api}} => 200"], false),
        (
            "a special case of a match among others",
            &["{uri: {prefix: /api/v1}}, {uri: {exact: /other}}", "{uri: {prefix: /api}}"],
            false,
        ),
        (
            "a special case of several matches together",
            &["{uri: {regex: '/[ab]/x.*'}}", "{uri: {prefix: /a}}, {uri: {prefix: /b}}"],
            false,
        ),
        (
            "what both ask for is settled before",
            &["{uri: {prefix: /api}, headers: {x-canary: {exact: '1'}}} => 210", header, "{uri: {prefix: /api}}"],
            false,
        ),
        (
            "all that is not common is settled before",
            &["{uri: {prefix: /b/x}}", "{uri: {regex: '/[ab]/x.*'}}", "{uri: {prefix: /a}}"],
            false,
        ),
        ("too hard to say", &["{uri: {regex: '.*a.{200}'}}", "{uri: {regex: '.*b.{300}'}}"], false),
    ];
    for (what, rules, told) in cases {
        let found = said(rules);
        assert_eq!(found.len(), usize::from(told), "{what}: {found:?}");
        assert!(
            found.iter().all(|finding| finding.witness.is_some() && finding.related.len() == 1),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn the_witness_is_a_request_of_both() {
    let found = said(&["{headers: {x-canary: {exact: '1'}}}", "{uri: {prefix: /api}}"]);
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert!(matches!(&finding.claim, Some(Claim::TakenBy(rule)) if rule.index == 0), "{:?}", finding.claim);
    let witness = finding.witness.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(witness.contains("/api") && witness.contains("x-canary"), "{witness}");
    assert_eq!(finding.field.as_deref(), Some("spec.http[1].match[0]"));
}

#[test]
fn a_rule_that_crosses_many_is_told_once() {
    let paths: Vec<String> = (0..6).map(|at| format!("{{uri: {{prefix: /p{at}}}}}")).collect();
    let mut rules = vec!["{headers: {x-canary: {exact: '1'}}}"];
    rules.extend(paths.iter().map(String::as_str));
    let found = said(&rules);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("5 more rules"), "{}", found[0].message);

    rules.rotate_left(1);
    assert_eq!(said(&rules).len(), 1, "and one that many cross: {:?}", said(&rules));
}
