//! What a reading holds besides values: documents, spans, paths, suppressions, templates.

use malha_syntax::{Document, NodeKind, Reading, SourceId, Span, read};

fn read_text(text: &str) -> Reading {
    let reading = read(SourceId(7), text);
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    reading
}

fn slice(text: &str, span: Span) -> &str {
    &text[span.start as usize..span.end as usize]
}

#[test]
fn streams_are_split_as_kubernetes_splits_them() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("---\n---\n# nothing\n---\n", &[]),
        ("a: 1", &["a: 1"]),
        ("---\na: 1\n---\nb: 2\n", &["a: 1\n", "b: 2\n"]),
        ("--- # first\na: 1\n---   \nb: 2\n---", &["a: 1\n", "b: 2\n"]),
        ("a: 1\r\n---\r\nb: 2\r\n", &["a: 1\r\n", "b: 2\r\n"]),
        // Even inside a block scalar.
        ("a: |\n  x\n---\nb: 2\n", &["a: |\n  x\n", "b: 2\n"]),
        ("--- {a: 1}\n--- [b]\n", &["--- {a: 1}\n", "--- [b]\n"]),
        ("a: 1\n...\n---\nb: 2\n", &["a: 1\n...\n", "b: 2\n"]),
        ("---a: 1\n", &["---a: 1\n"]),
        // JSON objects one after another.
        ("{\"a\": 1}\n{\"b\": 2}{\"c\": 3}", &["{\"a\": 1}", "\n{\"b\": 2}", "{\"c\": 3}"]),
    ];
    for (text, expected) in cases {
        let reading = read_text(text);
        let documents: Vec<&str> = reading.documents.iter().map(|document| slice(text, document.span)).collect();
        assert_eq!(documents, *expected, "{text:?}");
        assert!(reading.documents.iter().all(|document| document.source == SourceId(7)));
        assert!(reading.documents.iter().all(|document| document.text() == slice(text, document.span)));
    }
}

/// The text of every node, as its span has it, in the order of the text.
fn node_texts<'t>(text: &'t str, document: &'t Document) -> Vec<&'t str> {
    document.outline().into_iter().map(|(span, ..)| slice(text, span)).collect()
}

#[test]
fn every_node_has_its_exact_span() {
    let cases: &[(&str, &[&str])] = &[
        ("# c\na: b # d\n", &["a: b", "a", "b"]),
        (
            "a:\n- b\n-\n- c: 'd'\n  e:\nf: {g: [h], i: }\n",
            &[
                "a:\n- b\n-\n- c: 'd'\n  e:\nf: {g: [h], i: }",
                "a",
                "- b\n-\n- c: 'd'\n  e:",
                "b",
                "",
                "c: 'd'\n  e:",
                "c",
                "'d'",
                "e",
                "",
                "f",
                "{g: [h], i: }",
                "g",
                "[h]",
                "h",
                "i",
                "",
            ],
        ),
        (
            "- - a\n  - b\n- |\n  c\n  d\n\n- e\n  f\n",
            &["- - a\n  - b\n- |\n  c\n  d\n\n- e\n  f", "- a\n  - b", "a", "b", "|\n  c\n  d", "e\n  f"],
        ),
        (" ? a\n : b\n ? c\n", &["? a\n : b\n ? c", "a", "b", "c", ""]),
        ("a:  \"b\\n\" \nc: >-\n\n  d\n", &["a:  \"b\\n\" \nc: >-\n\n  d", "a", "\"b\\n\"", "c", ">-\n\n  d"]),
        // An alias leads to what it stands for.
        (
            "a: &x {b: 1}\nc: *x\nd: &y e\nf: *y\n",
            &[
                "a: &x {b: 1}\nc: *x\nd: &y e\nf: *y",
                "a",
                "{b: 1}",
                "b",
                "1",
                "c",
                "{b: 1}",
                "b",
                "1",
                "d",
                "e",
                "f",
                "e",
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(node_texts(text, &read_text(text).documents[0]), *expected, "{text:?}");
        // The same after another document, and with the line ends of Windows.
        let text = format!("é: 1\r\n---\r\n{}", text.replace('\n', "\r\n"));
        let expected: Vec<String> = expected.iter().map(|text| text.replace('\n', "\r\n")).collect();
        assert_eq!(node_texts(&text, &read_text(&text).documents[1]), expected, "{text:?}");
    }
}

#[test]
fn paths_lead_to_fields() {
    let text =
        "x: 1\n---\nspec:\n  http:\n  - name: a\n  - match:\n    - uri: {prefix: /b}\n    labels: {\"a.b/c\": d}\n";
    let reading = read_text(text);
    let document = &reading.documents[1];
    let cases = [
        ("spec.http[0].name", Some(("name", "a"))),
        ("spec.http[1].match[0].uri.prefix", Some(("prefix", "/b"))),
        ("spec.http[1].match[0]", Some(("", "uri: {prefix: /b}"))),
        ("spec.http[1].labels[\"a.b/c\"]", Some(("\"a.b/c\"", "d"))),
        ("spec.http[2]", None),
        ("spec.http.name", None),
        ("spec[0]", None),
        ("spec.http[1", None),
        ("spec.http[-1]", None),
        ("nothing", None),
    ];
    for (path, expected) in cases {
        let found = document.locate(path).map(|(key, value)| (slice(text, key), slice(text, value)));
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(document.locate("").map(|(_, value)| value.start), Some(9));
}

#[test]
fn merges_are_resolved() {
    let text = "base: &base {a: 1, b: 2}\nmore: &more {c: 3, <<: *base}\nall:\n  d: 4\n  <<: [*more, {e: 5}]\n";
    let reading = read_text(text);
    let root = reading.documents[0].root().expect("there is a root");
    let all = root.get("all").expect("there is the key");
    let keys: Vec<&str> = all.entries().map(|(key, _)| key.text()).collect();
    assert_eq!(keys, ["d", "e", "c", "a", "b"]);
    assert_eq!(all.kind(), NodeKind::Mapping);
    assert_eq!(root.entries().count(), 3);
}

#[test]
fn comments_suppress() {
    let text = "\
# malha: ignore[R001, unused-host] a long story
# goes on
#malha:ignore[ D005 ]

a: 1 # malha: ignore[H001]
b: \"x # malha: ignore[N001]\"
c: x#malha:ignore[N002]
d: |
  # malha: ignore[N003]
# malha: ignore N004
# malha: ignore[Y002] the last
---
# malha: ignore[A001]
e: 1
f: 2
# malha: ignore[B001]
";
    let found: Vec<(String, String, u32)> = read_text(text)
        .suppressions
        .into_iter()
        .inspect(|suppression| assert!(slice(text, suppression.span).starts_with('#')))
        .map(|suppression| (suppression.codes.join("+"), suppression.reason, suppression.line))
        .collect();
    let expected = [
        ("R001+unused-host", "a long story", 5),
        ("D005", "", 5),
        ("H001", "", 5),
        ("Y002", "the last", 12),
        ("A001", "", 14),
        ("B001", "", 16),
    ];
    let expected = expected.map(|(codes, reason, line)| (codes.to_owned(), reason.to_owned(), line));
    assert_eq!(found, expected);
}

#[test]
fn templates_are_named() {
    let cases = [
        ("a: {{ .Values.x }}\n", Some("{{ .Values.x }}")),
        ("a: {{ .x }}-b\n", Some("{{ .x }}")),
        ("a: b-{{ .x }}\n", Some("{{ .x }}")),
        ("a: b\n{{- if .x }}\nc: d\n{{- end }}\n", Some("{{- if .x }}")),
        ("{{- range .all }}\n---\na: 1\n{{- end }}\n", Some("{{- range .all }}")),
        ("{% if x %}\na: \"{{ b }}\"\n{% endif %}\n", Some("{% if x %}")),
        ("# {{ x }}\na: b {{ y }}\n", Some("{{ y }}")),
        ("{{ include \"a\" . }}\n", Some("{{ include \"a\" . }}")),
        // Text that is quoted, or in a block scalar, may be meant for others.
        ("a: \"{{ x }}\"\n", None),
        ("a: |\n  {{ x }}\n", None),
        ("# {{ x }}\na: 1\n", None),
        ("a: {b: {c: d}}\n", None),
    ];
    for (text, expected) in cases {
        let reading = read_text(text);
        let document = &reading.documents[0];
        assert_eq!(document.template.map(|span| slice(text, span)), expected, "{text:?}");
        assert_eq!(document.root().is_none(), expected.is_some(), "{text:?}");
        assert!(!document.refused);
    }
    // What is broken for other reasons is reported.
    for text in ["a: [\n# {{ x }}\n", "a: \"{{ x }}\"\nb: [\n", "a: |\n  {{ x }}\nb: [\n", "a: [ {{ x\n"] {
        let reading = read(SourceId(0), text);
        assert!(reading.documents[0].template.is_none() && !reading.findings.is_empty(), "{text:?}");
    }
}

#[test]
fn json_is_read_as_json() {
    let reading = read_text("{\n\t\"a\": \"\\/ \\ud83d\\ude00\",\n\t\"b\": [1.5e3, -0, true, null]\n}\n");
    let root = reading.documents[0].root().expect("there is a root");
    assert_eq!(root.get("a").map(malha_syntax::Node::text), Some("/ 😀"));
}
