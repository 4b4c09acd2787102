//! The reader takes any bytes, and its two ways of reading agree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use malha_syntax::{Node, NodeKind, Sources, read, read_both};

fuzz_target!(|bytes: &[u8]| {
    let mut sources = Sources::default();
    let (source, mut findings) = sources.decode("fuzz", bytes);
    let Some(text) = sources.get(source).map(|source| source.text.clone()) else { return };
    let reading = read(source, &text);
    findings.extend(reading.findings);
    for finding in &findings {
        let span = finding.location.span;
        assert!(text.get(span.start as usize..span.end as usize).is_some(), "{finding:?}");
        sources.line_column(finding.location);
    }
    for document in &reading.documents {
        if let Some(root) = document.root() {
            visit(root, &text);
        }
        document.locate("spec.http[1].match[0].uri");
    }
    if let (Some(quick), complete) = read_both(&text) {
        let complete = complete.expect("what the quick reader reads, the complete one reads");
        assert_eq!(quick.outline(), complete.outline());
    }
});

fn visit(node: Node<'_>, text: &str) {
    let span = node.span();
    assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?}");
    match node.kind() {
        NodeKind::Mapping => node.entries().for_each(|(key, value)| {
            visit(key, text);
            visit(value, text);
        }),
        NodeKind::Sequence => node.items().for_each(|item| visit(item, text)),
        NodeKind::Scalar => assert!(node.scalar().is_some()),
    }
}
