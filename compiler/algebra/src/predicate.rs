//! The one form in which a match is lowered: a conjunction of conditions on request fields.
//!
//! The interpreter, the table builder and (later) the analysis and the Envoy emitter read nothing else.

use crate::re2::Pattern;
use smol_str::SmolStr;

/// What the path, without its query, must be (semantics B.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathTest {
    /// Any path that begins with `/`: what Istio makes of a match without `uri`.
    Any,
    /// The whole path.
    Exact {
        /// The path.
        value: SmolStr,
        /// ASCII case does not count.
        ignore_case: bool,
    },
    /// A plain string prefix, not aware of segments.
    Prefix {
        /// The prefix.
        value: SmolStr,
        /// ASCII case does not count.
        ignore_case: bool,
    },
    /// The whole path is in the pattern's language.
    Regex(Pattern),
}

impl PathTest {
    /// Whether the path, given without its query, passes.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            PathTest::Any => path.starts_with('/'),
            PathTest::Exact { value, ignore_case: false } => path == value,
            PathTest::Exact { value, ignore_case: true } => path.eq_ignore_ascii_case(value),
            PathTest::Prefix { value, ignore_case: false } => path.starts_with(value.as_str()),
            PathTest::Prefix { value, ignore_case: true } => {
                path.as_bytes().get(..value.len()).is_some_and(|start| start.eq_ignore_ascii_case(value.as_bytes()))
            }
            PathTest::Regex(pattern) => pattern.is_full_match(path.as_bytes()),
        }
    }
}

/// A field that a condition reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `:method`, compared with case.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority` as sent: port included, case kept.
    Authority,
    /// `:path` as a header name: path with query.
    PathWithQuery,
    /// The lines of a header; the name is in lower case. Each line is matched on its own.
    Header(SmolStr),
    /// The first occurrence of a query parameter, not decoded.
    Query(SmolStr),
    /// A claim of the request's JWT, as its path. Without an authenticated token it is absent.
    Claim(SmolStr),
}

impl Field {
    /// The field that a header of this name is: `Host` and the names that begin with a colon have fields of their own,
    /// and the case of a name does not count (semantics B.3).
    pub fn header(name: &str) -> Field {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            ":method" => Field::Method,
            ":scheme" => Field::Scheme,
            ":authority" | "host" => Field::Authority,
            ":path" => Field::PathWithQuery,
            _ => Field::Header(name.into()),
        }
    }
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueTest {
    /// There is a value, perhaps empty.
    Present,
    /// Exactly this.
    Exact(SmolStr),
    /// Begins with this.
    Prefix(SmolStr),
    /// The whole value is in the pattern's language.
    Regex(Pattern),
}

impl ValueTest {
    /// Whether a value that is there passes.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            ValueTest::Present => true,
            ValueTest::Exact(text) => value == text.as_bytes(),
            ValueTest::Prefix(text) => value.starts_with(text.as_bytes()),
            ValueTest::Regex(pattern) => pattern.is_full_match(value),
        }
    }
}

/// One condition: some value of the field passes the test, or (negated) none does.
///
/// A negated value test sees a missing field as one empty value (semantics B.3, withoutHeaders).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Which field.
    pub field: Field,
    /// What its value must be.
    pub test: ValueTest,
    /// `withoutHeaders`: no value may pass.
    pub negated: bool,
}

impl Condition {
    /// Some value of the field passes the test.
    pub fn new(field: Field, test: ValueTest) -> Condition {
        Condition { field, test, negated: false }
    }

    /// An entry of `headers`: some line passes. The name is read by [`Field::header`].
    pub fn header(name: &str, test: ValueTest) -> Condition {
        Condition::new(Field::header(name), test)
    }

    /// An entry of `withoutHeaders`: no line passes. The name is read by [`Field::header`].
    pub fn without_header(name: &str, test: ValueTest) -> Condition {
        Condition { negated: true, ..Condition::header(name, test) }
    }

    /// An entry of `queryParams`: the first occurrence passes. Case counts in the name.
    pub fn query(name: &str, test: ValueTest) -> Condition {
        Condition::new(Field::Query(name.into()), test)
    }

    /// Whether the condition holds, given the field's values (header lines, or the one value; none if it is absent).
    pub fn holds<'v>(&self, values: impl IntoIterator<Item = &'v [u8]>) -> bool {
        let mut absent = true;
        let mut passes = false;
        for value in values {
            absent = false;
            passes = passes || self.test.matches(value);
        }
        if absent && self.negated && self.test != ValueTest::Present {
            passes = self.test.matches(b"");
        }
        passes != self.negated
    }
}

/// Conditions that are known before a request is: evaluated away when lowering to a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Static {
    /// The port of the listener, as the file counts it.
    pub port: Option<u32>,
    /// `namespace/name` of gateways, or `mesh`; empty: all that the object names.
    pub gateways: Vec<SmolStr>,
    /// Namespace of the executing proxy.
    pub source_namespace: Option<SmolStr>,
    /// Labels that the executing proxy must have.
    pub source_labels: Vec<(SmolStr, SmolStr)>,
}

/// One item of a `match` list (or the absence of any), lowered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// The path test.
    pub path: PathTest,
    /// All of these hold; in the order of field and then of the file, which has no effect on the result.
    pub conditions: Vec<Condition>,
    /// What lowering to a proxy evaluates away.
    pub fixed: Static,
}

impl Predicate {
    /// The predicate of a rule without `match`.
    pub fn any() -> Self {
        Predicate { path: PathTest::Any, conditions: Vec::new(), fixed: Static::default() }
    }

    /// Whether Istio takes it for a catch-all: path prefix exactly `/` or regex exactly `.*`, and nothing else
    /// (semantics A25).
    pub fn is_catch_all(&self) -> bool {
        self.conditions.is_empty()
            && match &self.path {
                PathTest::Any => true,
                PathTest::Prefix { value, .. } => value == "/",
                PathTest::Regex(pattern) => pattern.as_str() == ".*",
                PathTest::Exact { .. } => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    #[test]
    fn paths() {
        let exact = |value: &str, ignore_case| PathTest::Exact { value: value.into(), ignore_case };
        let prefix = |value: &str, ignore_case| PathTest::Prefix { value: value.into(), ignore_case };
        let cases = [
            (PathTest::Any, vec!["/", "/a"], vec!["", "*"]),
            (exact("/a", false), vec!["/a"], vec!["/a/", "/A", ""]),
            (exact("/a", true), vec!["/a", "/A"], vec!["/a/"]),
            (prefix("/foo", false), vec!["/foo", "/foobar", "/foo/"], vec!["/fo", "/Foo"]),
            (prefix("/foo", true), vec!["/FOObar"], vec!["/fo", "/f\u{2126}o"]),
            (prefix("", false), vec!["", "/", "*"], vec![]),
            (PathTest::Regex(regex("/a|/a.*b")), vec!["/a", "/axb"], vec!["/ax", "x/a"]),
        ];
        for (test, inside, outside) in cases {
            assert!(inside.iter().all(|path| test.matches(path)), "{test:?}");
            assert!(!outside.iter().any(|path| test.matches(path)), "{test:?}");
        }
    }

    #[test]
    fn names_of_headers() {
        let cases = [
            ("X-User", Field::Header("x-user".into())),
            ("Host", Field::Authority),
            (":authority", Field::Authority),
            (":Method", Field::Method),
            (":path", Field::PathWithQuery),
            (":scheme", Field::Scheme),
            (":status", Field::Header(":status".into())),
        ];
        for (name, field) in cases {
            assert_eq!(Field::header(name), field, "{name}");
        }
    }

    #[test]
    fn conditions() {
        let present = || ValueTest::Present;
        let exact = |text: &str| ValueTest::Exact(text.into());
        let any = || ValueTest::Regex(regex(".*"));
        // Test, values, whether it holds, whether its negation does.
        let cases: [(ValueTest, &[&[u8]], bool, bool); 10] = [
            (present(), &[], false, true),
            (present(), &[b""], true, false),
            (exact("x"), &[], false, true),
            (exact("x"), &[b"y", b"x"], true, false),
            (exact("x"), &[b"x,y"], false, true),
            (exact(""), &[], false, false),
            (exact(""), &[b""], true, false),
            (any(), &[], false, false),
            (any(), &[b"\xff"], false, true),
            (ValueTest::Prefix("v".into()), &[b"v1"], true, false),
        ];
        for (test, values, holds, negation_holds) in cases {
            let values = || values.iter().copied();
            assert_eq!(Condition::header("x", test.clone()).holds(values()), holds, "{test:?}");
            assert_eq!(Condition::without_header("x", test.clone()).holds(values()), negation_holds, "no {test:?}");
        }
    }
}
