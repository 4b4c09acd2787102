//! Rules and the source map.

use super::pool::{Lists, Strings};
use super::{EmitError, none};
use hashbrown::HashMap;
use malha_mesh::program::Origin;
use malha_syntax::Location;
use malha_table::format::{LocationRecord, RemovedRecord, RuleRecord, SourceRecord, U32, U64};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_128;

/// Gives the file and the line of a place.
pub(super) type Sources<'o> = &'o dyn Fn(Location) -> (String, u32);

/// What is shown of rules. Nothing of it is in the program, so that a moved line changes no program.
pub(super) struct SourceMap<'o> {
    origin: Sources<'o>,
    strings: Strings,
    rules: Vec<RuleRecord>,
    sources: Vec<SourceRecord>,
    /// Those of delegates; they come after the others when the file is written.
    delegates: Vec<SourceRecord>,
    locations: Vec<LocationRecord>,
    removed: BTreeSet<Removed>,
    /// The rules of removed routes, in the order in which they were met.
    rules_of_removed: Vec<(u128, SourceRecord)>,
    known_rules_of_removed: HashMap<u128, usize>,
    known_rules: HashMap<u128, U32>,
    known_locations: HashMap<(String, u32), U32>,
}

/// A route that was left out. Rules go by their identity, for one may get its index later.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Removed {
    virtual_host: u32,
    position: u32,
    rule: u128,
    taken_by: Vec<u128>,
}

/// A finished source map.
pub(super) struct Finished {
    pub(super) rules: Vec<RuleRecord>,
    pub(super) sources: Vec<SourceRecord>,
    pub(super) locations: Vec<LocationRecord>,
    pub(super) removed: Vec<RemovedRecord>,
    pub(super) takers: Lists<U32>,
    pub(super) strings: Strings,
}

impl<'o> SourceMap<'o> {
    pub(super) fn new(origin: Sources<'o>) -> Self {
        SourceMap {
            origin,
            strings: Strings::default(),
            rules: Vec::new(),
            sources: Vec::new(),
            delegates: Vec::new(),
            locations: Vec::new(),
            removed: BTreeSet::new(),
            rules_of_removed: Vec::new(),
            known_rules_of_removed: HashMap::new(),
            known_rules: HashMap::new(),
            known_locations: HashMap::new(),
        }
    }

    /// The index of a rule.
    pub(super) fn rule(&mut self, origin: &Origin) -> Result<U32, EmitError> {
        let identity = xxh3_128(identity(origin).as_bytes());
        if let Some(known) = self.known_rules.get(&identity) {
            return Ok(*known);
        }
        let index = next(self.rules.len())?;
        self.rules.push(RuleRecord { id: U64::new(identity as u64) });
        let record = self.source(origin)?;
        self.sources.push(record);
        self.known_rules.insert(identity, index);
        Ok(index)
    }

    /// Keeps what a route that is left out was of, and the rules that take all it asks for: all have an index.
    pub(super) fn removed<'p>(
        &mut self,
        virtual_host: U32,
        position: usize,
        origin: &Origin,
        taken_by: impl Iterator<Item = &'p Origin>,
    ) -> Result<(), EmitError> {
        let rule = xxh3_128(identity(origin).as_bytes());
        if !self.known_rules_of_removed.contains_key(&rule) {
            let record = self.source(origin)?;
            self.known_rules_of_removed.insert(rule, self.rules_of_removed.len());
            self.rules_of_removed.push((rule, record));
        }
        let taken_by = taken_by.map(|taker| xxh3_128(identity(taker).as_bytes())).collect();
        let position = next(position)?.get();
        self.removed.insert(Removed { virtual_host: virtual_host.get(), position, rule, taken_by });
        Ok(())
    }

    /// The index of a place.
    pub(super) fn location(&mut self, location: Location) -> Result<U32, EmitError> {
        let place = (self.origin)(location);
        if let Some(known) = self.known_locations.get(&place) {
            return Ok(*known);
        }
        let index = next(self.locations.len())?;
        self.locations.push(LocationRecord { file: self.strings.str(&place.0)?, line: U32::new(place.1) });
        self.known_locations.insert(place, index);
        Ok(index)
    }

    /// The delegate is given by its place among the delegates.
    fn source(&mut self, origin: &Origin) -> Result<SourceRecord, EmitError> {
        let (file, line) = (self.origin)(origin.location);
        let delegate = match &origin.delegate {
            None => none(),
            Some(delegate) => {
                let place = next(self.delegates.len())?;
                // Its own delegate comes after it.
                self.delegates.push(SourceRecord::default());
                let record = self.source(delegate)?;
                if let Some(reserved) = self.delegates.get_mut(place.get() as usize) {
                    *reserved = record;
                }
                place
            }
        };
        Ok(SourceRecord {
            namespace: self.strings.str(&origin.namespace)?,
            name: self.strings.str(&origin.name)?,
            section: self.strings.str(origin.section)?,
            index: U32::new(origin.index),
            match_index: origin.match_index.map_or(none(), U32::new),
            route_name: self.strings.optional(origin.route_name.as_deref())?,
            file: self.strings.str(&file)?,
            line: U32::new(line),
            delegate,
        })
    }

    pub(super) fn finish(mut self) -> Result<Finished, EmitError> {
        let mut sources = self.sources;
        for (rule, source) in self.rules_of_removed {
            // Another route of the rule may be left.
            if !self.known_rules.contains_key(&rule) {
                self.known_rules.insert(rule, next(sources.len())?);
                sources.push(source);
            }
        }
        let first = next(sources.len())?.get();
        sources.extend_from_slice(&self.delegates);
        next(sources.len())?;
        for record in &mut sources {
            if record.delegate != none() {
                record.delegate = U32::new(record.delegate.get() + first);
            }
        }
        let mut takers = Lists::default();
        let mut removed = Vec::with_capacity(self.removed.len());
        let index = |rule: &u128| self.known_rules.get(rule).copied();
        for route in &self.removed {
            let Some(source) = index(&route.rule) else { continue };
            let taken_by: Vec<U32> = route.taken_by.iter().filter_map(index).collect();
            removed.push(RemovedRecord {
                virtual_host: U32::new(route.virtual_host),
                position: U32::new(route.position),
                source,
                taken_by: takers.list(&taken_by)?,
            });
        }
        let locations = self.locations;
        Ok(Finished { rules: self.rules, sources, locations, removed, takers, strings: self.strings })
    }
}

fn next(length: usize) -> Result<U32, EmitError> {
    u32::try_from(length).ok().filter(|&length| length != u32::MAX).map(U32::new).ok_or(EmitError::TooLarge)
}

/// A text that two rules share only if they are the same. Names hold no control characters.
fn identity(origin: &Origin) -> String {
    let Origin { namespace, name, section, index, match_index, .. } = origin;
    let own = format!("VirtualService\n{namespace}\n{name}\n{section}\n{index}\n{match_index:?}");
    match &origin.delegate {
        Some(delegate) => format!("{own}\n{}", identity(delegate)),
        None => own,
    }
}
