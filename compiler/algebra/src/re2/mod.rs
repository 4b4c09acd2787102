//! RE2's dialect: the one reading of it in Malha.
//!
//! Every regular expression of the API passes two readers before it routes anything: Istio's validation compiles it
//! with Go's `regexp`, and Envoy compiles it with RE2 (semantics 0.13). They agree on nearly all texts, but not with the
//! `regex` crate: there `\d` means all of Unicode's digits, `[a&&b]` is an intersection, and `a**` is accepted. So the
//! text is parsed here, into a tree of this module's own, and what is made of the tree means the same everywhere:
//!
//! ```text
//! text --parse--> tree --lower-----> Hir --> Pattern::is_full_match, Dfa     (does the whole subject match?)
//!                      --translate-> text in the dialect of the regex crate  (rewriting, with groups)
//!                      --size------> would RE2 find it too large?
//! ```
//!
//! [`verdict`] says what each of the two readers thinks of a text. What Go refuses, Istio refuses: the object never
//! reaches Envoy. What RE2 alone refuses breaks the whole push.
//!
//! Envoy matches bytes. A character of a pattern matches its UTF-8 form; where a class holds everything beyond ASCII, as
//! `.` and `[^/]` do, RE2 is not strict and takes some sequences that are no UTF-8 (overlong forms, surrogates, code
//! points above 10FFFF), and so do [`Pattern::is_full_match`] and [`Dfa`]. On other classes they differ from RE2 in this:
//! surrogates encoded as UTF-8 match nothing here.

mod class;
mod lower;
mod parse;
mod size;
mod substitution;
mod syntax;
mod translate;
mod unicode;

pub use substitution::{Part, Substitution};

use crate::dfa::{Dfa, TooLarge};
use parse::{Fault, Reader};
use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use smol_str::SmolStr;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use syntax::Node;

/// How deep a translated pattern may nest, as the `regex` crate counts. See [`Pattern::to_rust`].
pub const TRANSLATED_NEST_LIMIT: u32 = 4 * syntax::MAX_HEIGHT as u32;

/// A pattern that RE2 accepts.
///
/// Cheap to clone; equal, and hashed, by its text. Patterns of one text share one automaton, however often the text is
/// parsed, and it is built when first asked to match.
#[derive(Clone)]
pub struct Pattern {
    shared: Arc<Shared>,
}

struct Shared {
    text: SmolStr,
    node: Node,
    groups: u32,
    matcher: OnceLock<Option<meta::Regex>>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong: "missing closing `)` for this group".
    pub message: String,
    /// Where, as a byte offset into the text.
    pub offset: usize,
    /// Whether Go's `regexp`, by which Istio judges, accepts the text all the same.
    pub go_accepts: bool,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

impl PatternError {
    fn new(fault: Fault, go_accepts: bool) -> Self {
        PatternError { message: fault.message, offset: fault.offset, go_accepts }
    }
}

/// What the two readers say of one text.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Go's `regexp`: what Istio's validation runs. Its refusal keeps the object out of the cluster.
    pub go: Result<(), PatternError>,
    /// RE2: what Envoy runs. Its refusal, where Go accepts, breaks the push.
    pub re2: Result<Pattern, PatternError>,
}

/// Judges `text` as Istio (Go) and as Envoy (RE2) do. Istio's limit on the length of a pattern is the caller's to check.
pub fn verdict(text: &str) -> Verdict {
    let go = parse::parse(text, Reader::Go).map(|_| ()).map_err(|fault| PatternError::new(fault, false));
    Verdict { go, re2: Pattern::parse(text) }
}

impl Pattern {
    /// Reads `text` as RE2 does.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if let Some(shared) = interned(text) {
            return Ok(Pattern { shared });
        }
        let parsed = parse::parse(text, Reader::Re2).and_then(|parsed| {
            size::check(text, &parsed.node)?;
            Ok(parsed)
        });
        match parsed {
            Ok(parsed) => {
                let matcher = OnceLock::new();
                let shared = Shared { text: text.into(), node: parsed.node, groups: parsed.groups, matcher };
                Ok(Pattern { shared: intern(shared) })
            }
            Err(fault) => Err(PatternError::new(fault, parse::parse(text, Reader::Go).is_ok())),
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.shared.text
    }

    /// How many capture groups it has, the whole match not counted.
    pub fn groups(&self) -> u32 {
        self.shared.groups
    }

    /// Whether the whole of `subject` is in the pattern's language.
    pub fn is_full_match(&self, subject: &[u8]) -> bool {
        let matcher = self.shared.matcher.get_or_init(|| {
            meta::Builder::new()
                .configure(
                    // RE2's own budget bounds the size of what gets here.
                    meta::Config::new().utf8_empty(false).nfa_size_limit(None).which_captures(WhichCaptures::None),
                )
                .build_from_hir(&self.anchored())
                .ok()
        });
        matcher.as_ref().is_some_and(|matcher| matcher.is_match(subject))
    }

    /// The flat automaton of the pattern's language, of at most `limit` bytes. See [`Dfa::many`].
    pub fn dfa(&self, limit: usize) -> Result<Dfa, TooLarge> {
        Dfa::many(std::slice::from_ref(self), limit)
    }

    /// An equivalent pattern for the `regex` crate, with the same groups under the same numbers, preferring the same
    /// matches. It is not anchored. A group inside `{0}` never takes part in a match; that crate may not know it at all.
    ///
    /// It may nest deeper and be larger than that crate takes unless told: give [`TRANSLATED_NEST_LIMIT`] to its builder,
    /// and a size limit of your own. It can be given to `regex::Regex` and to `regex::bytes::Regex`; one with `\C` to the latter only. On valid UTF-8
    /// it matches as RE2 does; on other bytes it is strict.
    pub fn to_rust(&self) -> String {
        translate::translate(&self.shared.node)
    }

    /// What every text of the language begins with, as far as that is easily told; perhaps nothing.
    pub fn literal_prefix(&self) -> SmolStr {
        let literals = Extractor::new().kind(ExtractKind::Prefix).extract(&self.anchored());
        let prefix = literals.longest_common_prefix().unwrap_or_default();
        std::str::from_utf8(prefix).map(SmolStr::new).unwrap_or_default()
    }

    /// The pattern's language, both ends anchored.
    pub(crate) fn anchored(&self) -> Hir {
        lower::anchored(&self.shared.node)
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

/// The patterns in use, by text.
#[derive(Default)]
struct InUse {
    patterns: HashMap<SmolStr, Weak<Shared>>,
    /// Forget the unused ones when there are so many.
    sweep_at: usize,
}

static IN_USE: OnceLock<Mutex<InUse>> = OnceLock::new();

fn in_use() -> std::sync::MutexGuard<'static, InUse> {
    // What a panic could leave half done here is one entry, and any entry is good.
    IN_USE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn interned(text: &str) -> Option<Arc<Shared>> {
    in_use().patterns.get(text)?.upgrade()
}

fn intern(shared: Shared) -> Arc<Shared> {
    let mut in_use = in_use();
    if let Some(earlier) = in_use.patterns.get(&shared.text).and_then(Weak::upgrade) {
        return earlier;
    }
    if in_use.patterns.len() >= in_use.sweep_at {
        in_use.patterns.retain(|_, pattern| pattern.strong_count() > 0);
        in_use.sweep_at = (in_use.patterns.len() * 2).max(1024);
    }
    let shared = Arc::new(shared);
    in_use.patterns.insert(shared.text.clone(), Arc::downgrade(&shared));
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> (Option<usize>, Option<usize>) {
        let verdict = verdict(text);
        (verdict.go.err().map(|error| error.offset), verdict.re2.err().map(|error| error.offset))
    }

    #[test]
    fn where_the_readers_differ() {
        let cases = [
            ("/a", (None, None)),
            (r"a\C", (Some(1), None)),
            (r"a\p{greek}", (None, Some(1))),
            (r"\p{Old_Italic}", (Some(0), None)),
            ("(?P<\u{e9}>a)", (Some(0), None)),
            ("a{12345678901}", (Some(1), None)),
            ("((a{1000}){0}){2}", (None, Some(14))),
        ];
        for (text, expected) in cases {
            assert_eq!(errors(text), expected, "{text}");
        }
    }

    #[test]
    fn where_the_fault_is() {
        let cases = [
            ("é*+", 3, "a repetition cannot follow another one directly; use a group"),
            ("a(b(c)", 1, "missing closing `)` for this group"),
            ("ab)", 2, "this `)` closes nothing"),
            ("x[a-", 1, "missing closing `]` for this class"),
            ("x[z-a]", 2, "`z-a` has its ends in the wrong order"),
            ("x(?=a)", 1, "there is no look-ahead in this dialect"),
            ("x(?<!a)", 1, "there is no look-behind in this dialect"),
            (r"(a)\1", 3, r"`\1` would be a back-reference, which this dialect has not"),
            ("(a{500}){3}", 8, "`{3}` and the repetitions in it are more than 1000 in all"),
            ("*", 0, "`*` has nothing to repeat"),
            (r"a\", 1, "the pattern ends in a lone backslash"),
        ];
        for (text, offset, message) in cases {
            let error = Pattern::parse(text).expect_err(text);
            assert_eq!((error.offset, error.message.as_str(), error.go_accepts), (offset, message, false), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8() {
        let full_match = |text: &str, subject: &[u8]| Pattern::parse(text).expect(text).is_full_match(subject);
        // As RE2 answers: the short form of "everything beyond ASCII" is not strict, and nothing matches half of it.
        for text in [".", "[^/]", r"\D", "(?s:.)"] {
            assert!(full_match(text, b"\xe0\x80\x80"), "{text}");
            assert!(!full_match(text, b"\xc0\x80"), "{text}");
            assert!(!full_match(text, b"\xff"), "{text}");
        }
        assert!(!full_match("[^\u{e9}]", b"\xe0\x80\x80"));
        assert!(full_match(r"\C\C", "\u{e9}".as_bytes()));
    }

    #[test]
    fn equal_texts_share() {
        let one = Pattern::parse("/shared/[a-z]+").expect("a pattern");
        let other = Pattern::parse("/shared/[a-z]+").expect("a pattern");
        assert!(Arc::ptr_eq(&one.shared, &other.shared));
        assert_ne!(one, Pattern::parse("/shared/[a-y]+").expect("a pattern"));
    }

    #[test]
    fn deep_nesting_is_bounded() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")?".repeat(depth));
        let deep = Pattern::parse(&nested(499)).expect("a pattern");
        assert!(deep.is_full_match(b"a") && deep.dfa(1 << 20).is_ok());
        let translated = regex::RegexBuilder::new(&deep.to_rust()).nest_limit(TRANSLATED_NEST_LIMIT).build();
        assert!(translated.is_ok_and(|regex| regex.is_match("a")));
        for text in [nested(501), nested(100_000), "(".repeat(100_000), format!("a{}", "(?i)*(?i)+".repeat(100_000))] {
            assert!(verdict(&text).go.is_err() && Pattern::parse(&text).is_err());
        }
    }
}
