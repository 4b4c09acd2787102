//! What Go's `regexp` and RE2 answered to patterns, against this crate's reading of them.

use malha_algebra::re2::{self, Pattern};
use std::path::Path;

struct Case {
    pattern: String,
    go: bool,
    re2: bool,
    /// Indexes of the subjects that match in full.
    matches: Vec<u64>,
}

fn conformance(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn subjects() -> Vec<String> {
    serde_json::from_str(&conformance("subjects.json")).expect("a list of strings")
}

fn cases() -> Vec<Case> {
    let case = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        Case {
            pattern: value["pattern"].as_str().expect("a pattern").to_owned(),
            go: value["go"].as_bool().expect("a verdict"),
            re2: value["re2"].as_bool().expect("a verdict"),
            matches: value["matches"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect(),
        }
    };
    conformance("regex.jsonl").lines().map(case).collect()
}

/// The indexes of the subjects for which `is_match` holds.
fn matching(subjects: &[String], is_match: impl Fn(&str) -> bool) -> Vec<u64> {
    let indexes = 0..;
    indexes.zip(subjects).filter(|(_, subject)| is_match(subject)).map(|(index, _)| index).collect()
}

fn accepted() -> impl Iterator<Item = (Case, Pattern)> {
    cases().into_iter().filter(|case| case.re2).map(|case| {
        let pattern = Pattern::parse(&case.pattern).unwrap_or_else(|error| panic!("{}: {error}", case.pattern));
        (case, pattern)
    })
}

#[test]
fn verdicts() {
    let cases = cases();
    assert_eq!(cases.len(), 982);
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = re2::verdict(&case.pattern);
        if verdict.go.is_ok() != case.go {
            wrong.push(format!("Go: {} is {}: {:?}", case.pattern, case.go, verdict.go));
        }
        if verdict.re2.is_ok() != case.re2 {
            wrong.push(format!("RE2: {} is {}: {:?}", case.pattern, case.re2, verdict.re2));
        }
        if let Err(error) = verdict.re2 {
            assert_eq!(error.go_accepts, verdict.go.is_ok(), "{}", case.pattern);
            assert!(case.pattern.is_char_boundary(error.offset), "{}: {error:?}", case.pattern);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn full_matches() {
    let subjects = subjects();
    for (case, pattern) in accepted() {
        let matches = matching(&subjects, |subject| pattern.is_full_match(subject.as_bytes()));
        assert_eq!(matches, case.matches, "{}", case.pattern);
    }
}

/// Patterns whose automaton would take more than [`LIMIT`]: each repeats something a thousand times that is large, or
/// that can begin anywhere.
const TOO_LARGE: [&str; 11] = [
    r"(?:ab)*\PN{1000}\pL{2}_{0}",
    r"(a|b)+?[a\-z]{1000}",
    r".{2,}[^]a]{1000}-{0}\d?[[:alpha:]]{1000}",
    r"[0-9]??\w\PN{1000}\d{,3}",
    r"[0-9]{1,3}\x61\S+\p{Greek}{1000}",
    r"[[:alpha:]]{0}\PN{1000}\-",
    r"\Qa.b\E??\W{1000}(?:ab){0}\p{Greek}{1000}",
    r"\Qa.b\E\p{Greek}?ü?\D{1000}",
    r"\S*?\/?\C{1000}\/+?",
    r"\p{Greek}{1000}\.{2,}$*?\x{61}{2}(a|b)+",
    r"\w{1000}a{1000}(a|b)+[]a]{1000}\-",
];

const LIMIT: usize = 4 << 20;

#[test]
fn automata() {
    let subjects = subjects();
    let mut too_large = Vec::new();
    for (case, pattern) in accepted() {
        let Ok(dfa) = pattern.dfa(LIMIT) else {
            too_large.push(case.pattern);
            continue;
        };
        let matches = matching(&subjects, |subject| dfa.matches(subject.as_bytes()) == [0]);
        assert_eq!(matches, case.matches, "{}", case.pattern);
    }
    assert_eq!(too_large, TOO_LARGE);
}

#[test]
fn translations() {
    let subjects = subjects();
    for (case, pattern) in accepted() {
        let translated = pattern.to_rust();
        let regex = regex::bytes::RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
            .size_limit(256 << 20)
            .build()
            .unwrap_or_else(|error| panic!("{}: {error}", case.pattern));
        let matches = matching(&subjects, |subject| regex.is_match(subject.as_bytes()));
        assert_eq!(matches, case.matches, "{} as {translated}", case.pattern);
        assert_eq!(regex.captures_len(), pattern.groups() as usize + 1, "{} as {translated}", case.pattern);
    }
}
