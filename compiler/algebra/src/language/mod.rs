//! Languages of one text: what a path, a header line or a server name may be.
//!
//! A [`Test`] denotes a language. [`shortest`] decides whether texts of a [`Form`] exist that pass some tests and fail
//! others, and gives the shortest and plainest of them. Exact texts and prefixes need no automaton; regular expressions
//! run as automata, side by side, and only as far as the search goes.

mod form;
mod part;
mod search;

pub use form::{Form, PathForm};
pub use search::{Answer, Automata, Limits, shortest};
pub(crate) use search::{Reading, search};

use crate::re2::Pattern;
use crate::{PathTest, ValueTest};
use smol_str::SmolStr;

/// A language of texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Every text.
    Any,
    /// One text.
    Exact {
        /// The text.
        value: SmolStr,
        /// ASCII case does not count.
        ignore_case: bool,
    },
    /// The texts that begin like this.
    Prefix {
        /// How they begin.
        value: SmolStr,
        /// ASCII case does not count.
        ignore_case: bool,
    },
    /// The language of a regular expression.
    Regex(Pattern),
    /// These texts; sorted.
    OneOf(Vec<SmolStr>),
}

impl Test {
    /// One text, case counts.
    pub fn exact(value: impl Into<SmolStr>) -> Test {
        Test::Exact { value: value.into(), ignore_case: false }
    }

    /// Texts that begin like this, case counts.
    pub fn prefix(value: impl Into<SmolStr>) -> Test {
        Test::Prefix { value: value.into(), ignore_case: false }
    }

    /// One of these texts.
    pub fn one_of(values: impl IntoIterator<Item = SmolStr>) -> Test {
        let mut values: Vec<SmolStr> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        Test::OneOf(values)
    }

    /// Texts that are UTF-8.
    pub fn utf8() -> Test {
        Pattern::parse("(?s).*").map_or(Test::Any, Test::Regex)
    }

    /// Whether the text is in the language.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Test::Any => true,
            Test::Exact { value, ignore_case: false } => text == value.as_bytes(),
            Test::Exact { value, ignore_case: true } => text.eq_ignore_ascii_case(value.as_bytes()),
            Test::Prefix { value, ignore_case: false } => text.starts_with(value.as_bytes()),
            Test::Prefix { value, ignore_case: true } => {
                text.get(..value.len()).is_some_and(|start| start.eq_ignore_ascii_case(value.as_bytes()))
            }
            Test::Regex(pattern) => pattern.is_full_match(text),
            Test::OneOf(values) => values.binary_search_by(|value| value.as_bytes().cmp(text)).is_ok(),
        }
    }
}

impl From<&PathTest> for Test {
    fn from(test: &PathTest) -> Test {
        match test {
            PathTest::Any => Test::prefix("/"),
            PathTest::Exact { value, ignore_case } => Test::Exact { value: value.clone(), ignore_case: *ignore_case },
            PathTest::Prefix { value, ignore_case } => Test::Prefix { value: value.clone(), ignore_case: *ignore_case },
            PathTest::Regex(pattern) => Test::Regex(pattern.clone()),
        }
    }
}

impl From<&ValueTest> for Test {
    fn from(test: &ValueTest) -> Test {
        match test {
            ValueTest::Present => Test::Any,
            ValueTest::Exact(value) => Test::exact(value.clone()),
            ValueTest::Prefix(value) => Test::prefix(value.clone()),
            ValueTest::Regex(pattern) => Test::Regex(pattern.clone()),
        }
    }
}
