//! Malformed input: every sort of it is a finding at its place, and the documents around it are read all the same.

use malha_syntax::{Sources, read};

/// What is wrong, as `Y001@line:column` with a `-line:column` for the end, and the text.
const CASES: &[(&str, &str)] = &[
    // Keys that are there twice.
    ("", "a: 1\na: 2\n"),
];

/// What a text has wrong with it, as `Y001@3:1-3:4`.
fn findings(text: &[u8]) -> (Vec<String>, usize) {
    let mut sources = Sources::default();
    let (source, mut findings) = sources.decode("test.yaml", text);
    let text = sources.get(source).expect("the source was added").text.clone();
    let reading = read(source, &text);
    findings.extend(reading.findings);
    let place = |finding: &malha_syntax::Finding| {
        let start = sources.line_column(finding.location);
        let mut end = finding.location;
        end.span.start = end.span.end;
        let end = sources.line_column(end);
        format!("{}@{}:{}-{}:{}", finding.rule.code, start.line, start.column, end.line, end.column)
    };
    for f in &findings {
        eprintln!("    {} | {} | {:?} {:?}", place(f), f.message, f.help, f.fix.as_ref().map(|f| &f.edits));
    }
    (findings.iter().map(place).collect(), reading.documents.iter().filter(|document| !document.refused).count())
}

#[test]
fn show() {
    for text in std::fs::read_to_string("/tmp/samples.txt").unwrap().lines() {
        let t = text.replace("\\n", "\n").replace("\\t", "\t");
        eprintln!("== {text}");
        findings(t.as_bytes());
    }
}
