//! Properties of the reader: it takes any text, and its two ways of reading agree.

mod json;

use malha_syntax::{NodeKind, SourceId, Span, read, read_both};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;

/// What the mutations begin with: manifests in all the styles that people write.
const MANIFESTS: &[&str] = &[
    include_str!("manifests/block.yaml"),
    include_str!("manifests/flow.yaml"),
    include_str!("manifests/quoted.yaml"),
    include_str!("manifests/object.json"),
];

/// What is inserted into them.
const PIECES: &[&str] = &[
    " ",
    "  ",
    "\n",
    "\n\n",
    "\n  ",
    ": ",
    ":",
    "- ",
    "-",
    "\n- ",
    "\n  - ",
    "#",
    " # c",
    "'",
    "\"",
    "''",
    "\\",
    "[",
    "]",
    "{",
    "}",
    ",",
    ", ",
    "&a ",
    "*a",
    "* ",
    "!t ",
    "!!str ",
    "|",
    ">",
    "|\n",
    "? ",
    "?",
    "%",
    "@",
    "`",
    "<<: ",
    "<<",
    "~",
    "null",
    "yes",
    "0x1F",
    "1e3",
    ".inf",
    "...",
    "\n...\n",
    "---",
    "\n---\n",
    "\t",
    "\r\n",
    "\r",
    "é",
    "\u{2028}",
    "\u{feff}",
    "{{ x }}",
    "a",
    "a: b",
    "\na: b",
    "\n    a: b",
    "[a, b]",
    "{a: b}",
    "\"a\":1",
    "a:b",
    "malha:",
    "# malha: ignore[R001] x",
];

#[derive(Clone, Debug)]
enum Mutation {
    Insert(Index, &'static str),
    Delete(Index, usize),
    Repeat(Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => (any::<Index>(), select(PIECES)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        1 => (any::<Index>(), 1..12usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        1 => (any::<Index>(), 1..40usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

fn mutated() -> impl Strategy<Value = String> {
    (select(MANIFESTS), prop::collection::vec(mutation(), 0..4)).prop_map(|(manifest, mutations)| {
        let mut text: Vec<char> = manifest.chars().collect();
        for mutation in mutations {
            let place = |at: &Index| at.index(text.len() + 1);
            match &mutation {
                Mutation::Insert(at, piece) => {
                    let at = place(at);
                    text.splice(at..at, piece.chars());
                }
                Mutation::Delete(at, length) => {
                    let at = place(at);
                    text.drain(at..(at + length).min(text.len()));
                }
                Mutation::Repeat(at, length) => {
                    let at = place(at);
                    let copy = text[at..(at + length).min(text.len())].to_vec();
                    text.splice(at..at, copy);
                }
            }
        }
        text.into_iter().collect()
    })
}

/// Reads `text` and looks at everything that was read.
fn look_at_everything(text: &str) -> Result<(), TestCaseError> {
    let reading = read(SourceId(0), text);
    let inside = |span: Span| span.start <= span.end && text.get(span.start as usize..span.end as usize).is_some();
    for document in &reading.documents {
        prop_assert!(inside(document.span));
        for (span, kind, _, text) in document.outline() {
            prop_assert!(inside(span));
            prop_assert!(kind == NodeKind::Scalar || text.is_empty());
        }
        if let Some(root) = document.root() {
            json::value(root);
        }
        document.locate("spec.http[0].match[1].uri");
    }
    for finding in &reading.findings {
        prop_assert!(inside(finding.location.span), "{finding:?}");
        prop_assert!(finding.related.iter().all(|related| inside(related.location.span)), "{finding:?}");
    }
    prop_assert!(reading.suppressions.iter().all(|suppression| inside(suppression.span)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8 * ProptestConfig::default().cases, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        look_at_everything(&text)?;
    }

    #[test]
    fn any_manifest_is_read(text in mutated()) {
        look_at_everything(&text)?;
    }

    #[test]
    fn the_two_readers_agree(text in mutated()) {
        if let (Some(quick), complete) = read_both(&text) {
            let complete = complete.expect("what the quick reader reads, the complete one reads");
            prop_assert_eq!(quick.outline(), complete.outline());
        }
    }

    /// Structure and texts as `serde_yaml` has them, which reads the scalars otherwise.
    #[test]
    fn a_second_opinion_agrees(text in mutated()) {
        // Kubernetes breaks a line at U+2028 and merges `<<`; YAML 1.2 does neither.
        prop_assume!(!text.contains('\u{2028}') && !text.contains("<<"));
        let reading = read(SourceId(0), &text);
        let [document] = reading.documents.as_slice() else { return Ok(()) };
        let mut others = serde_yaml::Deserializer::from_str(&text);
        let (Some(other), None) = (others.next(), others.next()) else { return Ok(()) };
        let Ok(other) = serde_yaml::Value::deserialize(other) else { return Ok(()) };
        if let (true, Some(root)) = (reading.findings.is_empty(), document.root()) {
            prop_assert!(json::same_shape(root, &other), "{:?} is not {:?}", root, other);
        }
    }
}

/// Every manifest is read by the quick reader, and as a whole; else the properties above say little.
#[test]
fn the_quick_reader_takes_manifests() {
    for manifest in MANIFESTS {
        let (quick, _) = read_both(manifest);
        assert!(quick.is_some_and(|document| document.len() > 30), "{manifest}");
    }
}
