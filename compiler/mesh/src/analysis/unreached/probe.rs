//! Routes that are reached, seen without a search: by one request that is made for them.

use crate::program::Route;
use malha_algebra::language::{Form, PathForm};
use malha_algebra::{Condition, Field, PathTest, Predicate, ValueTest};
use smol_str::{SmolStr, format_smolstr};

/// What follows a prefix in the request: no other rule is likely to ask for it.
const REST: &str = "~";

/// Of a longer list only so many routes are tried: the index of the search is better there.
const MOST_TRIED: usize = 512;

/// A request: its path, and the values of other fields. A field that is not named has none.
struct Probe<'p> {
    path: SmolStr,
    values: Vec<(&'p Field, SmolStr)>,
}

/// Whether a request that is made for a route comes to it: none of the routes before it that are kept takes it. If not,
/// another request may.
pub(super) fn is_plainly_reached(routes: &[Route], is_kept: &[bool], number: usize) -> bool {
    if number > MOST_TRIED {
        return false;
    }
    let Some(probe) = routes.get(number).and_then(|route| Probe::of(&route.predicate)) else { return false };
    let mut before = routes.iter().zip(is_kept).take(number).filter(|(_, is_kept)| **is_kept);
    before.all(|(route, _)| !probe.is_taken_by(&route.predicate))
}

impl<'p> Probe<'p> {
    /// A request that the predicate takes, where one is easily made.
    fn of(predicate: &'p Predicate) -> Option<Probe<'p>> {
        let path = match &predicate.path {
            PathTest::Any => SmolStr::new_static("/~"),
            PathTest::Exact { value, .. } => value.clone(),
            PathTest::Prefix { value, .. } if value.is_empty() => SmolStr::new_static("/~"),
            PathTest::Prefix { value, .. } => format_smolstr!("{value}{REST}"),
            PathTest::Regex(_) => return None,
        };
        if !Form::Path(PathForm::Raw).holds(path.as_bytes()) {
            return None;
        }
        let mut values = Vec::new();
        for condition in predicate.conditions.iter().filter(|condition| !condition.negated) {
            let value = match &condition.test {
                ValueTest::Present => SmolStr::new_static(REST),
                ValueTest::Exact(value) => value.clone(),
                ValueTest::Prefix(value) => format_smolstr!("{value}{REST}"),
                ValueTest::Regex(_) => return None,
            };
            values.push((&condition.field, value));
        }
        let probe = Probe { path, values };
        probe.is_taken_by(predicate).then_some(probe)
    }

    fn is_taken_by(&self, predicate: &Predicate) -> bool {
        predicate.path.matches(&self.path) && predicate.conditions.iter().all(|condition| self.meets(condition))
    }

    fn meets(&self, condition: &Condition) -> bool {
        let own = self.values.iter().filter(|(field, _)| **field == condition.field);
        condition.holds(own.map(|(_, value)| value.as_bytes()))
    }
}
