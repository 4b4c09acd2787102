//! `facts.tsv` says which test holds which fact of docs/semantics.md (sections A, B.2, B.6, B.7, C, D and E), or why none does. Here it is
//! held to the page and to the tests that there are.

use flate2::read::GzDecoder;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The facts of the page, in order.
fn facts() -> Vec<String> {
    let page = fs::read_to_string(here().join("../../docs/semantics.md")).expect("the page is there");
    let numbered = |line: &str| {
        // Its rows have no numbers.
        if line.starts_with("### B.2 ") {
            return Some("B.2".to_owned());
        }
        let id = line.strip_prefix("| ")?.split_once(" |")?.0;
        let number = id.strip_prefix(['A', 'B', 'C', 'D', 'E'])?;
        let number: u32 = number.parse().ok()?;
        // B.1, B.3 to B.5 are about what the compiler makes of rules.
        (!id.starts_with('B') || (29..=41).contains(&number)).then(|| id.to_owned())
    };
    page.lines().filter_map(numbered).collect()
}

/// The recorded cases: those about facts by their own names, others as `gateway/0248`.
fn cases() -> BTreeSet<String> {
    let file = fs::File::open(here().join("../../conformance/routing.jsonl.gz")).expect("the archive is there");
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    let ids = lines.map(|line| {
        let case: serde_json::Value = serde_json::from_str(&line.expect("lines")).expect("each line is JSON");
        case["id"].as_str().unwrap_or_default().to_owned()
    });
    ids.map(|id| id.strip_prefix("facts/").unwrap_or(&id).to_owned()).collect()
}

/// Whether a file of this crate has the test `name`.
fn has_test(file: &str, name: &str) -> bool {
    let text = fs::read_to_string(here().join(file).with_extension("rs")).unwrap_or_default();
    let is_test = |(at, _): (usize, &str)| text[..at].trim_end().ends_with("#[test]");
    text.match_indices(&format!("fn {name}()")).any(is_test)
}

#[test]
fn each_fact_has_a_test_or_a_reason() {
    let table = fs::read_to_string(here().join("tests/facts.tsv")).expect("the table is there");
    let cases = cases();
    let mut known = Vec::new();
    for row in table.lines().skip(1) {
        let [fact, tests, reason] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("three columns: {row}") };
        known.push(fact.to_owned());
        assert!(tests.is_empty() != reason.is_empty(), "a test or a reason: {row}");
        for test in tests.split("; ").filter(|test| !test.is_empty()) {
            let is_there = match (test.strip_prefix("recording "), test.split_once("::")) {
                (Some(case), _) => cases.contains(case),
                (None, Some((file, name))) => has_test(file, name),
                (None, None) => false,
            };
            assert!(is_there, "{fact}: there is no {test}");
        }
    }
    assert_eq!(known, facts(), "the page and the table have the same facts, in the same order");
}
