//! RE2's dialect: the one reading of it in Malha.

mod substitution;

pub use substitution::{Part, Substitution, SubstitutionError};

use crate::dfa::{Dfa, TooLarge};
use regex_automata::meta;
use regex_syntax::hir::Hir;
use smol_str::SmolStr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// A pattern that RE2 accepts. Cheap to clone; equal and hashed by its text; compiled when first asked to match.
#[derive(Clone)]
pub struct Pattern {
    shared: Arc<Shared>,
}

struct Shared {
    text: SmolStr,
    hir: Hir,
    matcher: OnceLock<Option<meta::Regex>>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong, in words that end a sentence: "missing closing `)`".
    pub message: String,
    /// Where, as a byte offset into the pattern.
    pub offset: usize,
    /// Whether Go's `regexp`, by which Istio judges, accepts the text that RE2 (Envoy) refuses.
    pub go_accepts: bool,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

/// What the two readers say of one text.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Go's `regexp`: what Istio's validation runs. Its refusal keeps the object out of the cluster.
    pub go: Result<(), PatternError>,
    /// RE2: what Envoy runs. Its refusal, where Go accepts, breaks the push.
    pub re2: Result<Pattern, PatternError>,
}

/// Judges `text` as Istio (Go) and as Envoy (RE2) do.
pub fn verdict(text: &str) -> Verdict {
    let re2 = Pattern::parse(text);
    let go = re2.as_ref().map(|_| ()).map_err(Clone::clone);
    Verdict { go, re2 }
}

impl Pattern {
    /// Reads `text` as RE2 does.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(text).map_err(|error| PatternError {
            message: error.to_string(),
            offset: 0,
            go_accepts: false,
        })?;
        Ok(Pattern { shared: Arc::new(Shared { text: text.into(), hir, matcher: OnceLock::new() }) })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.shared.text
    }

    /// Whether the whole of `subject` is in the pattern's language.
    pub fn is_full_match(&self, subject: &[u8]) -> bool {
        let matcher = self.shared.matcher.get_or_init(|| {
            let look = |look| Hir::look(look);
            let whole = Hir::concat(vec![
                look(regex_syntax::hir::Look::Start),
                self.shared.hir.clone(),
                look(regex_syntax::hir::Look::End),
            ]);
            meta::Builder::new()
                .configure(meta::Config::new().utf8_empty(false).nfa_size_limit(None))
                .build_from_hir(&whole)
                .ok()
        });
        matcher.as_ref().is_some_and(|matcher| matcher.is_match(subject))
    }

    /// The automaton of the pattern's language, of at most `limit` bytes.
    pub fn dfa(&self, limit: usize) -> Result<Dfa, TooLarge> {
        Dfa::many(std::slice::from_ref(self), limit)
    }

    /// An equivalent pattern for the `regex` crate, with the same numbering of groups. Not anchored.
    pub fn to_rust(&self) -> String {
        self.shared.hir.to_string()
    }

    /// How many capture groups there are, the whole match not counted.
    pub fn groups(&self) -> usize {
        self.shared.hir.properties().explicit_captures_len()
    }

    pub(crate) fn hir(&self) -> &Hir {
        &self.shared.hir
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) || self.shared.text == other.shared.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shared.text.hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.shared.text)
    }
}
