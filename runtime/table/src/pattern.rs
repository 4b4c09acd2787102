//! Patterns: by automaton where there is one, else by their translation.

use crate::{
    Table,
    format::{AutomatonRecord, PatternRecord, Range, Section, U32},
    table::index,
};
use regex::bytes::{Regex, RegexBuilder};

/// The memory that a compiled pattern may take.
const SIZE_LIMIT: usize = 10 << 20;

/// The length of a translated pattern, beyond which it is not taken.
const LONGEST_TRANSLATION: usize = 64 << 10;

/// Compiles a translated pattern, within limits.
pub(crate) fn compile(translation: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(translation).size_limit(SIZE_LIMIT).build()
}

/// Whether a translated pattern can be executed, or why not.
pub(crate) fn check(translation: &str) -> Result<(), String> {
    if translation.len() > LONGEST_TRANSLATION {
        return Err(format!("its translation is longer than {LONGEST_TRANSLATION} bytes"));
    }
    compile(translation).map(|_| ()).map_err(|error| error.to_string())
}

/// Whether all of `value` is in the language of the pattern.
pub(crate) fn is_full_match(table: &Table, pattern: U32, value: &[u8]) -> bool {
    let Some(record) = table.record::<PatternRecord>(Section::Patterns, pattern) else { return false };
    match index(record.automaton) {
        Some(_) => !accepted(table, record.automaton, value).is_empty(),
        // The back end anchors the translation of such a pattern.
        None => table.regex(pattern).is_some_and(|regex| regex.is_match(value)),
    }
}

/// The patterns of an automaton, by number and sorted, whose languages hold all of `value`.
pub(crate) fn accepted<'t>(table: &'t Table, automaton: U32, value: &[u8]) -> &'t [U32] {
    run(table, automaton, value).unwrap_or_default()
}

fn run<'t>(table: &'t Table, automaton: U32, value: &[u8]) -> Option<&'t [U32]> {
    let record: &AutomatonRecord = table.record(Section::Automata, automaton)?;
    let classes: &[u8] = table.range(Section::Bytes, record.classes);
    let transitions = table.numbers(record.transitions);
    let mut state = record.start.get() as usize;
    for &byte in value {
        let class = *classes.get(usize::from(byte))?;
        state = transitions.get(state + usize::from(class))?.get() as usize;
        if state == 0 {
            return None;
        }
    }
    let row = state.checked_div(record.stride.get() as usize)?;
    let set = table.numbers(record.accepts).get(row)?.get() as usize;
    let sets: &[Range] = table.range(Section::Ranges, record.sets);
    Some(table.numbers(*sets.get(set)?))
}
