//! The index of a virtual host over the paths of its routes.

use super::{EmitError, Writer, none};
use malha_algebra::PathTest;
use malha_mesh::program::Route;
use malha_table::format::{self, PathEntry, PathSlot, Range, Str, U32, VirtualHostRecord};
use std::borrow::Cow;

/// Routes by path: sorted by path, the routes of each in order.
type ByPath<'p> = Vec<(Cow<'p, str>, Vec<u32>)>;

impl Writer<'_> {
    /// A record with nothing but the index.
    pub(super) fn path_index(&mut self, routes: &[&Route]) -> Result<VirtualHostRecord, EmitError> {
        let mut exact = Vec::new();
        let mut exact_ignoring_case = Vec::new();
        let mut prefixes = Vec::new();
        let mut prefixes_ignoring_case = Vec::new();
        let mut patterns = Vec::new();
        let mut pattern_routes = Vec::new();
        for (number, route) in (0..).zip(routes) {
            match &route.predicate.path {
                PathTest::Any => prefixes.push(("/".into(), number)),
                PathTest::Exact { value, ignore_case: false } => exact.push((value.as_str().into(), number)),
                PathTest::Exact { value, ignore_case: true } => {
                    exact_ignoring_case.push((value.to_ascii_lowercase().into(), number));
                }
                PathTest::Prefix { value, ignore_case: false } => prefixes.push((value.as_str().into(), number)),
                PathTest::Prefix { value, ignore_case: true } => {
                    prefixes_ignoring_case.push((value.to_ascii_lowercase().into(), number));
                }
                PathTest::Regex(pattern) => {
                    patterns.push(pattern.clone());
                    pattern_routes.push(number);
                }
            }
        }
        Ok(VirtualHostRecord {
            exact: self.path_slots(&grouped(exact))?,
            exact_ignoring_case: self.path_entries(&grouped(exact_ignoring_case))?,
            prefixes: self.path_entries(&grouped(prefixes))?,
            prefixes_ignoring_case: self.path_entries(&grouped(prefixes_ignoring_case))?,
            patterns: self.number_list(pattern_routes)?,
            automaton: if patterns.is_empty() { none() } else { self.automaton(&patterns)? },
            ..VirtualHostRecord::default()
        })
    }

    fn path_slots(&mut self, paths: &ByPath<'_>) -> Result<Range, EmitError> {
        let mut keys = Vec::with_capacity(paths.len());
        for (path, routes) in paths {
            let hash = format::hash(path.as_bytes());
            let routes = self.number_list(routes.iter().copied())?;
            keys.push((hash, PathSlot { path: self.strings.str(path)?, routes, hash: U32::new((hash >> 32) as u32) }));
        }
        let empty = PathSlot { path: Str::NONE, routes: Range::EMPTY, hash: U32::ZERO };
        self.path_slots.list(&hash_table(&keys, empty, |slot| !slot.path.is_some()))
    }

    fn path_entries(&mut self, paths: &ByPath<'_>) -> Result<Range, EmitError> {
        let mut entries = Vec::with_capacity(paths.len());
        // The entries that are prefixes of the one at hand, each of the next.
        let mut open: Vec<(u32, &str)> = Vec::new();
        for (number, (path, routes)) in (0..).zip(paths) {
            while open.last().is_some_and(|(_, prefix)| !path.starts_with(*prefix)) {
                open.pop();
            }
            entries.push(PathEntry {
                path: self.strings.str(path)?,
                routes: self.number_list(routes.iter().copied())?,
                parent: open.last().map_or(none(), |(parent, _)| U32::new(*parent)),
            });
            open.push((number, path));
        }
        self.path_entries.list(&entries)
    }
}

fn grouped(mut paths: Vec<(Cow<'_, str>, u32)>) -> ByPath<'_> {
    paths.sort_unstable();
    let mut groups: ByPath<'_> = Vec::new();
    for (path, number) in paths {
        match groups.last_mut() {
            Some((last, numbers)) if *last == path => numbers.push(number),
            _ => groups.push((path, vec![number])),
        }
    }
    groups
}

/// A linearly probed hash table, at most half full; empty for no keys.
pub(super) fn hash_table<S: Copy>(keys: &[(u64, S)], empty: S, is_empty: impl Fn(&S) -> bool) -> Vec<S> {
    if keys.is_empty() {
        return Vec::new();
    }
    let mut slots = vec![empty; (2 * keys.len()).next_power_of_two()];
    let mask = slots.len() - 1;
    for (hash, key) in keys {
        let mut place = format::home(*hash, slots.len());
        while !is_empty(&slots[place]) {
            place = (place + 1) & mask;
        }
        slots[place] = *key;
    }
    slots
}
