//! The search for a request that some rows leave over.
//!
//! A request of what is left is tried. If no row takes it, it is the answer. Else what is left must differ from it in one
//! of the conditions of a row that does: those conditions are denied one after another, and each part is searched. A row
//! whose conditions all follow from what is left takes the part whole. What ends the search without an answer is a proof,
//! and the rows that it used are the ones that take everything.

use super::{Among, List, Reach};
use crate::{Literal, Point, Product, Search, Space};
use std::collections::BTreeSet;

/// How many of the rows that take a request are looked at for the one with the fewest open conditions.
const LOOKED_AT: usize = 8;

pub(super) fn solve(list: &List, space: &mut Space, product: &Product, among: Among<'_>, budget: usize) -> Reach {
    if let Some(row) = taken_by_one(list, space, product, among) {
        return Reach::Taken(vec![row]);
    }
    let mut search = Solver { list, space, among, steps: budget, used: BTreeSet::new(), unknown: false };
    match search.visit(product.clone()) {
        Some(point) => Reach::Live(point),
        None if search.unknown => Reach::Unknown,
        None => {
            let used = search.used;
            Reach::Taken(fewest(list, space, product, used, budget))
        }
    }
}

/// A row that takes the whole product by itself, the first such.
fn taken_by_one(list: &List, space: &mut Space, product: &Product, among: Among<'_>) -> Option<usize> {
    let Search::Found(point) = space.point(product) else { return None };
    // It takes every request of the product, so also this one.
    let rows = list.holding(space, &point, among, usize::MAX);
    rows.into_iter().find(|&row| open(list, space, product, row, 1).is_empty())
}

/// The conditions of a row that do not follow from the product; more than `most` are not counted.
fn open(list: &List, space: &mut Space, product: &Product, row: usize, most: usize) -> Vec<Literal> {
    let mut open = Vec::new();
    for &literal in list.rows[row].literals() {
        if product.literals().binary_search(&literal).is_ok() {
            continue;
        }
        let mut denied = product.clone();
        denied.insert(!literal);
        if !space.is_empty(&denied) {
            open.push(literal);
            if open.len() == most {
                break;
            }
        }
    }
    open
}

struct Solver<'a> {
    list: &'a List,
    space: &'a mut Space,
    among: Among<'a>,
    steps: usize,
    /// The rows that the proof so far rests on.
    used: BTreeSet<usize>,
    unknown: bool,
}

impl Solver<'_> {
    /// A request of the product that no row takes; none if there is none, or (`unknown`) if it was not found.
    fn visit(&mut self, mut product: Product) -> Option<Point> {
        loop {
            if self.steps == 0 || !self.space.step() {
                self.unknown = true;
                return None;
            }
            self.steps -= 1;
            let point = match self.space.point(&product) {
                Search::Found(point) => point,
                Search::Empty => return None,
                Search::Unknown => {
                    self.unknown = true;
                    return None;
                }
            };
            let rows = self.list.holding(self.space, &point, self.among, LOOKED_AT);
            let mut best: Option<(usize, Vec<Literal>)> = None;
            for row in rows {
                let most = best.as_ref().map_or(usize::MAX, |(_, open)| open.len());
                let open = open(self.list, self.space, &product, row, most);
                if open.len() < most {
                    best = Some((row, open));
                }
                if best.as_ref().is_some_and(|(_, open)| open.len() <= 1) {
                    break;
                }
            }
            let Some((row, open)) = best else { return Some(point) };
            self.used.insert(row);
            match open.as_slice() {
                [] => return None,
                [only] => product.insert(!*only),
                several => return self.split(&product, several),
            }
        }
    }

    /// The product without what a row takes of it, in parts that do not overlap.
    fn split(&mut self, product: &Product, open: &[Literal]) -> Option<Point> {
        let mut rest = product.clone();
        for &literal in open {
            let mut part = rest.clone();
            part.insert(!literal);
            if let Some(point) = self.visit(part) {
                return Some(point);
            }
            rest.insert(literal);
        }
        None
    }
}

/// Leaves out of `used` what the proof does not need: of the rest no row can be spared.
fn fewest(list: &List, space: &mut Space, product: &Product, used: BTreeSet<usize>, budget: usize) -> Vec<usize> {
    const TRIED: usize = 24;
    let mut needed: Vec<usize> = used.into_iter().collect();
    if needed.len() > TRIED {
        return needed;
    }
    // The later rows are the first to be spared: who reads top to bottom meets the earlier ones first.
    for row in needed.clone().into_iter().rev() {
        let without: Vec<usize> = needed.iter().copied().filter(|&other| other != row).collect();
        let is_one = |other: usize| without.contains(&other);
        let mut search =
            Solver { list, space, among: Among::These(&is_one), steps: budget, used: BTreeSet::new(), unknown: false };
        if search.visit(product.clone()).is_none() && !search.unknown {
            needed = without;
        }
    }
    needed
}
