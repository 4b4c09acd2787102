//! Three engines that read one pattern agree on every subject: `is_full_match`, the flat automaton, and the `regex`
//! crate on the translation.

use malha_algebra::Dfa;
use malha_algebra::re2::{Pattern, verdict};
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

/// Patterns in which everything is used that matters to matching.
fn pattern() -> impl Strategy<Value = String> {
    let atoms = vec![
        "a",
        "b",
        "/",
        "é",
        "ſ",
        ".",
        "(?s:.)",
        "[^a]",
        "[^é]",
        "[a-cé]",
        "[]a-]",
        r"\d",
        r"\W",
        r"\pL",
        r"\PL",
        "^",
        "$",
        r"\b",
        r"\B",
        "(?m:^)",
        "(?m:$)",
        r"\Qa.\E",
        r"\x{e9}",
        "(?i:k)",
        "(?i:[^S])",
        "[[:^alpha:]]",
        "",
    ];
    let leaf = proptest::sample::select(atoms).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let repeats = proptest::sample::select(vec!["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{0}"]);
        prop_oneof![
            (inner.clone(), repeats).prop_map(|(inner, repeat)| format!("(?:{inner}){repeat}")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one}{other}")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("(?:{one}|{other})")),
            inner.prop_map(|inner| format!("({inner})")),
        ]
    })
}

fn subject() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        proptest::sample::select(vec!['a', 'b', '/', 'é', 'K', 'k', 'ſ', 's', '1', '.', '\n', ' ']),
        0..6,
    )
    .prop_map(String::from_iter)
}

/// Patterns of chance may ask for more than is allowed, as several of any character around `\pL` do: that is no answer,
/// and no case. Should most of them, the test fails for want of cases.
fn within_limit<E>(automaton: Result<Dfa, E>) -> Result<Dfa, TestCaseError> {
    automaton.map_err(|_| TestCaseError::reject("too large"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engines_agree(text in pattern(), subjects in proptest::collection::vec(subject(), 8)) {
        let pattern = Pattern::parse(&text).expect("the grammar makes valid patterns");
        prop_assert!(verdict(&text).go.is_ok());
        let dfa = within_limit(pattern.dfa(LIMIT))?;
        let regex = regex::Regex::new(&format!(r"\A(?:{})\z", pattern.to_rust())).expect("a translation");
        // That crate forgets groups in what is repeated zero times, unless others follow.
        prop_assert!(regex.captures_len() <= pattern.groups() as usize + 1);
        for subject in &subjects {
            let full = pattern.is_full_match(subject.as_bytes());
            prop_assert_eq!(dfa.matches(subject.as_bytes()) == [0], full, "automaton of {} on {:?}", text, subject);
            prop_assert_eq!(regex.is_match(subject), full, "translation of {} on {:?}", text, subject);
        }
    }

    #[test]
    fn groups_keep_their_numbers(text in pattern()) {
        let pattern = Pattern::parse(&format!("{text}(x)")).expect("valid");
        let regex = regex::Regex::new(&pattern.to_rust()).expect("a translation");
        prop_assert_eq!(regex.captures_len(), pattern.groups() as usize + 1);
    }

    #[test]
    fn an_automaton_of_many_is_all_of_them(
        texts in proptest::collection::vec(pattern(), 0..5),
        subjects in proptest::collection::vec(subject(), 8),
    ) {
        let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::parse(text).expect("valid")).collect();
        let dfa = within_limit(Dfa::many(&patterns, LIMIT))?;
        for subject in &subjects {
            let expected: Vec<u32> = (0..).zip(&patterns)
                .filter(|(_, pattern)| pattern.is_full_match(subject.as_bytes()))
                .map(|(id, _)| id)
                .collect();
            prop_assert_eq!(dfa.matches(subject.as_bytes()), expected, "{:?} on {:?}", texts, subject);
        }
    }

    #[test]
    fn tables_are_sound_and_equal_for_equal_languages(text in pattern()) {
        let dfa = within_limit(Pattern::parse(&text).expect("valid").dfa(LIMIT))?;
        prop_assert_eq!(dfa.transitions.len(), dfa.states() * dfa.stride as usize);
        prop_assert!(dfa.classes.iter().all(|&class| u32::from(class) < dfa.stride));
        prop_assert!(dfa.transitions.iter().all(|&state| state % dfa.stride == 0 && (state as usize) < dfa.transitions.len()));
        prop_assert!(dfa.transitions[..dfa.stride as usize].iter().all(|&state| state == 0), "the dead state stays dead");
        prop_assert!(dfa.accepts.iter().all(|&set| (set as usize) < dfa.sets.len()) && dfa.accepts[0] == 0);
        let doubled = within_limit(Pattern::parse(&format!("(?:{text}|{text})")).expect("valid").dfa(LIMIT))?;
        prop_assert_eq!(dfa, doubled);
    }

    #[test]
    fn any_text_gets_a_verdict(text in r"([(\[{|*+?.^$\\\-\]})]|\(\?|[:<>,0-9aipPQEx]|\\[pxQE]|é){0,24}") {
        let verdict = verdict(&text);
        if let Err(error) = verdict.re2 {
            prop_assert!(text.is_char_boundary(error.offset));
            prop_assert_eq!(error.go_accepts, verdict.go.is_ok());
        }
    }
}
