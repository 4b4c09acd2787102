//! Which rows may have a request in common, judged by their paths.

use crate::language::Test;
use crate::{Axis, Product, Space};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Rows by what their paths are or begin with.
pub struct Overlap {
    /// Rows of one whole path.
    exact: BTreeMap<SmolStr, Vec<u32>>,
    /// Rows whose paths begin so.
    prefixes: BTreeMap<SmolStr, Vec<u32>>,
    lengths: BTreeSet<usize>,
    /// Rows of any path.
    any: Vec<u32>,
    keys: Vec<Key>,
}

enum Key {
    Exact(SmolStr),
    Prefix(SmolStr),
    Any,
}

impl Overlap {
    /// Indexes the rows of a list.
    pub fn new(rows: &[Product], space: &Space) -> Overlap {
        let keys: Vec<Key> = rows.iter().map(|row| key(row, space)).collect();
        let mut overlap = Overlap {
            exact: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            lengths: BTreeSet::new(),
            any: Vec::new(),
            keys: Vec::new(),
        };
        for (row, key) in keys.iter().enumerate() {
            let row = row as u32;
            match key {
                Key::Exact(path) => overlap.exact.entry(path.clone()).or_default().push(row),
                Key::Prefix(path) => {
                    overlap.lengths.insert(path.len());
                    overlap.prefixes.entry(path.clone()).or_default().push(row);
                }
                Key::Any => overlap.any.push(row),
            }
        }
        overlap.keys = keys;
        overlap
    }

    /// The rows before `row` that may share a request with it, in order.
    pub fn before(&self, row: usize) -> Vec<usize> {
        let mut found: Vec<u32> = match self.keys.get(row) {
            None => Vec::new(),
            Some(Key::Any) => (0..row as u32).collect(),
            Some(Key::Exact(path)) => {
                self.exact.get(path).into_iter().flatten().chain(self.above(path)).chain(&self.any).copied().collect()
            }
            Some(Key::Prefix(path)) => {
                let below = below(&self.exact, path).chain(below(&self.prefixes, path));
                below.chain(self.above(path)).chain(&self.any).copied().collect()
            }
        };
        found.retain(|&other| (other as usize) < row);
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|row| row as usize).collect()
    }

    /// The rows of prefixes of a path.
    fn above<'o>(&'o self, path: &'o str) -> impl Iterator<Item = &'o u32> {
        let prefixes = self.lengths.iter().filter_map(move |&length| path.get(..length));
        prefixes.filter_map(|prefix| self.prefixes.get(prefix)).flatten()
    }
}

/// The rows of paths that begin so.
fn below<'o>(rows: &'o BTreeMap<SmolStr, Vec<u32>>, prefix: &'o str) -> impl Iterator<Item = &'o u32> {
    let from = rows.range(SmolStr::new(prefix)..);
    from.take_while(move |(path, _)| path.starts_with(prefix)).flat_map(|(_, rows)| rows)
}

fn key(product: &Product, space: &Space) -> Key {
    let mut best = Key::Any;
    for &literal in product.literals() {
        let (test, holds) = space.test_of(literal);
        if !holds || *space.axis_of(literal) != Axis::Path {
            continue;
        }
        match test {
            Test::Exact { value, ignore_case: false } => return Key::Exact(value.clone()),
            Test::Prefix { value, ignore_case: false } => best = Key::Prefix(value.clone()),
            Test::Regex(pattern) if matches!(best, Key::Any) => best = Key::Prefix(pattern.literal_prefix()),
            _ => {}
        }
    }
    best
}
