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
    let mut search = Solver::new(list, space, among, budget);
    match search.run(product.clone()) {
        Some(point) => Reach::Live(point),
        None if search.unknown => Reach::Unknown,
        None => {
            let used = search.used;
            Reach::Taken(needed(list, space, product, used, budget))
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
        if product.literals().binary_search(&literal).is_err() && space.is_open(product, literal) {
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
    /// What was added to the product, in order.
    added: Vec<Literal>,
}

/// A product without what a row takes of it, in parts that do not overlap: in each some condition of the row is denied,
/// and those before it hold.
struct Split {
    /// How much had been added to the product.
    added: usize,
    open: std::vec::IntoIter<Literal>,
    /// The condition that is denied in the part that is searched.
    denied: Option<Literal>,
}

/// What is found at one product.
enum Step {
    Left(Point),
    Nothing,
    Split(Vec<Literal>),
}

impl<'a> Solver<'a> {
    fn new(list: &'a List, space: &'a mut Space, among: Among<'a>, steps: usize) -> Self {
        Solver { list, space, among, steps, used: BTreeSet::new(), unknown: false, added: Vec::new() }
    }

    /// A request of the product that no row takes; none if there is none, or (`unknown`) if it was not found.
    fn run(&mut self, mut product: Product) -> Option<Point> {
        let mut splits: Vec<Split> = Vec::new();
        loop {
            match self.visit(&mut product) {
                Step::Left(point) => return Some(point),
                Step::Nothing => {}
                Step::Split(open) => {
                    splits.push(Split { added: self.added.len(), open: open.into_iter(), denied: None });
                }
            }
            self.next_part(&mut product, &mut splits)?;
        }
    }

    /// Makes the product that of the next part to be searched; none if there is no more.
    fn next_part(&mut self, product: &mut Product, splits: &mut Vec<Split>) -> Option<()> {
        loop {
            let split = splits.last_mut()?;
            for literal in self.added.drain(split.added..) {
                product.remove(literal);
            }
            if let Some(denied) = split.denied.take() {
                Self::add(&mut self.added, product, denied);
                split.added = self.added.len();
            }
            if let Some(literal) = split.open.next() {
                split.denied = Some(literal);
                Self::add(&mut self.added, product, !literal);
                return Some(());
            }
            splits.pop();
        }
    }

    fn add(added: &mut Vec<Literal>, product: &mut Product, literal: Literal) {
        if product.insert(literal) {
            added.push(literal);
        }
    }

    /// Looks at one product: while a row takes all but one part of it, that part is what is left of it.
    fn visit(&mut self, product: &mut Product) -> Step {
        // What each step costs besides the searches that it asks for.
        let mut point = match self.space.point(product) {
            _ if !self.space.spend(product.literals().len()) => return self.give_up(),
            Search::Found(point) => point,
            Search::Empty => return Step::Nothing,
            Search::Unknown => return self.give_up(),
        };
        loop {
            if self.steps == 0 {
                return self.give_up();
            }
            self.steps -= 1;
            let rows = self.list.holding(self.space, &point, self.among, LOOKED_AT);
            let mut best: Option<(usize, Vec<Literal>)> = None;
            for row in rows {
                let most = best.as_ref().map_or(usize::MAX, |(_, open)| open.len());
                let open = open(self.list, self.space, product, row, most);
                if open.len() < most {
                    best = Some((row, open));
                }
                if best.as_ref().is_some_and(|(_, open)| open.len() <= 1) {
                    break;
                }
            }
            if !self.space.spend(1) {
                return self.give_up();
            }
            let Some((row, open)) = best else { return Step::Left(point) };
            self.used.insert(row);
            match open.as_slice() {
                [] => return Step::Nothing,
                [only] => {
                    let rest = !*only;
                    Self::add(&mut self.added, product, rest);
                    match self.space.adapt(product, rest, &mut point) {
                        Search::Found(()) => {}
                        Search::Empty => return Step::Nothing,
                        Search::Unknown => return self.give_up(),
                    }
                }
                _ => return Step::Split(open),
            }
        }
    }

    fn give_up(&mut self) -> Step {
        self.unknown = true;
        Step::Nothing
    }
}

/// Leaves out of `used` what the proof does not need: of the rest no row can be spared.
fn needed(list: &List, space: &mut Space, product: &Product, used: BTreeSet<usize>, budget: usize) -> Vec<usize> {
    const TRIED: usize = 24;
    let mut needed: Vec<usize> = used.into_iter().collect();
    if needed.len() > TRIED {
        return needed;
    }
    // The later rows are the first to be spared: who reads top to bottom meets the earlier ones first.
    for row in needed.clone().into_iter().rev() {
        let without: Vec<usize> = needed.iter().copied().filter(|&other| other != row).collect();
        let is_one = |other: usize| without.contains(&other);
        let mut search = Solver::new(list, space, Among::These(&is_one), budget);
        if search.run(product.clone()).is_none() && !search.unknown {
            needed = without;
        }
    }
    needed
}
