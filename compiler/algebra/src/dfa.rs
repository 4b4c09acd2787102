//! Flat automata: a set of patterns as one table that a reader can run without knowing how it was made.

use crate::re2::Pattern;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// A deterministic automaton that reads a whole subject, byte by byte.
///
/// To run it, begin with `state = start`; for each byte go to `transitions[state + classes[byte]]`. State 0 is dead:
/// nothing is accepted from there on. A subject that ends in a state is in the languages of the patterns of
/// `sets[accepts[state / stride]]`: conditions on the end of the input (`$`, `\b`) are folded in.
///
/// It is as small as it can be: no two states and no two classes behave alike (unless it is so large that finding out
/// would take long), and equal patterns make equal automata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dfa {
    /// The class of each byte, below `stride`.
    pub classes: Box<[u8; 256]>,
    /// How many classes there are, which is the length of a row.
    pub stride: u32,
    /// The first state.
    pub start: u32,
    /// Rows of next states. A state is the index of the first cell of its row.
    pub transitions: Vec<u32>,
    /// For each row, which of `sets` it accepts; 0 is the empty set.
    pub accepts: Vec<u32>,
    /// Distinct sets of pattern ids, each sorted; the first is empty.
    pub sets: Vec<Vec<u32>>,
}

/// The automaton, or the work of building it, would take more memory than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the automaton would take more than {} bytes", self.limit)
    }
}

impl std::error::Error for TooLarge {}

impl Dfa {
    /// One automaton for all of `patterns`, whose ids are their indexes. The automaton, and each thing that is built on
    /// the way to it, takes at most `limit` bytes.
    pub fn many(patterns: &[Pattern], limit: usize) -> Result<Dfa, TooLarge> {
        build(patterns, limit).and_then(|dense| explore(&dense)).map(Draft::finish).ok_or(TooLarge { limit })
    }

    /// The sorted ids of the patterns whose language holds `subject`.
    ///
    /// # Panics
    /// If the fields were changed to something that [`Dfa::many`] does not make.
    pub fn matches(&self, subject: &[u8]) -> &[u32] {
        let mut state = self.start as usize;
        for &byte in subject {
            state = self.transitions[state + usize::from(self.classes[usize::from(byte)])] as usize;
            if state == 0 {
                return &[];
            }
        }
        &self.sets[self.accepts[state / self.stride as usize] as usize]
    }

    /// How many states there are, the dead one included.
    pub fn states(&self) -> usize {
        self.accepts.len()
    }
}

type Dense = dense::DFA<Vec<u32>>;

fn build(patterns: &[Pattern], limit: usize) -> Option<Dense> {
    let languages: Vec<Hir> = patterns.iter().map(Pattern::anchored).collect();
    let thompson =
        thompson::Config::new().which_captures(thompson::WhichCaptures::None).utf8(false).nfa_size_limit(Some(limit));
    let nfa = thompson::Compiler::new().configure(thompson).build_many_from_hir(&languages).ok()?;
    let determinize = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .accelerate(false)
        .dfa_size_limit(Some(limit))
        .determinize_size_limit(Some(limit));
    dense::Builder::new().configure(determinize).build_from_nfa(&nfa).ok()
}

/// An automaton whose states are numbered from 0, the dead state, and whose start is state 1.
struct Draft {
    classes: Box<[u8; 256]>,
    stride: usize,
    rows: Vec<u32>,
    accepts: Vec<u32>,
    sets: Vec<Vec<u32>>,
}

/// Numbers things in the order in which they are first seen.
struct Numbering<T> {
    numbers: HashMap<T, u32>,
    next: u32,
}

impl<T: Eq + Hash> Numbering<T> {
    fn new() -> Self {
        Numbering { numbers: HashMap::new(), next: 0 }
    }

    fn number(&mut self, thing: T) -> u32 {
        *self.numbers.entry(thing).or_insert_with(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// Copies what can be reached, and what is accepted when the subject ends in each state.
fn explore(dense: &Dense) -> Option<Draft> {
    let byte_classes = dense.byte_classes();
    let classes: Box<[u8; 256]> = Box::new(std::array::from_fn(|byte| byte_classes.get(byte as u8)));
    let representatives: Vec<u8> =
        (0..=255_u8).filter(|&byte| byte == 0 || byte_classes.get(byte) != byte_classes.get(byte - 1)).collect();

    let first = dense.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
    let mut numbers: HashMap<StateID, u32> = HashMap::from([(first, 1)]);
    let mut found = vec![first];
    let mut rows = vec![0; representatives.len()];
    let mut accepts = vec![0];
    let mut sets = vec![Vec::new()];
    let mut set_numbers = Numbering::new();
    set_numbers.number(Vec::new());
    let mut next = 0;
    while let Some(&state) = found.get(next) {
        next += 1;
        let set = accepted_at_end(dense, state);
        let set_number = set_numbers.number(set.clone());
        if set_number as usize == sets.len() {
            sets.push(set);
        }
        accepts.push(set_number);
        for &byte in &representatives {
            let target = dense.next_state(state, byte);
            if dense.is_dead_state(target) {
                rows.push(0);
                continue;
            }
            let number = found.len() as u32 + 1;
            rows.push(*numbers.entry(target).or_insert_with(|| {
                found.push(target);
                number
            }));
        }
    }
    // A state is a cell's index in the end.
    u32::try_from(rows.len()).ok()?;
    Some(Draft { classes, stride: representatives.len(), rows, accepts, sets })
}

fn accepted_at_end(dense: &Dense, state: StateID) -> Vec<u32> {
    let end = dense.next_eoi_state(state);
    let count = if dense.is_match_state(end) { dense.match_len(end) } else { 0 };
    let mut set: Vec<u32> = (0..count).map(|index| dense.match_pattern(end, index).as_u32()).collect();
    set.sort_unstable();
    set
}

/// Cells that the search for states that behave alike may read before it is given up.
const MINIMIZE_BUDGET: usize = 4 << 20;

impl Draft {
    fn finish(mut self) -> Dfa {
        if let Some(merged) = self.alike() {
            self.keep(&merged);
        }
        self.merge_classes();
        self.number();
        let stride = self.stride as u32;
        Dfa {
            classes: self.classes,
            stride,
            start: stride,
            transitions: self.rows.iter().map(|&state| state * stride).collect(),
            accepts: self.accepts,
            sets: self.sets,
        }
    }

    /// For each state the number of those that behave like it: first those that accept the same, then, again and again,
    /// those of them that also go to states of the same numbers. `None` if that takes too long.
    fn alike(&self) -> Option<Vec<u32>> {
        let mut merged = self.accepts.clone();
        let mut count = merged.iter().max().map_or(0, |&highest| highest as usize + 1);
        let mut budget = MINIMIZE_BUDGET;
        loop {
            budget = budget.checked_sub(self.rows.len())?;
            let mut numbering = Numbering::new();
            let refined: Vec<u32> = self
                .rows
                .chunks(self.stride)
                .zip(&merged)
                .map(|(row, &own)| {
                    let targets: Vec<u32> = row.iter().map(|&target| merged[target as usize]).collect();
                    numbering.number((own, targets))
                })
                .collect();
            let refined_count = numbering.next as usize;
            merged = refined;
            if refined_count == count {
                return Some(merged);
            }
            count = refined_count;
        }
    }

    /// Keeps one state of each number. The dead state is the first, so it stays 0.
    fn keep(&mut self, merged: &[u32]) {
        let mut rows = Vec::new();
        let mut accepts = Vec::new();
        for (state, row) in self.rows.chunks(self.stride).enumerate() {
            if merged[state] as usize == accepts.len() {
                rows.extend(row.iter().map(|&target| merged[target as usize]));
                accepts.push(self.accepts[state]);
            }
        }
        // A language that holds nothing starts dead; the start keeps a row of its own all the same.
        if merged.get(1) == Some(&0) {
            rows.splice(0..0, std::iter::repeat_n(0, self.stride));
            accepts.insert(0, 0);
        }
        self.rows = rows;
        self.accepts = accepts;
    }

    /// Makes one class of those that no state distinguishes, numbered in the order of their bytes.
    fn merge_classes(&mut self) {
        let mut numbering = Numbering::new();
        let mut columns = Vec::new();
        for byte in 0..256 {
            let column = usize::from(self.classes[byte]);
            let cells: Vec<u32> = self.rows.iter().skip(column).step_by(self.stride).copied().collect();
            let number = numbering.number(cells) as usize;
            if number == columns.len() {
                columns.push(column);
            }
            // There are at most 256 classes.
            self.classes[byte] = number as u8;
        }
        self.rows = self.rows.chunks(self.stride).flat_map(|row| columns.iter().map(|&column| row[column])).collect();
        self.stride = columns.len();
    }

    /// Numbers states in the order in which they are reached from the start, so that equal languages make equal tables.
    fn number(&mut self) {
        let mut numbering = Numbering::new();
        numbering.number(0);
        numbering.number(1);
        let mut order = vec![0, 1];
        let mut next = 0;
        let mut rows = Vec::with_capacity(self.rows.len());
        while let Some(&state) = order.get(next) {
            next += 1;
            for &target in self.rows.iter().skip(state as usize * self.stride).take(self.stride) {
                let number = numbering.number(target);
                if number as usize == order.len() {
                    order.push(target);
                }
                rows.push(number);
            }
        }
        self.accepts = order.iter().map(|&state| self.accepts[state as usize]).collect();
        self.rows = rows;
    }
}
