//! The test files of istio-config-validator: `testCases:`, each a product of hosts, methods and paths, with the parts
//! of the rule that is to take them.

use super::{
    case::{Case, Entry, Expected},
    request::tidy,
    shape::{Reader, Shape, location},
    written::Written,
};
use crate::workspace::VALIDATOR_KEYS;
use malha_syntax::{Node, NodeKind};
use malha_table::{Lines, Request, Tls};
use serde_json::{Map, Value};

/// Lists multiply; nobody means more.
const MOST_COMBINATIONS: usize = 100_000;

const TEXTS: Shape = Shape::Some(&Shape::Text);

const REQUEST: &[(&str, Shape)] = &[
    ("authority", TEXTS),
    ("method", TEXTS),
    ("uri", TEXTS),
    ("scheme", TEXTS),
    ("headers", Shape::Entries(&Shape::Text)),
    ("queryParams", Shape::Entries(&Shape::OrNull(&Shape::Text))),
];

const OPERATIONS: Shape = Shape::Object(&[
    ("set", Shape::Entries(&Shape::Text)),
    ("add", Shape::Entries(&Shape::Text)),
    ("remove", Shape::List(&Shape::Text)),
]);

const HEADERS: Shape = Shape::Object(&[("request", OPERATIONS), ("response", OPERATIONS)]);

const PERCENTAGE: Shape = Shape::Object(&[("value", Shape::Number)]);

const ROUTE: Shape = Shape::List(&Shape::Object(&[
    (
        "destination",
        Shape::Object(&[
            ("host", Shape::Text),
            ("port", Shape::Object(&[("number", Shape::Integer)])),
            ("subset", Shape::Text),
        ]),
    ),
    ("weight", Shape::Integer),
    ("headers", HEADERS),
]));

const REDIRECT: Shape = Shape::Object(&[
    ("uri", Shape::Text),
    ("authority", Shape::Text),
    ("prefixRewrite", Shape::Text),
    ("port", Shape::Integer),
    ("derivePort", Shape::Text),
    ("scheme", Shape::Text),
    ("redirectCode", Shape::Integer),
]);

const REWRITE: Shape = Shape::Object(&[
    ("uri", Shape::Text),
    ("authority", Shape::Text),
    ("uriRegexRewrite", Shape::Object(&[("match", Shape::Text), ("rewrite", Shape::Text)])),
]);

const FAULT: Shape = Shape::Object(&[
    ("delay", Shape::Object(&[("fixedDelay", Shape::Time), ("percent", Shape::Integer), ("percentage", PERCENTAGE)])),
    (
        "abort",
        Shape::Object(&[
            ("httpStatus", Shape::Integer),
            ("grpcStatus", Shape::Text),
            ("http2Error", Shape::Text),
            ("percentage", PERCENTAGE),
        ]),
    ),
]);

/// The parts of a rule that a test may describe, each as the VirtualService writes it.
const PARTS: &[(&str, Shape)] = &[
    ("route", ROUTE),
    ("redirect", REDIRECT),
    ("rewrite", REWRITE),
    ("headers", HEADERS),
    ("fault", FAULT),
    ("delegate", Shape::Object(&[("name", Shape::Text), ("namespace", Shape::Text)])),
];

/// Whether a document has this form.
pub(super) fn is_one(root: Node<'_>) -> bool {
    VALIDATOR_KEYS.iter().any(|key| root.get(key).is_some())
}

/// Reads the tests of a document.
pub(super) fn read(root: Node<'_>, reader: &mut Reader, cases: &mut Vec<Case>) {
    reader.only(root, &VALIDATOR_KEYS, "a test file");
    for tests in VALIDATOR_KEYS.iter().filter_map(|key| root.get(key)) {
        if tests.kind() != NodeKind::Sequence {
            reader.report(tests, "`testCases` must be a list", None);
        }
        for test in tests.items() {
            read_test(test, reader, cases);
        }
    }
}

fn read_test(test: Node<'_>, reader: &mut Reader, cases: &mut Vec<Case>) {
    const OWN: [(&str, Shape); 3] =
        [("description", Shape::Text), ("wantMatch", Shape::Flag), ("request", Shape::Object(REQUEST))];
    let fields: Vec<_> = OWN.iter().chain(PARTS).copied().collect();
    let Some(mut read) = reader.object(test, &fields, "a test case") else { return };
    let name = match read.shift_remove("description") {
        Some(Value::String(name)) => name,
        _ => "a test case".to_owned(),
    };
    let want_match = read.shift_remove("wantMatch") == Some(Value::Bool(true));
    let Some(Value::Object(request)) = read.shift_remove("request") else {
        return reader.report(test, "this test case has no `request`", None);
    };
    for key in ["authority", "method", "uri"] {
        if texts(&request, key).is_empty() {
            reader.report(test, format!("the request of this test case has no `{key}`"), None);
        }
    }
    let written = Written { want_match, parts: read };
    let combinations: usize = ["authority", "method", "uri", "scheme"]
        .iter()
        .map(|key| texts(&request, key).len().max(1))
        .fold(1, usize::saturating_mul);
    if combinations > MOST_COMBINATIONS {
        let message = format!("this test case has {combinations} combinations, more than {MOST_COMBINATIONS}");
        return reader.report(test, message, Some("split it".to_owned()));
    }
    let requests = requests(&request);
    cases.extend(requests.into_iter().map(|request| Case {
        name: name.clone(),
        location: location(test),
        request,
        entry: Entry::Found,
        expected: Expected::Written(written.clone()),
    }));
}

/// Every combination, in the order in which that tool has them.
fn requests(request: &Map<String, Value>) -> Vec<Request> {
    let headers = request.get("headers").and_then(Value::as_object);
    let headers: Vec<(String, Lines)> = headers
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), Lines::One(value.as_str()?.to_owned()))))
        .collect();
    let query = request.get("queryParams").and_then(Value::as_object);
    let query: Vec<String> = query
        .into_iter()
        .flatten()
        .map(|(name, value)| value.as_str().map_or_else(|| name.clone(), |value| format!("{name}={value}")))
        .collect();
    let schemes = match texts(request, "scheme") {
        none if none.is_empty() => vec![None],
        some => some.into_iter().map(Some).collect(),
    };
    let mut requests = Vec::new();
    for uri in texts(request, "uri") {
        for authority in texts(request, "authority") {
            for method in texts(request, "method") {
                for scheme in &schemes {
                    requests.push(tidy(Request {
                        method: Some(method.to_owned()),
                        authority: Some(authority.to_owned()),
                        path: Some(with_query(uri, &query)),
                        scheme: scheme.map(str::to_owned),
                        tls: (*scheme == Some("https"))
                            .then(|| Tls { sni: Some(authority.to_owned()), alpn: Vec::new() }),
                        headers: headers.iter().cloned().collect(),
                        ..Request::default()
                    }));
                }
            }
        }
    }
    requests
}

fn with_query(uri: &str, query: &[String]) -> String {
    if query.is_empty() {
        return uri.to_owned();
    }
    let join = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{join}{}", query.join("&"))
}

fn texts<'r>(request: &'r Map<String, Value>, key: &str) -> Vec<&'r str> {
    request.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::{Document, SourceId, read as read_text};

    fn reading(text: &str) -> (Vec<Case>, Vec<String>) {
        let documents = read_text(SourceId(0), text).documents;
        let root = documents.first().and_then(Document::root).expect("a document");
        let (mut reader, mut cases) = (Reader::default(), Vec::new());
        assert!(is_one(root));
        read(root, &mut reader, &mut cases);
        (cases, reader.problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn every_combination_is_a_case() {
        let (cases, problems) = reading(
            "testCases:
- description: users
  wantMatch: true
  request:
    authority: [a.example, b.example]
    method: [GET, POST]
    uri: [/users, '/users?x=1']
    headers: {X-User: abc}
    queryParams: {page: 2, all: }
  route:
  - destination: {host: users, port: {number: 80}}
",
        );
        assert_eq!(problems, Vec::<String>::new());
        let told: Vec<_> = cases.iter().map(|case| super::super::request::describe(&case.request)).collect();
        assert_eq!(told.len(), 8);
        assert_eq!(told[1], "POST http://a.example/users?page=2&all, x-user: abc");
        assert_eq!(told[7], "POST http://b.example/users?x=1&page=2&all, x-user: abc");
    }

    #[test]
    fn mistakes_are_told() {
        let (cases, problems) = reading("testCases:\n- request: {uri: [/]}\n- isMatch: true\n- {}\n");
        assert_eq!(cases.len(), 0);
        assert_eq!(
            problems,
            [
                "the request of this test case has no `authority`",
                "the request of this test case has no `method`",
                "`isMatch` is not a key of a test case",
                "this test case has no `request`",
            ]
        );
    }
}
