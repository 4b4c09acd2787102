//! Whether a predicate holds for a request (semantics B.3).

use malha_algebra::{Condition, Field, PathTest, Predicate};
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
    if !predicate.path.matches(request.path()) {
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

fn condition_holds(condition: &Condition, request: &impl RequestView) -> bool {
    let one = |value: &[u8]| condition.holds([value]);
    match &condition.field {
        Field::Method => one(request.method().as_bytes()),
        Field::Scheme => one(request.scheme().as_bytes()),
        Field::Authority => one(request.authority().as_bytes()),
        Field::PathWithQuery => {
            let query = request.query().map(|query| format!("?{query}"));
            one([request.path(), query.as_deref().unwrap_or_default()].concat().as_bytes())
        }
        Field::Header(name) => {
            let mut lines: Vec<Vec<u8>> = Vec::new();
            request.any_line(name, &mut |line| {
                lines.push(line.to_vec());
                // No line is enough: all of them are wanted.
                false
            });
            condition.holds(lines.iter().map(Vec::as_slice))
        }
        Field::Query(name) => condition.holds(request.query_parameter(name).map(str::as_bytes)),
        // No token is authenticated here, so that there are no claims.
        Field::Claim(_) => condition.holds([]),
    }
}
