//! Malformed input: every sort of it is a finding at its exact place, and the documents around it are read all the same.

use malha_syntax::{Finding, Reading, Sources, read};
use std::fmt::Write;

/// A text, and the findings it gives as `code line:column-line:column`.
const CASES: &[(&str, &[&str])] = &[
    // Duplicate keys.
    ("a: 1\nb: 2\na: 3", &["Y002 3:1-3:2"]),
    ("a: {b: 1, 'b': 2}", &["Y002 1:11-1:14"]),
    ("é: {yes: 1, true: 2}", &["Y002 1:13-1:17"]),
    ("a: 1\na: 2\na: 3", &["Y002 2:1-2:2", "Y002 3:1-3:2"]),
    // Tabs.
    ("a:\n\t- 1", &["Y003 2:1-2:2"]),
    ("a:\n  b: 1\n\tc: 2", &["Y003 3:1-3:2"]),
    ("a:\n  b: 1\n  \tc: 2", &["Y003 3:3-3:4"]),
    ("\ta: 1", &["Y003 1:1-1:2"]),
    ("a: b\n\t\nc: d", &["Y003 2:1-2:2"]),
    ("-\ta", &["Y003 1:2-1:3"]),
    // Indentation.
    ("a:\n  b: 1\n c: 2", &["Y011 3:2-3:4"]),
    ("a:\n    b: 1\n  c: 2\nd: 1", &["Y011 3:3-3:5"]),
    ("a:\n  - b\n - c", &["Y011 3:2-3:3"]),
    ("a:\n  - b\n   c: 1", &["Y011 3:4-3:6"]),
    ("a: b\n  c: d", &["Y011 2:3-2:5"]),
    ("a: |\n   x\n  y", &["Y011 3:3-3:4"]),
    (" a: 1\nb: 2", &["Y013 2:1-2:5"]),
    // Aliases and anchors.
    ("hosts:\n- *.example.com\n- b", &["Y005 2:3-2:16"]),
    ("hosts: [\"a\", *]", &["Y005 1:14-1:15"]),
    ("hosts:\n- *", &["Y005 2:3-2:4"]),
    ("hosts:\n- *-canary.example.com", &["Y005 2:3-2:23"]),
    ("a: *b\nc: *d", &["Y010 1:4-1:6", "Y010 2:4-2:6"]),
    ("a: &x [*x]", &["Y006 1:8-1:10"]),
    ("a: &x\n  b: {c: [*x]}", &["Y006 2:11-2:13"]),
    ("a: &x.y 1", &["Y001 1:4-1:8"]),
    // Merge keys.
    ("a: &x {b: 1}\nc:\n  <<: *x\n  b: 2", &["Y009 4:3-4:4"]),
    ("c:\n  b: 2\n  <<: {b: 1}", &["Y009 2:3-2:4"]),
    ("c: {<<: [{a: 1}, {a: 2}]}", &["Y009 1:5-1:7"]),
    ("<<: v", &["Y001 1:5-1:6"]),
    ("a: &x [{}]\nb: {<<: *x}", &["Y001 2:9-2:11"]),
    // Keys and values that JSON cannot hold.
    ("null: x", &["Y012 1:1-1:5"]),
    (": x", &["Y012 1:1-1:1"]),
    ("a: .inf", &["Y012 1:4-1:8"]),
    ("a: [-.INF, .NaN]", &["Y012 1:5-1:10", "Y012 1:12-1:16"]),
    ("18446744073709551615: x", &["Y012 1:1-1:21"]),
    ("? [a]\n: b", &["Y012 1:3-1:6"]),
    // Characters.
    ("a: \u{0}", &["Y001 1:4-1:5"]),
    ("é: \"\u{7}\"", &["Y001 1:5-1:6"]),
    ("a: 1\n\u{FEFF}b: 2", &["Y001 2:1-2:2"]),
    ("a: 1 # \u{FFFE}", &["Y004 1:8-1:9"]),
    // The rest of the syntax.
    ("a: b: c", &["Y001 1:5-1:6"]),
    ("a:b\nc: d", &["Y001 1:2-1:3"]),
    ("-a\n-b: c", &["Y001 1:1-1:2"]),
    ("a: 1\nfoo\nb: 2", &["Y001 2:1-2:4"]),
    ("- 1\na: 2", &["Y001 2:1-2:3"]),
    ("a: 1\n- 2", &["Y001 2:1-2:2"]),
    ("a: - b", &["Y001 1:4-1:5"]),
    ("é: \"x", &["Y001 1:4-1:5"]),
    ("a: 'x\nb: y", &["Y001 1:4-1:5"]),
    ("a: 'x'y", &["Y001 1:7-1:8"]),
    ("a: \"b\" c", &["Y001 1:8-1:9"]),
    ("a: [x]y", &["Y001 1:7-1:8"]),
    ("a: [b, c", &["Y001 1:4-1:5"]),
    ("a: {b: 1\nc: d", &["Y001 1:4-1:5"]),
    ("a: [b, c}", &["Y001 1:4-1:5"]),
    ("a: ]", &["Y001 1:4-1:5"]),
    ("a: @x y # z", &["Y001 1:4-1:8"]),
    ("a: `x`", &["Y001 1:4-1:7"]),
    ("a: %x", &["Y001 1:4-1:6"]),
    ("a: |x", &["Y001 1:4-1:6"]),
    ("a: b #c\n  d: e", &["Y001 1:6-1:8"]),
    ("a: \"api\\.v1\"", &["Y001 1:8-1:10"]),
    ("a: \"\\n\\x4\"", &["Y001 1:7-1:9"]),
    ("a: \"\\/\"", &["Y001 1:5-1:7"]),
    ("a: \"\\ud83d\\ude00\"", &["Y001 1:5-1:11"]),
    ("a: [/x?y]", &["Y001 1:7-1:8"]),
    ("a: !!int x", &["Y001 1:10-1:11"]),
    ("a: !!binary x", &["Y001 1:13-1:14"]),
    ("{\"a\": 1,\n \"b\" 2}", &["Y001 2:6-2:7"]),
    ("{\"a\": 1, \"b\n\": 2}", &["Y001 1:10-2:2"]),
];

fn read_bytes(bytes: &[u8]) -> (Sources, Reading, Vec<Finding>) {
    let mut sources = Sources::default();
    let (source, mut findings) = sources.decode("test.yaml", bytes);
    let reading = read(source, &sources.get(source).expect("the source was added").text);
    findings.extend(reading.findings.iter().cloned());
    (sources, reading, findings)
}

fn places(sources: &Sources, findings: &[Finding], first_line: u32) -> Vec<String> {
    let place = |finding: &Finding| {
        let source = sources.get(finding.location.source).expect("a finding has a source");
        let (start, end) =
            (source.line_column(finding.location.span.start), source.line_column(finding.location.span.end));
        let (first, last) = (start.line - first_line, end.line - first_line);
        format!("{} {first}:{}-{last}:{}", finding.rule.code, start.column, end.column)
    };
    findings.iter().map(place).collect()
}

#[test]
fn every_fault_has_its_place() {
    let mut differences = Vec::new();
    for (text, expected) in CASES {
        let (sources, reading, findings) = read_bytes(text.as_bytes());
        let found = places(&sources, &findings, 0);
        if found != *expected {
            differences.push(format!("{text:?}: {found:?}, not {expected:?}"));
        }
        assert_eq!(reading.documents.len(), 1, "{text:?}");
        let lost = findings.iter().all(|finding| finding.rule.code == "Y013");
        assert_eq!(reading.documents[0].refused, !lost, "{text:?}");
        assert!(findings.iter().all(|finding| finding.help.is_some()), "{text:?}: {findings:#?}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn no_fault_hides_another_document() {
    let mut differences = Vec::new();
    for (text, expected) in CASES {
        for line_end in ["\n", "\r\n"] {
            let stream = format!("x: 1\n---\n{text}\n---\nz: 2\n").replace('\n', line_end);
            let (sources, reading, findings) = read_bytes(stream.as_bytes());
            let found = places(&sources, &findings, 2);
            if found != *expected {
                differences.push(format!("{stream:?}: {found:?}, not {expected:?}"));
            }
            let get = |document: usize, key| reading.documents.get(document)?.root()?.get(key)?.scalar();
            assert_eq!(reading.documents.len(), 3, "{stream:?}");
            assert_eq!(get(0, "x"), Some(malha_syntax::Scalar::Int(1)), "{stream:?}");
            assert_eq!(get(2, "z"), Some(malha_syntax::Scalar::Int(2)), "{stream:?}");
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn duplicates_name_both_places() {
    let (sources, _, findings) = read_bytes(b"a:\n  b: 1\n  c: 2\n  b: 3\n");
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    let related = sources.line_column(finding.related[0].location);
    assert_eq!((related.line, related.column), (2, 3));
}

#[test]
fn a_wildcard_is_mended() {
    let text = "hosts:\n- *.example.com # all\n";
    let (_, _, findings) = read_bytes(text.as_bytes());
    let edit = &findings[0].fix.as_ref().expect("there is a fix").edits[0];
    let (start, end) = (edit.location.span.start as usize, edit.location.span.end as usize);
    let mended = format!("{}{}{}", &text[..start], edit.text, &text[end..]);
    assert_eq!(mended, "hosts:\n- \"*.example.com\" # all\n");
    assert!(read_bytes(mended.as_bytes()).2.is_empty());
}

/// Nine levels of ten aliases each.
#[test]
fn alias_bombs_are_stopped() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("a string takes text");
    }
    bomb.push_str("---\nb: 1\n");
    let (_, reading, findings) = read_bytes(bomb.as_bytes());
    assert_eq!(findings.iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["Y006"]);
    assert_eq!(reading.documents.iter().map(|document| document.refused).collect::<Vec<_>>(), [true, false]);

    let mut bomb = String::from("a0: &a0 {k: v}\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} {{<<: [{aliases}]}}").expect("a string takes text");
    }
    let (_, _, findings) = read_bytes(bomb.as_bytes());
    assert!(findings.iter().any(|finding| finding.rule.code == "Y006"), "{:?}", findings.first());

    // What multiplies brings no keys.
    let list = |name: &str| vec![name; 5_000].join(", ");
    let bomb = format!("a: &a {{}}\nb: &b {{<<: [{}]}}\nc: {{<<: [{}]}}\n", list("*a"), list("*b"));
    let (_, _, findings) = read_bytes(bomb.as_bytes());
    assert_eq!(findings.iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["Y006"]);
}

#[test]
fn depth_is_limited() {
    for (open, close, steps) in [("[", "]", 1), ("{a: ", "}", 4), ("- ", "", 2)] {
        let nested = |depth: usize| format!("{}x{}\n---\nb: 1\n", open.repeat(depth), close.repeat(depth));
        let (_, reading, findings) = read_bytes(nested(256).as_bytes());
        assert!(findings.is_empty() && reading.documents.len() == 2, "{findings:?}");
        for depth in [257, 5_000, 100_000] {
            let (sources, reading, findings) = read_bytes(nested(depth).as_bytes());
            assert_eq!(reading.documents.iter().map(|document| document.refused).collect::<Vec<_>>(), [true, false]);
            let [finding] = findings.as_slice() else { panic!("{findings:?}") };
            let place = sources.line_column(finding.location);
            assert_eq!((finding.rule.code, place.line, place.column), ("Y007", 1, 256 * steps + 1));
        }
    }
    // Deep by aliases only.
    let mut text = String::from("a0: &a0 x\n");
    for level in 1..300 {
        writeln!(text, "a{level}: &a{level} [*a{}]", level - 1).expect("a string takes text");
    }
    let (_, _, findings) = read_bytes(text.as_bytes());
    assert_eq!(findings.iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["Y007"]);
}

#[test]
fn sizes_are_limited() {
    let (_, reading, findings) = read_bytes(&vec![b' '; malha_syntax::MAX_SOURCE_BYTES + 1]);
    assert!(reading.documents.is_empty());
    assert_eq!(findings.iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["Y008"]);
}

#[test]
fn bytes_that_are_no_text_have_their_place() {
    let (sources, reading, findings) = read_bytes(b"a: 1\n---\nname: M\xFCller\n---\nb: 2\n");
    assert_eq!(places(&sources, &findings, 0), ["Y004 3:8-3:9"]);
    assert_eq!(findings[0].location.span.start, 16);
    assert_eq!(reading.documents.iter().map(|document| document.refused).collect::<Vec<_>>(), [false, true, false]);
    let (_, _, findings) = read_bytes(b"\xFF\xFEa\0:\0 \0\x00\xD8");
    assert_eq!(findings.iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["Y004"]);
    let (_, _, findings) = read_bytes(b"\xFF\xFEa\x00:\x00 \x001\x00\n");
    assert_eq!(findings.iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["Y004"]);
}

#[test]
fn encodings_are_told_apart() {
    let text = "é: \"😀\"\n";
    let little: Vec<u8> = "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    for bytes in [text.as_bytes(), format!("\u{FEFF}{text}").as_bytes(), &little, &big] {
        let (sources, reading, findings) = read_bytes(bytes);
        assert!(findings.is_empty());
        let root = reading.documents[0].root().expect("there is a root");
        let (key, value) = root.entry_of("é").expect("there is the key");
        assert_eq!((key.span().start, value.text()), (0, "😀"));
        let source = sources.get(reading.documents[0].source).expect("the source was added");
        assert_eq!(source.line_column(value.span().end).column, 7);
    }
}
