//! The search for a request that comes to a route, in a space of which next to nothing is assumed.

use crate::program::Route;
use malha_algebra::language::{Limits, PathForm};
use malha_algebra::{Among, Field, List, Predicate, Reach, Space, World};
use smol_str::format_smolstr;
use std::sync::Arc;

/// Steps of one question. Those who want to know are waiting for a table; the lints have more patience.
const BUDGET: usize = 200;

/// Less than lints may spend, likewise.
const LIMITS: Limits = Limits { states: 10_000, automaton: 256 << 10, work: 20_000_000 };

/// What they say a caller of the evaluator chooses freely, as the address of the peer: even what no header can hold.
const OF_THE_PEER: [&str; 2] = ["x-forwarded-for", "x-envoy-external-address"];

/// Begins the names under which the algebra has the other fields.
const MARK: char = '\u{1}';

/// The routes of a virtual host, as the algebra has them.
pub(super) struct Rows {
    space: Space,
    list: List,
    /// Routes of which everything is understood; the others neither go nor take anything from one that does.
    is_understood: Vec<bool>,
}

/// The question whether a route is reached stayed open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open;

impl Rows {
    pub(super) fn new(routes: &[Route]) -> Rows {
        let world = World { path: PathForm::Raw, ..World::default() };
        let mut space = Space::new(Arc::new(world), Vec::new(), LIMITS);
        let products = routes.iter().map(|route| space.product(&freed(&route.predicate))).collect();
        let list = List::new(products, &space);
        Rows { space, list, is_understood: routes.iter().map(|route| is_understood(&route.predicate)).collect() }
    }

    /// The kept routes that take all that a route asks for (none: it asks for what there is not), if it is unreached.
    pub(super) fn taken_by(&mut self, number: usize, is_kept: &[bool]) -> Result<Option<Vec<usize>>, Open> {
        let (true, Some(product)) = (self.is_understood[number], self.list.rows().get(number)) else { return Ok(None) };
        let takes = |row: usize| row < number && is_kept[row] && self.is_understood[row];
        match self.list.left_of(&mut self.space, product, Among::These(&takes), BUDGET) {
            Reach::Live(_) => Ok(None),
            Reach::Empty => Ok(Some(Vec::new())),
            Reach::Taken(by) => Ok(Some(by)),
            Reach::Unknown => Err(Open),
        }
    }
}

fn is_understood(predicate: &Predicate) -> bool {
    predicate.conditions.iter().all(|condition| match &condition.field {
        Field::Header(name) => !OF_THE_PEER.contains(&name.as_str()),
        Field::Claim(name) => !name.starts_with(MARK),
        _ => true,
    })
}

/// The same predicate where every field but the path may have any number of values, of any text.
fn freed(predicate: &Predicate) -> Predicate {
    let mut freed = predicate.clone();
    for condition in &mut freed.conditions {
        let name = match &condition.field {
            Field::Header(_) | Field::Claim(_) => continue,
            Field::Method => "method",
            Field::Scheme => "scheme",
            Field::Authority => "authority",
            Field::PathWithQuery => "path",
            Field::Query(name) => &format_smolstr!("query {name}"),
        };
        // Of all fields the algebra assumes least about claims.
        condition.field = Field::Claim(format_smolstr!("{MARK}{name}"));
    }
    freed
}
