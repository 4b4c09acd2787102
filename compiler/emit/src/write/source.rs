//! Rules and the source map.

use super::{EmitError, Strings, none};
use hashbrown::HashMap;
use malha_mesh::program::Origin;
use malha_syntax::Location;
use malha_table::format::{LocationRecord, RuleRecord, SourceRecord, U32, U64};
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
    known_rules: HashMap<u128, U32>,
    known_locations: HashMap<(String, u32), U32>,
}

/// A finished source map.
pub(super) struct Finished {
    pub(super) rules: Vec<RuleRecord>,
    pub(super) sources: Vec<SourceRecord>,
    pub(super) locations: Vec<LocationRecord>,
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

    pub(super) fn finish(self) -> Result<Finished, EmitError> {
        let mut sources = self.sources;
        let first = next(sources.len())?.get();
        sources.extend_from_slice(&self.delegates);
        next(sources.len())?;
        for record in &mut sources {
            if record.delegate != none() {
                record.delegate = U32::new(record.delegate.get() + first);
            }
        }
        Ok(Finished { rules: self.rules, sources, locations: self.locations, strings: self.strings })
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
