//! Which routes of a virtual host no request comes to, whatever requests there are: what a table can do without.
//!
//! Lints ask about the requests that HTTP, Envoy and the way in let through, for that is what a reader wants to know. A
//! table is asked by whoever holds it. So next to nothing is assumed here: every field but the path may have any number
//! of values, and the path is any printable text that begins with `/`. What is unreached in this space is unreached in
//! every smaller one. A question that is not settled cheaply leaves the route where it is.

mod probe;
mod space;

use crate::program::{Route, VirtualHost};
use space::{Open, Rows};
use std::sync::OnceLock;

/// A route that no request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Its index among the routes of its virtual host.
    pub route: usize,
    /// The routes before it that together take all that it asks for, as indexes, in order: none of them is unreached, and
    /// none can be spared. Empty: what it asks for no request has.
    pub taken_by: Vec<usize>,
}

/// What was found out about a virtual host, kept with it. A copy may be changed, so it is asked anew.
#[derive(Debug, Default)]
pub struct Known(OnceLock<Vec<Unreached>>);

impl Clone for Known {
    fn clone(&self) -> Known {
        Known::default()
    }
}

/// The routes of a virtual host that no request comes to, in order. Found out once: it is kept with the virtual host.
pub fn unreached(host: &VirtualHost) -> &[Unreached] {
    host.unreached.0.get_or_init(|| find(&host.routes))
}

/// After so many questions about one virtual host that stayed open, its other routes are not asked about.
const MOST_OPEN: usize = 16;

fn find(routes: &[Route]) -> Vec<Unreached> {
    let mut found: Vec<Unreached> = Vec::new();
    let mut is_kept = vec![true; routes.len()];
    let mut takes_all: Option<usize> = None;
    let mut rows: Option<Rows> = None;
    let mut open = 0;
    for (number, route) in routes.iter().enumerate() {
        let unreached = if let Some(before) = takes_all {
            Some(vec![before])
        } else if open == MOST_OPEN || probe::is_plainly_reached(routes, &is_kept, number) {
            None
        } else {
            let rows = rows.get_or_insert_with(|| Rows::new(routes));
            let answer = rows.taken_by(number, &is_kept);
            open += usize::from(answer == Err(Open));
            answer.unwrap_or_default()
        };
        if let Some(taken_by) = unreached {
            is_kept[number] = false;
            found.push(Unreached { route: number, taken_by });
        } else if route.predicate.is_catch_all() {
            takes_all = Some(number);
        }
    }
    found
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
