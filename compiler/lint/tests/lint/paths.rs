//! Family P: which prefixes, rewrites and expressions are told, and which are not.

use crate::common::all_findings;
use malha_lint::{Options, check_with};
use malha_mesh::{Mesh, MeshConfig, program::Program};
use malha_model::read_documents;
use malha_syntax::{Finding, Sources, read};
use std::sync::Arc;

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
";

/// A VirtualService of these rules.
fn rules(http: &str) -> String {
    format!(
        "{GATEWAY}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: shop}}\nspec:\n  hosts: [shop.example.com]\n  \
         gateways: [edge]\n  http:\n{http}"
    )
}

fn told(code: &str, text: &str) -> Vec<Finding> {
    let mut found = all_findings(text.as_bytes());
    found.retain(|finding| finding.rule.code == code);
    found
}

const OK: &str = "directResponse: {status: 200}";
const GONE: &str = "directResponse: {status: 404}";

#[test]
fn a_prefix_is_told_where_it_takes_a_path_of_another_rule() {
    // The matches of two rules that do different things, and the path that is taken.
    for (first, second, expected) in [
        ("{uri: {exact: /cartoons}}", "{uri: {prefix: /cart}}", Some("/cartoons/")),
        ("{uri: {prefix: /cartoons/}}", "{uri: {prefix: /cart}}", Some("/cartoons")),
        // All that lies at or below is the other rule's already.
        ("{uri: {prefix: /cartoons}}", "{uri: {prefix: /cart}}", None),
        ("{uri: {prefix: /cartoons/}}", "{uri: {prefix: /cart/}}", None),
        ("{uri: {exact: /cartoons}}", "{uri: {exact: /cart}}", None),
        // What lies below the prefix itself is meant.
        ("{uri: {exact: /cart/old}}", "{uri: {prefix: /cart}}", None),
        ("{uri: {exact: /other}}", "{uri: {prefix: /cart}}", None),
        // A condition stands before, so that some of its paths are taken by the earlier rule.
        ("{uri: {prefix: /cart}, headers: {x: {exact: '1'}}}", "{uri: {prefix: /cartoons}}", Some("/cartoons/")),
        // No request comes to the other rule: that is told elsewhere.
        ("{uri: {prefix: /cart}}", "{uri: {prefix: /cartoons}}", None),
    ] {
        let text = rules(&format!("  - match: [{first}]\n    {OK}\n  - match: [{second}]\n    {GONE}\n"));
        let found = told("P001", &text);
        let path = found.first().and_then(|finding| finding.witness.as_ref()).map(|witness| witness["path"].clone());
        assert_eq!(path, expected.map(Into::into), "{first} {second}: {found:?}");
    }
    // Where both do the same, it does not matter.
    let same = rules(&format!(
        "  - match: [{{uri: {{exact: /cartoons}}}}]\n    {OK}\n  - match: [{{uri: {{prefix: /cart}}}}]\n    {OK}\n"
    ));
    assert_eq!(told("P001", &same), []);
}

#[test]
fn rewrites_are_told_by_what_becomes_of_a_path() {
    let route = "route: [{destination: {host: shop.example.com}}]";
    for (matches, rewrite, expected) in [
        ("[{uri: {prefix: /shop}}]", "/", vec![("P002", "`/shop/a` becomes `//a`")]),
        ("[{uri: {prefix: /shop/}}]", "/v2", vec![("P002", "`/shop/a` becomes `/v2a`")]),
        ("[{method: {exact: GET}}]", "/v1", vec![("P002", "`/a` becomes `/v1a`")]),
        ("[{uri: {prefix: /shop/}}]", "/", vec![]),
        ("[{uri: {prefix: /shop}}]", "/v2", vec![]),
        ("[{uri: {exact: /shop}}, {uri: {prefix: /shop/}}]", "/", vec![]),
        ("[{uri: {regex: '/shop/.*'}}]", "/v2", vec![]),
        ("[{uri: {exact: /shop/}}]", "/v2", vec![]),
        ("[{uri: {prefix: /}}]", "/", vec![]),
        (
            "[{uri: {prefix: /a/}}, {uri: {prefix: /b}}]",
            "/v2",
            vec![("P003", "`/a/a` becomes `/v2a`, and `/b/a` `/v2/a`")],
        ),
        ("[{uri: {prefix: /b}}, {uri: {prefix: /a/}}]", "/", vec![("P003", "`/b/a` becomes `//a`, and `/a/a` `/a`")]),
        ("[{uri: {prefix: /a/}}, {uri: {prefix: /b/c/}}]", "/", vec![]),
    ] {
        let text = rules(&format!("  - match: {matches}\n    rewrite: {{uri: {rewrite}}}\n    {route}\n"));
        let found: Vec<Finding> = ["P002", "P003"].iter().flat_map(|code| told(code, &text)).collect();
        let said: Vec<&str> = found.iter().map(|finding| finding.rule.code).collect();
        assert_eq!(said, expected.iter().map(|(code, _)| *code).collect::<Vec<_>>(), "{matches} {rewrite}");
        for (finding, (_, words)) in found.iter().zip(expected) {
            assert!(finding.message.contains(words), "{}", finding.message);
            assert!(finding.witness.is_some(), "a request shows it: {matches} {rewrite}");
        }
    }
    let redirect = rules("  - match: [{uri: {prefix: /old}}]\n    redirect: {prefixRewrite: /}\n");
    assert_eq!(told("P002", &redirect).len(), 1);
}

#[test]
fn nobody_need_listen_for_a_rewrite_to_be_wrong() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop}\nspec:\n  hosts: [shop.example.com]\n  \
                gateways: [elsewhere/edge]\n  http:\n  - match: [{uri: {prefix: /shop}}]\n    rewrite: {uri: /}\n    \
                route: [{destination: {host: shop.example.com}}]\n";
    let found = told("P002", text);
    assert_eq!((found.len(), found.first().and_then(|finding| finding.witness.as_ref())), (1, None));
}

/// An expression, what is said of it, and the text after its fix with whether that is safe.
type Case<'a> = (&'a str, &'a str, Option<(bool, &'a str)>);

#[test]
fn expressions_are_compared_by_what_they_take() {
    let cases: [Case<'_>; 19] = [
        ("P004", "uri: {regex: '^/items/[0-9]+$'}", Some((true, "uri: {regex: '/items/[0-9]+'}"))),
        ("P004", "uri: {regex: \"/items/[0-9]+$\"}", Some((true, "uri: {regex: \"/items/[0-9]+\"}"))),
        ("P004", "uri: {regex: '/items/\\$'}", None),
        ("P004", "uri: {regex: '/a|/b'}", None),
        ("P007", "uri: {regex: /items/.*}", Some((true, "uri: {prefix: /items/}"))),
        ("P007", "uri: {regex: /items}", Some((true, "uri: {exact: /items}"))),
        ("P007", "uri: {regex: '/items\\.html'}", Some((true, "uri: {exact: '/items.html'}"))),
        ("P007", "uri: {regex: '.*'}", Some((true, "uri: {prefix: '/'}"))),
        // More than a prefix, and less.
        ("P007", "uri: {regex: /items/.+}", None),
        ("P007", "uri: {regex: '(?i)/items'}", None),
        ("P007", "{uri: {regex: /items}, ignoreUriCase: true}", None),
        // Of bytes that are no UTF-8 an expression takes less than a prefix.
        ("P007", "headers: {x-user: {regex: 'a-.*'}}", Some((false, "headers: {x-user: {prefix: 'a-'}}"))),
        ("P007", "method: {regex: GET}", Some((true, "method: {exact: GET}"))),
        ("P008", "authority: {regex: www.example.com}", Some((false, "authority: {regex: 'www\\.example\\.com'}"))),
        (
            "P008",
            "authority: {regex: \"www.example.com\"}",
            Some((false, "authority: {regex: \"www\\\\.example\\\\.com\"}")),
        ),
        ("P008", "uri: {regex: '/[a.b]/x.*\\.png'}", None),
        (
            "P005",
            "headers: {user-agent: {regex: '/firefox/i'}}",
            Some((false, "headers: {user-agent: {regex: '(?i).*firefox.*'}}")),
        ),
        ("P005", "uri: {regex: '/firefox/i'}", None),
        ("P005", "headers: {x-path: {regex: '/firefox/id'}}", None),
    ];
    for (code, item, expected) in cases {
        let item = if item.starts_with('{') { item.to_owned() } else { format!("{{{item}}}") };
        let text = rules(&format!("  - match:\n    - {item}\n    {OK}\n"));
        let found = with_fixes(code, &text);
        let after = expected
            .map(|(safe, after)| (safe, text.replace(item.trim_matches(['{', '}']), after.trim_matches(['{', '}']))));
        assert_eq!(found, after.into_iter().collect::<Vec<_>>(), "{code} {item}");
    }
}

#[test]
fn a_prefix_is_not_offered_where_a_rewrite_would_replace_less() {
    let route = "route: [{destination: {host: shop.example.com}}]";
    let rewritten = |expression: &str| {
        rules(&format!("  - match: [{{uri: {{regex: {expression}}}}}]\n    rewrite: {{uri: /v2/}}\n    {route}\n"))
    };
    assert_eq!(told("P007", &rewritten("/items/.*")), []);
    assert_eq!(told("P007", &rewritten("/items")).len(), 1);
}

/// What the fixes of a rule's findings make of the text, each for itself, and whether they are safe.
fn with_fixes(code: &str, text: &str) -> Vec<(bool, String)> {
    let mut sources = Sources::default();
    let (source, _) = sources.decode("example.yaml", text.as_bytes());
    let resources = read_documents(&read(source, text).documents).resources;
    let mesh = Mesh::link(resources.into_iter().map(Arc::new).collect(), MeshConfig::default());
    let options = Options { sources: Some(&sources), ..Options::default() };
    let found = check_with(&mesh, &Program::default(), &options);
    let fixes = found.iter().filter(|finding| finding.rule.code == code).filter_map(|finding| finding.fix.as_ref());
    let applied = fixes.map(|fix| {
        let mut edits: Vec<_> = fix.edits.iter().collect();
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.location));
        let mut text = text.to_owned();
        for edit in edits {
            let span = edit.location.span;
            text.replace_range(span.start as usize..span.end as usize, &edit.text);
        }
        (fix.safe, text)
    });
    applied.collect()
}

#[test]
fn what_asks_for_a_query_is_told_once() {
    for (uri, is_told) in [
        ("{exact: '/a?b=1'}", true),
        ("{prefix: '/a?'}", true),
        ("{regex: '/a\\?b=.*'}", true),
        ("{regex: '/a(\\?.*)?'}", false),
        ("{regex: '/a/?'}", false),
        // Empty for another reason.
        ("{exact: 'a'}", false),
    ] {
        let text = rules(&format!("  - match: [{{uri: {uri}}}]\n    {OK}\n"));
        assert_eq!(told("P006", &text).len(), usize::from(is_told), "{uri}");
        assert_eq!(told("R004", &text).len(), usize::from(uri.contains("'a'")), "{uri}");
    }
}
