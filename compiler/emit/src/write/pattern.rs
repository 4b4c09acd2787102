//! Patterns and automata.

use super::{EmitError, Writer, none};
use malha_algebra::{Dfa, re2::Pattern};
use malha_table::format::{AutomatonRecord, PatternRecord, Range, U32, translation_is_executable};
use smol_str::SmolStr;

/// The size of an automaton beyond which patterns are matched by their translation, in bytes.
const LARGEST_AUTOMATON: usize = 1 << 20;

impl Writer<'_> {
    /// The index of a pattern that decides full matches.
    pub(super) fn pattern(&mut self, pattern: &Pattern) -> Result<U32, EmitError> {
        if let Some(known) = self.patterns_by_text.get(pattern.as_str()) {
            return Ok(*known);
        }
        let automaton = self.automaton(std::slice::from_ref(pattern))?;
        let translation = if automaton == none() { Some(format!(r"\A(?:{})\z", pattern.to_rust())) } else { None };
        let record = PatternRecord {
            text: self.strings.str(pattern.as_str())?,
            automaton,
            translation: self.strings.optional(translation.as_deref())?,
        };
        let number = self.patterns.one(record)?;
        self.patterns_by_text.insert(pattern.as_str().into(), number);
        Ok(number)
    }

    /// The index of a pattern to rewrite by; none if no engine of ours executes it.
    pub(super) fn rewrite_pattern(&mut self, pattern: &Pattern) -> Result<Option<U32>, EmitError> {
        let translation = pattern.to_rust();
        if !translation_is_executable(&translation) {
            return Ok(None);
        }
        let record = PatternRecord {
            text: self.strings.str(pattern.as_str())?,
            automaton: none(),
            translation: self.strings.str(&translation)?,
        };
        self.patterns.one(record).map(Some)
    }

    /// The index of an automaton for several patterns; none if it is too large.
    pub(super) fn automaton(&mut self, patterns: &[Pattern]) -> Result<U32, EmitError> {
        let texts: Vec<SmolStr> = patterns.iter().map(|pattern| pattern.as_str().into()).collect();
        if let Some(known) = self.automata_by_patterns.get(&texts) {
            return Ok(*known);
        }
        let number = match Dfa::many(patterns, LARGEST_AUTOMATON) {
            Ok(dfa) => self.flat(&dfa)?,
            Err(_) => none(),
        };
        self.automata_by_patterns.insert(texts, number);
        Ok(number)
    }

    fn flat(&mut self, dfa: &Dfa) -> Result<U32, EmitError> {
        let mut sets: Vec<Range> = Vec::with_capacity(dfa.sets.len());
        for set in &dfa.sets {
            sets.push(self.number_list(set.iter().copied())?);
        }
        let record = AutomatonRecord {
            classes: self.bytes.list(&dfa.classes[..])?,
            stride: U32::new(dfa.stride),
            start: U32::new(dfa.start),
            transitions: self.number_list(dfa.transitions.iter().copied())?,
            accepts: self.number_list(dfa.accepts.iter().copied())?,
            sets: self.ranges.list(&sets)?,
        };
        self.automata.one(record)
    }
}
