//! Who wins what in an ordered list of products: the first that holds a request has it.

mod index;
mod overlap;
mod solve;

pub use overlap::Overlap;

use crate::{Point, Product, Search, Space};
use index::Index;

/// An ordered list of products, indexed so that those which hold a request are found without asking all.
pub struct List {
    rows: Vec<Product>,
    index: Index,
}

/// Whether a set of requests is left by the rows before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This request is.
    Live(Point),
    /// The set is empty by itself.
    Empty,
    /// All of it is taken: by these rows together, and by no fewer of them.
    Taken(Vec<usize>),
    /// Finding out takes more than the budget allows.
    Unknown,
}

/// Which rows take requests away.
#[derive(Clone, Copy)]
pub enum Among<'a> {
    /// Those before this one.
    Before(usize),
    /// Those for which this is true.
    These(&'a dyn Fn(usize) -> bool),
}

impl Among<'_> {
    fn holds(self, row: usize) -> bool {
        match self {
            Among::Before(end) => row < end,
            Among::These(is_one) => is_one(row),
        }
    }
}

/// Steps of one search; past them the answer is [`Reach::Unknown`].
pub const DEFAULT_BUDGET: usize = 4000;

impl List {
    /// Indexes the rows.
    pub fn new(rows: Vec<Product>, space: &Space) -> List {
        let index = Index::new(&rows, space);
        List { rows, index }
    }

    /// The rows.
    pub fn rows(&self) -> &[Product] {
        &self.rows
    }

    /// Whether some request reaches a row: is in it, and in none before it.
    pub fn reach(&self, space: &mut Space, row: usize, budget: usize) -> Reach {
        match self.rows.get(row) {
            Some(product) => self.left_of(space, product, Among::Before(row), budget),
            None => Reach::Empty,
        }
    }

    /// Whether some request of `product` is in none of the rows `among`.
    pub fn left_of(&self, space: &mut Space, product: &Product, among: Among<'_>, budget: usize) -> Reach {
        match space.point(product) {
            Search::Empty => return Reach::Empty,
            Search::Unknown => return Reach::Unknown,
            Search::Found(_) => {}
        }
        solve::solve(self, space, product, among, budget)
    }

    /// The first row that holds a request.
    pub fn first(&self, space: &mut Space, point: &Point) -> Option<usize> {
        self.holding(space, point, Among::These(&|_| true), 1).into_iter().next()
    }

    /// The first rows `among` that hold a request, at most `most`, in order.
    fn holding(&self, space: &mut Space, point: &Point, among: Among<'_>, most: usize) -> Vec<usize> {
        let mut rows = self.index.candidates(space, point);
        rows.retain(|&row| among.holds(row as usize));
        // Sorting numbers is cheaper than anything else that is counted.
        space.spend(rows.len() / 8);
        rows.sort_unstable();
        rows.dedup();
        let mut found = Vec::new();
        for row in rows {
            space.spend(self.rows[row as usize].literals().len());
            if space.contains(&self.rows[row as usize], point) {
                found.push(row as usize);
                if found.len() == most {
                    break;
                }
            }
        }
        found
    }
}
