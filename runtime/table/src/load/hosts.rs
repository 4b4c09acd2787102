//! The checks of route tables and virtual hosts, and of the indexes that lookup relies on.

use super::check::{Broken, Check, Checker, below};
use crate::format::{
    self, AutomatonRecord, DomainSlot, NONE, PathEntry, PathSlot, Range, RouteRecord, RouteTableRecord, Section,
    VirtualHostRecord,
};

impl Check for RouteTableRecord {
    fn check(&self, c: &Checker<'_>, _: usize) -> Result<(), Broken> {
        let hosts = c.count(Section::VirtualHosts);
        c.str(self.name)?;
        below(self.counts_ports, 2)?;
        c.numbers_below(self.virtual_hosts, hosts)?;
        c.optional_index(Section::VirtualHosts, self.default_host)?;
        let lengths = c.numbers_below(self.suffix_lengths, usize::MAX)?;
        if !lengths.is_sorted_by(|one, next| one.get() > next.get()) {
            return Err("lengths of suffixes are not in order");
        }
        c.range(Section::DomainSlots, self.domains)?;
        let slots: &[DomainSlot] = c.table.range(Section::DomainSlots, self.domains);
        check_slots(c, slots, |slot| {
            let Some(domain) = c.optional_str(slot.domain)? else { return Ok(None) };
            c.index(Section::VirtualHosts, slot.virtual_host)?;
            c.pay_text(domain)?;
            let suffix = domain.strip_prefix('*');
            if suffix.is_some_and(|suffix| !lengths.iter().any(|length| length.get() as usize == suffix.len())) {
                return Err("a suffix has a length that is not listed");
            }
            Ok(Some((format::hash(suffix.unwrap_or(domain).as_bytes()), slot.hash.get())))
        })
    }
}

/// Checks a linearly probed hash table: `look` gives the hash of an occupied slot's key, and the half that it stores.
fn check_slots<S>(
    c: &Checker<'_>,
    slots: &[S],
    look: impl Fn(&S) -> Result<Option<(u64, u32)>, Broken>,
) -> Result<(), Broken> {
    if slots.is_empty() {
        return Ok(());
    }
    if !slots.len().is_power_of_two() {
        return Err("the length of a hash table is not a power of two");
    }
    c.pay(2 * slots.len())?;
    let mut homes = Vec::with_capacity(slots.len());
    for slot in slots {
        homes.push(match look(slot)? {
            None => None,
            Some((hash, stored)) if stored == (hash >> 32) as u32 => Some(format::home(hash, slots.len())),
            Some(_) => return Err("a slot of a hash table has another key's hash"),
        });
    }
    // Every key must be found from its home without meeting an empty slot: walk once around, from an empty one.
    let empty = homes.iter().position(Option::is_none).ok_or("a hash table has no empty slot")?;
    let mask = slots.len() - 1;
    let mut run = 0;
    for step in 1..=slots.len() {
        let place = (empty + step) & mask;
        match homes.get(place).copied().flatten() {
            None => run = 0,
            Some(home) => {
                run += 1;
                if (place.wrapping_sub(home) & mask) >= run {
                    return Err("a slot of a hash table cannot be reached");
                }
            }
        }
    }
    Ok(())
}

impl Check for VirtualHostRecord {
    fn check(&self, c: &Checker<'_>, _: usize) -> Result<(), Broken> {
        let count = self.routes.count.get() as usize;
        c.range(Section::StringLists, self.domains)?;
        below(self.require_tls, 2)?;
        below(self.catch_all, 5)?;
        c.range(Section::Routes, self.routes)?;
        let conditions = c.numbers_below(self.conditions, c.count(Section::Conditions))?.len();
        let routes: &[RouteRecord] = c.table.range(Section::Routes, self.routes);
        c.pay(routes.len())?;
        routes.iter().try_for_each(|route| check_route(c, route, conditions))?;

        c.range(Section::PathSlots, self.exact)?;
        let slots: &[PathSlot] = c.table.range(Section::PathSlots, self.exact);
        check_slots(c, slots, |slot| {
            let Some(path) = c.optional_str(slot.path)? else { return Ok(None) };
            c.ascending_below(slot.routes, count)?;
            c.pay_text(path)?;
            Ok(Some((format::hash(path.as_bytes()), slot.hash.get())))
        })?;
        for (entries, is_lower) in
            [(self.exact_ignoring_case, true), (self.prefixes, false), (self.prefixes_ignoring_case, true)]
        {
            check_entries(c, entries, is_lower, count)?;
        }
        let patterns = c.ascending_below(self.patterns, count)?.len();
        c.optional_index(Section::Automata, self.automaton)?;
        if self.automaton.get() == NONE {
            return Ok(());
        }
        let automaton: Option<&AutomatonRecord> = c.table.record(Section::Automata, self.automaton);
        automaton.map_or(Ok(()), |automaton| c.accepts_below(automaton, patterns))
    }
}

pub(super) fn check_route(c: &Checker<'_>, route: &RouteRecord, conditions: usize) -> Result<(), Broken> {
    below(route.path_test, 4)?;
    below(route.ignore_case, 2)?;
    match route.path_test.get() {
        1 | 2 => c.str(route.path).map(|_| ())?,
        3 => c.index(Section::Patterns, route.pattern)?,
        _ => {}
    }
    c.optional_str(route.path)?;
    c.numbers_below(route.conditions, conditions)?;
    c.index(Section::Actions, route.action)?;
    c.optional_index(Section::Rules, route.rule)
}

/// Entries are sorted, each once, and each names the longest other that is a prefix of it.
fn check_entries(c: &Checker<'_>, range: Range, is_lower: bool, routes: usize) -> Result<(), Broken> {
    c.range(Section::PathEntries, range)?;
    let entries: &[PathEntry] = c.table.range(Section::PathEntries, range);
    c.pay(entries.len())?;
    let mut before: Option<&str> = None;
    for (index, entry) in entries.iter().enumerate() {
        let path = c.str(entry.path)?;
        c.pay_text(path)?;
        if before.is_some_and(|before| before.as_bytes() >= path.as_bytes()) {
            return Err("paths are not in order");
        }
        if is_lower && path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err("a path without case has upper case");
        }
        before = Some(path);
        c.ascending_below(entry.routes, routes)?;
        if entry.parent.get() == NONE {
            continue;
        }
        let parent = entries.get(entry.parent.get() as usize).filter(|_| (entry.parent.get() as usize) < index);
        let parent = c.str(parent.ok_or("an entry's prefix does not come before it")?.path)?;
        if !path.starts_with(parent) {
            return Err("an entry's prefix is none");
        }
    }
    Ok(())
}
