//! Malha's own form of tests: `tests:`, each with a request or several and what is expected.

use super::{
    case::{Case, Expected},
    request,
    shape::{Reader, Shape, location},
};
use malha_syntax::{Node, NodeKind};
use serde_json::Value;

const OPERATIONS: Shape = Shape::Object(&[
    ("set", Shape::Entries(&Shape::OrNull(&Shape::Text))),
    ("add", Shape::Entries(&Shape::OrNull(&Shape::Text))),
    ("remove", Shape::List(&Shape::Text)),
]);

const HEADERS: Shape = Shape::Object(&[("request", OPERATIONS), ("response", OPERATIONS)]);

const DESTINATION: Shape = Shape::Object(&[
    ("host", Shape::Text),
    ("port", Shape::Integer),
    ("subset", Shape::OrNull(&Shape::Text)),
    ("weight", Shape::Integer),
    ("endpoints", Shape::OrNull(&Shape::Integer)),
    ("missing", Shape::Flag),
    ("headers", HEADERS),
]);

const MIRROR: Shape = Shape::Object(&[
    ("host", Shape::Text),
    ("port", Shape::Integer),
    ("subset", Shape::OrNull(&Shape::Text)),
    ("percentage", Shape::Number),
    ("missing", Shape::Flag),
]);

const RETRIES: Shape = Shape::Object(&[
    ("attempts", Shape::Integer),
    ("perTryTimeout", Shape::OrNull(&Shape::Time)),
    ("retryOn", Shape::Some(&Shape::Text)),
]);

const FAULT: Shape = Shape::Object(&[
    ("delay", Shape::OrNull(&Shape::Object(&[("duration", Shape::Time), ("percentage", Shape::Number)]))),
    (
        "abort",
        Shape::OrNull(&Shape::Object(&[
            ("status", Shape::Integer),
            ("grpcStatus", Shape::Text),
            ("percentage", Shape::Number),
        ])),
    ),
]);

/// What may be expected. The names are those of a decision, as far as there are such.
const EXPECT: &[(&str, Shape)] = &[
    (
        "outcome",
        Shape::Choice(&[
            "forward",
            "redirect",
            "https-redirect",
            "respond",
            "not-found",
            "no-cluster",
            "no-endpoints",
            "tcp-forward",
            "no-listener",
            "listener-rejected",
            "closed",
            "passthrough",
            "blackhole",
            "bad-request",
        ]),
    ),
    ("rule", Shape::OrNull(&Shape::Text)),
    ("destination", DESTINATION),
    ("destinations", Shape::List(&DESTINATION)),
    ("rewrite", Shape::OrNull(&Shape::Object(&[("path", Shape::Text), ("authority", Shape::Text)]))),
    ("redirect", Shape::OrNull(&Shape::Object(&[("status", Shape::Integer), ("location", Shape::Text)]))),
    ("status", Shape::OrNull(&Shape::Integer)),
    ("body", Shape::Text),
    ("headers", HEADERS),
    ("timeout", Shape::OrNull(&Shape::Time)),
    ("retries", Shape::OrNull(&RETRIES)),
    ("mirror", Shape::OrNull(&MIRROR)),
    ("mirrors", Shape::List(&MIRROR)),
    ("fault", Shape::OrNull(&FAULT)),
];

/// Reads the tests of a document.
pub(super) fn read(root: Node<'_>, reader: &mut Reader, cases: &mut Vec<Case>) {
    reader.only(root, &["tests"], "a test file");
    let Some(tests) = root.get("tests") else {
        let help = "its tests are a list: `tests: [{name: ..., request: ..., expect: ...}]`".to_owned();
        return reader.report(root, "this test file has no `tests`", Some(help));
    };
    if tests.kind() != NodeKind::Sequence {
        return reader.report(tests, "`tests` must be a list", None);
    }
    for test in tests.items() {
        read_test(test, reader, cases);
    }
}

fn read_test(test: Node<'_>, reader: &mut Reader, cases: &mut Vec<Case>) {
    if !reader.expect_mapping(test, "a test") {
        return;
    }
    reader.only(test, &["name", "request", "requests", "expect"], "a test");
    let mut lacks = |key: &str, help: &str| {
        reader.report(test, format!("this test has no `{key}`"), Some(help.to_owned()));
    };
    if test.get("name").is_none() {
        lacks("name", "say in a few words what it shows");
    }
    if test.get("expect").is_none() {
        lacks("expect", "write `expect: {outcome: forward}`, say");
    }
    let name = test.get("name").and_then(|name| reader.value(name, &Shape::Text, "name"));
    let expected = test.get("expect").and_then(|expect| {
        let read = reader.object(expect, EXPECT, "expect");
        if read.as_ref().is_some_and(serde_json::Map::is_empty) {
            reader.report(expect, "this test expects nothing", Some("an `outcome`, say".to_owned()));
        }
        read
    });
    let mut requests = Vec::new();
    match (test.get("request"), test.get("requests")) {
        (Some(_), Some(both)) => return reader.report(both, "this test has both `request` and `requests`", None),
        (Some(list), None) | (None, Some(list)) if list.kind() == NodeKind::Sequence => requests.extend(list.items()),
        (Some(one), None) | (None, Some(one)) => requests.push(one),
        (None, None) => {}
    }
    if requests.is_empty() {
        let help = "write `request: GET http://shop.example.com/`, or a list of requests".to_owned();
        reader.report(test, "this test asks nothing", Some(help));
    }
    for node in requests {
        let request = request::request(node, reader);
        if let (Some((request, entry)), Some(Value::String(name)), Some(expected)) = (request, &name, &expected) {
            let expected = Expected::Decision(expected.clone());
            cases.push(Case { name: name.clone(), location: location(node), request, entry, expected });
        }
    }
}
