//! Whether a predicate holds for a request (semantics B.3).

use malha_algebra::{Condition, Field, PathTest, Predicate, ValueTest};
use malha_table::RequestView;
use malha_table::http::Matched;

/// The part of a predicate that a request does not meet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unmet<'p> {
    /// Its path test.
    Path(&'p PathTest),
    /// One of its conditions.
    Condition(&'p Condition),
}

/// Whether the predicate takes the request: path and all conditions (semantics B9).
pub(super) fn holds(predicate: &Predicate, request: &impl RequestView) -> bool {
    unmet(predicate, request).is_none()
}

/// The first part of the predicate that the request does not meet; none: it takes the request (semantics B9).
pub fn unmet<'p>(predicate: &'p Predicate, request: &impl RequestView) -> Option<Unmet<'p>> {
    if !path_holds(&predicate.path, request.path()) {
        return Some(Unmet::Path(&predicate.path));
    }
    predicate.conditions.iter().find(|condition| !condition_holds(condition, request)).map(Unmet::Condition)
}

/// How much of the path a rewrite of `Matched` replaces (semantics C.2).
pub(super) fn matched(predicate: &Predicate) -> Matched {
    match &predicate.path {
        PathTest::Any => Matched::Prefix(1),
        PathTest::Prefix { value, .. } => Matched::Prefix(value.len()),
        PathTest::Exact { .. } | PathTest::Regex(_) => Matched::Whole,
    }
}

fn path_holds(test: &PathTest, path: &str) -> bool {
    match test {
        PathTest::Any => path.starts_with('/'),
        PathTest::Exact { value, ignore_case: false } => path == value,
        PathTest::Exact { value, ignore_case: true } => path.eq_ignore_ascii_case(value),
        PathTest::Prefix { value, ignore_case: false } => path.starts_with(value.as_str()),
        PathTest::Prefix { value, ignore_case: true } => {
            path.as_bytes().get(..value.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(value.as_bytes()))
        }
        PathTest::Regex(pattern) => pattern.is_full_match(path.as_bytes()),
    }
}

fn condition_holds(condition: &Condition, request: &impl RequestView) -> bool {
    let mut present = false;
    let mut passes = false;
    let mut see = |value: &[u8]| {
        present = true;
        passes |= value_passes(&condition.test, value);
        // Every value is looked at; only the sum of it counts.
        false
    };
    match &condition.field {
        Field::Method => _ = see(request.method().as_bytes()),
        Field::Scheme => _ = see(request.scheme().as_bytes()),
        Field::Authority => _ = see(request.authority().as_bytes()),
        Field::PathWithQuery => {
            let query = request.query().map(|query| format!("?{query}"));
            see([request.path(), query.as_deref().unwrap_or_default()].concat().as_bytes());
        }
        Field::Header(name) => _ = request.any_line(name, &mut see),
        Field::Query(name) => {
            if let Some(value) = request.query_parameter(name) {
                see(value.as_bytes());
            }
        }
        // No token is authenticated here, so that there are no claims.
        Field::Claim(_) => {}
    }
    if !condition.negated {
        return passes;
    }
    // A negated value test sees a missing field as an empty value.
    let missing_passes = !present && condition.test != ValueTest::Present && value_passes(&condition.test, b"");
    !passes && !missing_passes
}

fn value_passes(test: &ValueTest, value: &[u8]) -> bool {
    match test {
        ValueTest::Present => true,
        ValueTest::Exact(whole) => value == whole.as_bytes(),
        ValueTest::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
        ValueTest::Regex(pattern) => pattern.is_full_match(value),
    }
}
