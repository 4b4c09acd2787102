//! The checks of patterns and automata.

use super::check::{Broken, Check, Checker};
use crate::format::{AutomatonRecord, NONE, PatternRecord, Range, Section};

impl Check for PatternRecord {
    fn check(&self, c: &Checker<'_>, _: usize) -> Result<(), Broken> {
        c.str(self.text)?;
        c.optional_index(Section::Automata, self.automaton)?;
        match c.optional_str(self.translation)? {
            // It is compiled.
            Some(translation) => c.pay_text(translation),
            None if self.automaton.get() == NONE => Err("a pattern has neither an automaton nor a translation"),
            None => Ok(()),
        }
    }
}

impl Check for AutomatonRecord {
    fn check(&self, c: &Checker<'_>, _: usize) -> Result<(), Broken> {
        let stride = self.stride.get() as usize;
        c.range(Section::Bytes, self.classes)?;
        let classes: &[u8] = c.table.range(Section::Bytes, self.classes);
        c.pay(classes.len())?;
        if classes.len() != 256 || !classes.iter().all(|class| usize::from(*class) < stride) {
            return Err("the byte classes of an automaton do not fit its rows");
        }
        let transitions = c.numbers_below(self.transitions, self.transitions.count.get() as usize)?;
        if !transitions.len().is_multiple_of(stride) || self.start.get() as usize >= transitions.len() {
            return Err("the rows of an automaton are incomplete");
        }
        let is_row = |state: u32| (state as usize).is_multiple_of(stride);
        if !is_row(self.start.get()) || !transitions.iter().all(|state| is_row(state.get())) {
            return Err("an automaton leads into the midst of a row");
        }
        c.range(Section::Ranges, self.sets)?;
        let accepts = c.numbers_below(self.accepts, self.sets.count.get() as usize)?;
        if accepts.len() != transitions.len() / stride {
            return Err("an automaton does not say of each row what it accepts");
        }
        let sets: &[Range] = c.table.range(Section::Ranges, self.sets);
        c.pay(sets.len())?;
        sets.iter().try_for_each(|set| c.ascending_below(*set, usize::MAX).map(|_| ()))
    }
}

impl Checker<'_> {
    /// That an automaton accepts none but the first `patterns` patterns.
    pub(super) fn accepts_below(&self, automaton: &AutomatonRecord, patterns: usize) -> Result<(), Broken> {
        let sets: &[Range] = self.table.range(Section::Ranges, automaton.sets);
        self.pay(sets.len())?;
        sets.iter().try_for_each(|set| self.numbers_below(*set, patterns).map(|_| ()))
    }
}
