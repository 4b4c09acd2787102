//! Fixes of rules that no request reaches, and of matches that are not needed: applied, and looked at again.

use crate::common::{findings, lowered};
use malha_mesh::interpret;
use malha_model::read_documents;
use malha_syntax::{Finding, SourceId, read};
use malha_table::{Lines, Request};
use std::fmt::Write as _;

const HEAD: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
";

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
";

/// What requests of several sorts are answered.
fn answers(text: &str) -> Vec<Option<u32>> {
    let (_, program) = lowered(read_documents(&read(SourceId(0), text).documents).resources);
    let mut answers = Vec::new();
    for path in ["/", "/a", "/a/b", "/a/b/c", "/a/x", "/b", "/b/x1", "/c"] {
        for (method, header) in [("GET", None), ("POST", None), ("GET", Some("1")), ("POST", Some("1"))] {
            let mut request = Request {
                via: Some("gateway/default/shop".to_owned()),
                port: Some(80),
                authority: Some("shop.example.com".to_owned()),
                path: Some(path.to_owned()),
                method: Some(method.to_owned()),
                ..Request::default()
            };
            request.headers.extend(header.map(|value: &str| ("x".to_owned(), Lines::One(value.to_owned()))));
            let decision = interpret(&program, &request, 0, &|_| (String::new(), 0)).expect("the gateway listens");
            answers.push(decision.respond.map(|respond| u32::from(respond.status)));
        }
    }
    answers
}

/// The text with every fix applied, those that are not safe too, if there is any.
fn fixed(text: &str, found: &[Finding]) -> Option<String> {
    let mut edits: Vec<_> =
        found.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| &fix.edits).collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.location));
    let mut fixed = text.to_owned();
    let mut before = u32::MAX;
    for edit in &edits {
        let span = edit.location.span;
        assert!(span.end <= before, "no edit overlaps another");
        fixed.replace_range(span.start as usize..span.end as usize, &edit.text);
        before = span.start;
    }
    (!edits.is_empty()).then_some(fixed)
}

fn codes(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.rule.code).collect()
}

#[test]
fn a_fix_mends_and_touches_nothing_else() {
    // What is found, whether the fix is safe, and the rules before and after.
    let cases = [
        (
            "R001",
            false,
            "  http:
    # the first
    - match:
        - uri: {prefix: '/a'}   # all of it
      directResponse: {status: 200}
    # the second
    - match:
        - uri:
            prefix: \"/a/b\"
      # what it answers
      directResponse: {status: 404}

    # the last
    - directResponse: {status: 503}
",
            "  http:
    # the first
    - match:
        - uri: {prefix: '/a'}   # all of it
      directResponse: {status: 200}
    # the second

    # the last
    - directResponse: {status: 503}
",
        ),
        (
            "R001",
            true,
            "  http:
  - match:
    - uri: {prefix: /a}
    directResponse: {status: 200}
  - match: [{uri: {prefix: /a/b}}]
    directResponse: {status: 200}
",
            "  http:
  - match:
    - uri: {prefix: /a}
    directResponse: {status: 200}
",
        ),
        (
            "R006",
            false,
            "  http:
    - directResponse: {status: 200, body: {string: all}}
    - match:
        - uri: {prefix: /old}
      directResponse:
        status: 404
        body:
          string: |
            # no comment

            gone
  gateways: [mesh]
",
            "  http:
    - directResponse: {status: 200, body: {string: all}}
  gateways: [mesh]
",
        ),
        (
            "R002",
            true,
            "  http:
    - match:
        - uri: {prefix: /a}
        # narrower
        - uri: {prefix: /a/b} # never needed
          method: {exact: GET}
        - uri: {prefix: /c}
      directResponse: {status: 200}
",
            "  http:
    - match:
        - uri: {prefix: /a}
        # narrower
        - uri: {prefix: /c}
      directResponse: {status: 200}
",
        ),
    ];
    for (code, safe, before, after) in cases {
        let text = format!("{HEAD}{before}");
        let found = findings(text.as_bytes());
        assert_eq!(codes(&found), [code], "{before}");
        assert_eq!(found[0].fix.as_ref().map(|fix| fix.safe), Some(safe), "{before}");
        assert_eq!(fixed(&text, &found), Some(format!("{HEAD}{after}")));
        assert_eq!(codes(&findings(format!("{HEAD}{after}").as_bytes())), [""; 0], "{after}");
    }
}

#[test]
fn what_is_not_plainly_right_is_not_offered() {
    let cases = [
        (
            "a list in flow style",
            "  http: [{directResponse: {status: 200}}, {match: [{uri: {prefix: /a}}], directResponse: {status: 404}}]\n",
        ),
        (
            "a match in flow style",
            "  http:\n  - match: [{uri: {prefix: /a}}, {uri: {prefix: /a/b}}]\n    directResponse: {status: 200}\n",
        ),
        (
            "one text in several places",
            "  http:\n  - match: &all\n    - uri: {prefix: /a}\n    - uri: {prefix: /a/b}\n    directResponse: {status: 200}\n  - match: *all\n    \
             directResponse: {status: 404}\n",
        ),
        (
            "a rule for TLS, which hands its ranges on",
            "  tls:\n  - match:\n    - sniHosts: [shop.example.com]\n    route: [{destination: {host: a.com, port: {number: 443}}}]\n  - match:\n    \
             - sniHosts: [shop.example.com]\n    route: [{destination: {host: b.com, port: {number: 443}}}]\n",
        ),
    ];
    for (what, rules) in cases {
        let found = findings(format!("{HEAD}{rules}").as_bytes());
        assert!(found.iter().any(|finding| finding.rule.code.starts_with('R')), "{what}: {found:?}");
        assert!(found.iter().all(|finding| finding.fix.is_none()), "{what}: {found:?}");
    }
    let json = "{\"apiVersion\": \"networking.istio.io/v1\", \"kind\": \"VirtualService\", \"metadata\": {\"name\": \"shop\"}, \"spec\": {\"hosts\": \
                [\"a.com\"], \"http\": [\n{\"directResponse\": {\"status\": 200}},\n{\"match\": [{\"uri\": {\"prefix\": \"/a\"}}], \"directResponse\": \
                {\"status\": 404}}\n]}}\n";
    assert!(findings(json.as_bytes()).iter().all(|finding| finding.fix.is_none()));
}

/// Numbers that only look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn lists_of_all_sorts_are_mended_at_once() {
    const ITEMS: [&str; 7] = [
        "uri: {prefix: /a}",
        "uri: {prefix: '/a/b'}",
        "uri:\nI  exact: \"/a/b/c\" # whole",
        "method: {exact: GET}\nI# and\nIuri: {prefix: /a}",
        "uri: {regex: '/[ab]/x.*'}",
        "headers: {x: {exact: '1'}}",
        "uri: {prefix: /b}\nI# below",
    ];
    let (mut mended, mut answered) = (0, 0);
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut text = format!("{GATEWAY}{HEAD}  gateways: [shop]\n  http:\n");
        for rule in 0..2 + dice.below(5) {
            if dice.below(3) == 0 {
                writeln!(text, "  # rule {rule}").expect("a string takes everything");
            }
            text.push_str("  - match:\n");
            for _ in 0..=dice.below(3) {
                // A list may stand as deep as its key.
                let item = ITEMS[dice.below(ITEMS.len())].replace("\nI", "\n      ");
                writeln!(text, "    - {item}").expect("a string takes everything");
            }
            writeln!(text, "    directResponse:\n      status: {}", 200 + dice.below(2))
                .expect("a string takes everything");
            if dice.below(4) == 0 {
                text.push('\n');
            }
        }
        let found = findings(text.as_bytes());
        let Some(after) = fixed(&text, &found) else { continue };
        mended += 1;
        answered += answers(&text).iter().flatten().count();
        let left = findings(after.as_bytes());
        assert_eq!(codes(&left), [""; 0], "nothing is left, and nothing is new: {left:?}\n{text}\n{after}");
        assert_eq!(answers(&text), answers(&after), "every request is treated as before:\n{text}\n{after}");
        // Lines went, and no other byte changed.
        let mut lines = text.split_inclusive('\n');
        assert!(after.split_inclusive('\n').all(|line| lines.any(|before| before == line)), "{text}\n{after}");
        let comments = |text: &str| text.lines().filter(|line| line.starts_with("  #")).count();
        assert_eq!(comments(&text), comments(&after), "comments before rules stay:\n{text}\n{after}");
    }
    assert!(
        mended > 100 && answered > 1000,
        "only {mended} lists had something to mend, {answered} requests an answer"
    );
}
