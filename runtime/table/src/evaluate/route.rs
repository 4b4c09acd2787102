//! Which route of a virtual host takes a request (semantics B.3): candidates by the index over paths, their conditions
//! evaluated once each.

use super::host::probe;
use crate::{
    RequestView, Table,
    format::{self, ConditionRecord, PathEntry, PathSlot, Range, RouteRecord, Section, U32, ValueTestRecord},
    pattern, table,
    view::{Route, VirtualHost, at},
};
use std::cmp::Ordering;

impl<'t> VirtualHost<'t> {
    /// The first route that takes the request. Does not allocate, but for a condition on `:path` of a request with a
    /// query.
    pub fn route(&self, request: &impl RequestView) -> Option<Route<'t>> {
        let routes: &[RouteRecord] = self.table.range(Section::Routes, self.record.routes);
        let mut search = Search {
            table: self.table,
            request,
            routes,
            conditions: self.table.numbers(self.record.conditions),
            known: [None; 128],
            best: routes.len() as u32,
        };
        let path = request.path().as_bytes();
        search.exact(self.table.range(Section::PathSlots, self.record.exact), path);
        search.exact_ignoring_case(self.entries(self.record.exact_ignoring_case), path);
        search.prefixes(self.entries(self.record.prefixes), path, compare, <[u8]>::starts_with);
        search.prefixes(self.entries(self.record.prefixes_ignoring_case), path, compare_lower, |path, prefix| {
            path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        });
        search.patterns(self.record.automaton, self.table.numbers(self.record.patterns), path);
        let best = Some(search.best).filter(|&best| (best as usize) < routes.len())?;
        at(self.table, self.record.routes.first.get().checked_add(best)?)
    }

    fn entries(&self, range: Range) -> &'t [PathEntry] {
        self.table.range(Section::PathEntries, range)
    }
}

/// The search for the first route; numbers count the routes, and the conditions, of the virtual host.
struct Search<'s, 't, R> {
    table: &'t Table,
    request: &'s R,
    routes: &'t [RouteRecord],
    conditions: &'t [U32],
    /// What the first conditions have come out as.
    known: [Option<bool>; 128],
    /// The lowest number that was found to match.
    best: u32,
}

impl<R: RequestView> Search<'_, '_, R> {
    fn exact(&mut self, slots: &[PathSlot], path: &[u8]) {
        if slots.is_empty() {
            return;
        }
        let found = probe(slots, format::hash(path), |slot| {
            let occupied = slot.path.is_some().then_some(slot.hash.get());
            (occupied, self.table.str_bytes(slot.path) == path)
        });
        if let Some(slot) = found {
            self.consider(self.table.numbers(slot.routes));
        }
    }

    fn exact_ignoring_case(&mut self, entries: &[PathEntry], path: &[u8]) {
        let found = entries.binary_search_by(|entry| compare_lower(self.table.str_bytes(entry.path), path));
        if let Some(entry) = found.ok().and_then(|index| entries.get(index)) {
            self.consider(self.table.numbers(entry.routes));
        }
    }

    /// Every entry that is a prefix of the path is the last entry not after it, or one of that entry's prefixes.
    fn prefixes(
        &mut self,
        entries: &[PathEntry],
        path: &[u8],
        compare: fn(&[u8], &[u8]) -> Ordering,
        is_prefix: fn(&[u8], &[u8]) -> bool,
    ) {
        let after = entries.partition_point(|entry| compare(self.table.str_bytes(entry.path), path).is_le());
        let mut next = after.checked_sub(1);
        while let Some(entry) = next.and_then(|index| entries.get(index)) {
            if is_prefix(path, self.table.str_bytes(entry.path)) {
                self.consider(self.table.numbers(entry.routes));
            }
            next = table::index(entry.parent).map(|parent| parent as usize);
        }
    }

    fn patterns(&mut self, automaton: U32, routes: &[U32], path: &[u8]) {
        let Some(first) = routes.first() else { return };
        if first.get() >= self.best {
            return;
        }
        if table::index(automaton).is_some() {
            for place in pattern::accepted(self.table, automaton, path) {
                if let Some(route) = routes.get(place.get() as usize) {
                    self.consider(std::slice::from_ref(route));
                }
            }
            return;
        }
        for route in routes {
            if route.get() >= self.best {
                return;
            }
            let record = self.routes.get(route.get() as usize);
            if record.is_some_and(|record| pattern::is_full_match(self.table, record.pattern, path)) {
                self.consider(std::slice::from_ref(route));
            }
        }
    }

    /// Takes the first of `routes`, whose path tests hold, that is before the best so far and whose conditions hold.
    fn consider(&mut self, routes: &[U32]) {
        for route in routes {
            let number = route.get();
            if number >= self.best {
                return;
            }
            if self.conditions_hold(number) {
                self.best = number;
                return;
            }
        }
    }

    fn conditions_hold(&mut self, route: u32) -> bool {
        let Some(record) = self.routes.get(route as usize) else { return false };
        self.table.numbers(record.conditions).iter().all(|local| self.condition_holds(local.get() as usize))
    }

    fn condition_holds(&mut self, local: usize) -> bool {
        if let Some(Some(known)) = self.known.get(local) {
            return *known;
        }
        let number = self.conditions.get(local);
        let record = number.and_then(|number| self.table.record::<ConditionRecord>(Section::Conditions, *number));
        let holds = record.is_some_and(|record| condition_holds(self.table, record, self.request));
        if let Some(known) = self.known.get_mut(local) {
            *known = Some(holds);
        }
        holds
    }
}

fn compare(entry: &[u8], path: &[u8]) -> Ordering {
    entry.cmp(path)
}

/// Compares an entry, in lower case, with a path of any case.
fn compare_lower(entry: &[u8], path: &[u8]) -> Ordering {
    entry.iter().copied().cmp(path.iter().map(u8::to_ascii_lowercase))
}

fn condition_holds(table: &Table, condition: &ConditionRecord, request: &impl RequestView) -> bool {
    let test = &condition.test;
    let is_negated = condition.negated.get() == 1;
    let name = table.str(condition.name);
    let (passes, is_present) = match condition.field.get() {
        0 => (passes(table, test, request.method().as_bytes()), true),
        1 => (passes(table, test, request.scheme().as_bytes()), true),
        2 => (passes(table, test, request.authority().as_bytes()), true),
        3 => (path_with_query_passes(table, test, request), true),
        4 => {
            let mut is_present = false;
            let passes = request.any_line(name, &mut |line| {
                is_present = true;
                passes(table, test, line)
            });
            (passes, is_present)
        }
        5 => match request.query_parameter(name) {
            Some(value) => (passes(table, test, value.as_bytes()), true),
            None => (false, false),
        },
        // No token is authenticated here, so that there are no claims.
        _ => (false, false),
    };
    if !is_negated {
        return passes;
    }
    // A negated value test sees a missing field as an empty value (semantics B.3).
    let is_value_test = test.kind.get() != 0;
    !passes && (is_present || !is_value_test || !self::passes(table, test, b""))
}

fn passes(table: &Table, test: &ValueTestRecord, value: &[u8]) -> bool {
    crate::view::ValueTest { table, record: test }.holds(value)
}

fn path_with_query_passes(table: &Table, test: &ValueTestRecord, request: &impl RequestView) -> bool {
    match request.query() {
        None => passes(table, test, request.path().as_bytes()),
        Some(query) => passes(table, test, [request.path(), "?", query].concat().as_bytes()),
    }
}
