//! Flat automata: a set of patterns as one table that a reader can run without knowing how it was made.

use crate::re2::Pattern;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{primitives::StateID, start};
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Hir, Look};
use std::collections::HashMap;
use std::fmt;

/// A deterministic automaton that reads a whole subject, byte by byte.
///
/// State 0 is dead: no continuation is accepted. To run it, begin with `state = start`; for each byte, go to
/// `transitions[state + classes[byte]]`; a subject is in the sets of `accepts[state / stride]` when it ends there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dfa {
    /// The class of each byte, below `stride`.
    pub classes: Box<[u8; 256]>,
    /// How many classes there are, and so the length of a row.
    pub stride: u32,
    /// The first state.
    pub start: u32,
    /// Rows of next states. A state is the index of its row's first cell.
    pub transitions: Vec<u32>,
    /// Per state (in order of rows): which of `sets` it accepts if the subject ends there. 0 is the empty set.
    pub accepts: Vec<u32>,
    /// Distinct sets of patterns, each sorted; the first is empty.
    pub sets: Vec<Vec<u32>>,
}

/// The automaton would take more memory than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the automaton needs more than {} bytes", self.limit)
    }
}

impl std::error::Error for TooLarge {}

impl Dfa {
    /// One automaton for all of `patterns`; pattern ids are their indexes. Neither it nor what building it needs
    /// exceeds `limit` bytes (each for itself).
    pub fn many(patterns: &[Pattern], limit: usize) -> Result<Dfa, TooLarge> {
        let dense = build(patterns, limit).ok_or(TooLarge { limit })?;
        flatten(&dense).ok_or(TooLarge { limit })
    }

    /// The sorted ids of the patterns whose language holds `subject`.
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
}

type Dense = dense::DFA<Vec<u32>>;

fn build(patterns: &[Pattern], limit: usize) -> Option<Dense> {
    let whole: Vec<Hir> = patterns
        .iter()
        .map(|pattern| Hir::concat(vec![Hir::look(Look::Start), pattern.hir().clone(), Hir::look(Look::End)]))
        .collect();
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .which_captures(thompson::WhichCaptures::None)
                .utf8(false)
                .shrink(false)
                .nfa_size_limit(Some(limit)),
        )
        .build_many_from_hir(&whole)
        .ok()?;
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .match_kind(MatchKind::All)
                .start_kind(StartKind::Anchored)
                .accelerate(false)
                .dfa_size_limit(Some(limit))
                .determinize_size_limit(Some(limit)),
        )
        .build_from_nfa(&nfa)
        .ok()
}

fn flatten(dense: &Dense) -> Option<Dfa> {
    let byte_classes = dense.byte_classes();
    let classes: Box<[u8; 256]> = Box::new(std::array::from_fn(|byte| byte_classes.get(byte as u8)));
    let representatives: Vec<u8> =
        (0..=255u8).filter(|&byte| byte == 0 || classes[byte as usize] != classes[byte as usize - 1]).collect();
    let stride = representatives.len() as u32;
    let first = dense.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;

    let mut rows: HashMap<StateID, u32> = HashMap::from([(first, stride)]);
    let mut order = vec![first];
    let mut transitions = vec![0; stride as usize];
    let mut accepts = vec![0];
    let mut sets: Vec<Vec<u32>> = vec![Vec::new()];
    let mut set_ids: HashMap<Vec<u32>, u32> = HashMap::from([(Vec::new(), 0)]);
    let mut next = 0;
    while let Some(&state) = order.get(next) {
        next += 1;
        let end = dense.next_eoi_state(state);
        let mut set: Vec<u32> = if dense.is_match_state(end) {
            (0..dense.match_len(end)).map(|index| dense.match_pattern(end, index).as_u32()).collect()
        } else {
            Vec::new()
        };
        set.sort_unstable();
        let set_id = *set_ids.entry(set).or_insert_with_key(|set| {
            sets.push(set.clone());
            sets.len() as u32 - 1
        });
        accepts.push(set_id);
        for &byte in &representatives {
            let target = dense.next_state(state, byte);
            if dense.is_dead_state(target) {
                transitions.push(0);
                continue;
            }
            let row = u32::try_from(order.len() + 1).ok()?.checked_mul(stride)?;
            transitions.push(*rows.entry(target).or_insert_with(|| {
                order.push(target);
                row
            }));
        }
    }
    Some(Dfa { classes, stride, start: stride, transitions, accepts, sets })
}
