//! Finding the rows that may hold a request, without asking all.

use crate::language::Test;
use crate::{Axis, Literal, Point, Product, Space};
use hashbrown::HashMap;
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// Each row is filed under one of its conditions: one that few requests meet.
#[derive(Default)]
pub(super) struct Index {
    /// By number of the axis and the whole value that it asks for.
    exact: HashMap<u32, HashMap<SmolStr, Vec<u32>>>,
    /// Those of these axes that have a value also in requests that do not name them.
    always: Vec<u32>,
    /// By how the path begins.
    prefixes: HashMap<SmolStr, Vec<u32>>,
    /// The lengths of those prefixes.
    lengths: BTreeSet<usize>,
    /// Rows that ask for nothing that could be looked up.
    rest: Vec<u32>,
}

/// Where a row can be filed.
enum Key {
    Exact(u32, SmolStr),
    Prefix(SmolStr),
}

/// A prefix of this length or less is met by so many requests that another condition is the better key.
const SHORT: usize = 1;

impl Index {
    pub(super) fn new(rows: &[Product], space: &Space) -> Index {
        let mut index = Index::default();
        for (row, product) in rows.iter().enumerate() {
            let row = row as u32;
            match best_key(product, space) {
                None => index.rest.push(row),
                Some(Key::Exact(axis, value)) => {
                    let by_value = index.exact.entry(axis).or_insert_with(|| {
                        if !space.is_absent_unless_named(axis) {
                            index.always.push(axis);
                        }
                        HashMap::default()
                    });
                    by_value.entry(value).or_default().push(row);
                }
                Some(Key::Prefix(prefix)) => {
                    index.lengths.insert(prefix.len());
                    index.prefixes.entry(prefix).or_default().push(row);
                }
            }
        }
        index
    }

    /// The rows that may hold a request, in no order.
    pub(super) fn candidates(&self, space: &mut Space, point: &Point) -> Vec<u32> {
        let mut rows = self.rest.clone();
        let mut of_values = |axis: u32, values: &[Vec<u8>]| {
            let Some(by_value) = self.exact.get(&axis) else { return };
            let values = values.iter().filter_map(|value| std::str::from_utf8(value).ok());
            rows.extend(values.filter_map(|value| by_value.get(value)).flatten());
        };
        for (axis, values) in point.named() {
            of_values(axis, values);
        }
        for &axis in self.always.iter().filter(|axis| !point.names(**axis)) {
            of_values(axis, &space.values_of(point, axis));
        }
        if !self.lengths.is_empty() {
            let path = space.values(point, &Axis::Path).into_iter().next().unwrap_or_default();
            let path = std::str::from_utf8(&path).unwrap_or_default();
            for prefix in self.lengths.iter().filter_map(|&length| path.get(..length)) {
                rows.extend(self.prefixes.get(prefix).into_iter().flatten());
            }
        }
        rows
    }
}

fn best_key(product: &Product, space: &Space) -> Option<Key> {
    let keys = product.literals().iter().filter_map(|&literal| Some((space.axis_of(literal), key(literal, space)?)));
    // An exact path first, then a long prefix, then whatever else is exact.
    let best = keys.min_by_key(|(axis, key)| match (axis, key) {
        (Axis::Path, Key::Exact(..)) => 0,
        (_, Key::Prefix(prefix)) if prefix.len() > SHORT => 1,
        (Axis::Listener, Key::Exact(..)) => 4,
        (_, Key::Exact(..)) => 2,
        (_, Key::Prefix(_)) => 3,
    });
    best.map(|(_, key)| key)
}

fn key(literal: Literal, space: &Space) -> Option<Key> {
    let (test, holds) = space.test_of(literal);
    let axis = space.axis_of(literal);
    match test {
        _ if !holds || *axis == Axis::Field(crate::Field::PathWithQuery) => None,
        Test::Exact { value, ignore_case: false } => Some(Key::Exact(literal.axis(), value.clone())),
        _ if *axis != Axis::Path => None,
        Test::Prefix { value, ignore_case: false } => Some(Key::Prefix(value.clone())),
        Test::Regex(pattern) => Some(pattern.literal_prefix()).filter(|prefix| !prefix.is_empty()).map(Key::Prefix),
        _ => None,
    }
}
