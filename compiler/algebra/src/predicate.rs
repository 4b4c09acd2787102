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
