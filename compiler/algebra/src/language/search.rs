//! The search for a text that is in some languages and in none of others.

use super::{
    Form, Test,
    part::{DEAD, FULL, Part, Trie},
};
use crate::{Dfa, re2::Pattern};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;
use smol_str::SmolStr;
use std::sync::Arc;

/// What searches may cost before they are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// States of all automata together that one search may visit.
    pub states: usize,
    /// Bytes that the automaton of one regular expression may take.
    pub automaton: usize,
    /// What all searches in one space may cost together, in steps of one automaton by one byte, or things that take as
    /// long: some billionths of a second each.
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { states: 100_000, automaton: 2 << 20, work: 400_000_000 }
    }
}

impl Limits {
    /// For a list of so many rows: the time that all may take grows with their number, and ends somewhere.
    pub fn of_rows(rows: usize) -> Limits {
        let all = Limits::default();
        Limits { work: all.work.min(50_000_000 + 400_000 * rows as u64), ..all }
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A text: the shortest, and of those of its length the plainest.
    Text(Vec<u8>),
    /// There is none.
    Empty,
    /// Finding out takes more than the limits allow.
    Unknown,
}

/// A field of a text: how its languages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading<'a> {
    /// They are languages of the whole text.
    Whole,
    /// Of what stands before the first `?`.
    BeforeQuery,
    /// Of the first occurrence of a query parameter.
    Parameter(&'a str),
}

/// Looks for the shortest text of `form` that passes all of `inside` and none of `outside`.
///
/// `automata` keeps those of regular expressions from one search to the next.
pub fn shortest(form: &Form, inside: &[&Test], outside: &[&Test], limits: Limits, automata: &mut Automata) -> Answer {
    if let Some(answer) = one_of_few(form, inside, outside).or_else(|| plain(form, inside, outside)) {
        return answer;
    }
    search(form, &whole(inside), &whole(outside), limits, automata)
}

fn whole<'a>(tests: &[&'a Test]) -> Vec<(Reading<'a>, &'a Test)> {
    tests.iter().map(|test| (Reading::Whole, *test)).collect()
}

fn passes(form: &Form, inside: &[&Test], outside: &[&Test], text: &[u8]) -> bool {
    form.holds(text) && inside.iter().all(|test| test.matches(text)) && !outside.iter().any(|test| test.matches(text))
}

/// Decides a language that is among a few texts by trying them.
fn one_of_few(form: &Form, inside: &[&Test], outside: &[&Test]) -> Option<Answer> {
    let first = |texts: &[SmolStr]| {
        let text = texts.iter().find(|text| passes(form, inside, outside, text.as_bytes()));
        text.map_or(Answer::Empty, |text| Answer::Text(text.as_bytes().to_vec()))
    };
    if let Form::Choice(texts) = form {
        return Some(first(texts));
    }
    inside.iter().find_map(|test| match test {
        Test::Exact { value, ignore_case: false } => Some(first(std::slice::from_ref(value))),
        Test::OneOf(values) => Some(first(values)),
        _ => None,
    })
}

/// Tries the plainest continuations of the longest prefix that is asked for: mostly one of them will do, and the
/// automata need not be built. Says nothing if none does.
fn plain(form: &Form, inside: &[&Test], outside: &[&Test]) -> Option<Answer> {
    const MORE: [&str; 6] = ["", "a", "b", "0", "-", "/"];
    let prefixes = inside.iter().filter_map(|test| match test {
        Test::Prefix { value, .. } => Some(value.as_str()),
        _ => None,
    });
    let stem = prefixes.chain([form.stem()]).max_by_key(|prefix| prefix.len())?;
    let texts = MORE.iter().map(|more| [stem, more].concat().into_bytes());
    texts.into_iter().find(|text| passes(form, inside, outside, text)).map(Answer::Text)
}

/// The automata of regular expressions, built when first asked for, and what searches with them have cost.
#[derive(Clone, Debug, Default)]
pub struct Automata {
    known: HashMap<Pattern, Option<Arc<Dfa>>>,
    /// Bytes of those that are kept.
    size: usize,
    /// In the measure of [`Limits::work`].
    cost: u64,
}

/// Bytes of automata that are kept; past them they are built again.
const MOST_KEPT: usize = 64 << 20;

/// What it costs to build a byte of an automaton, which takes far longer than to step through it.
const COST_OF_BYTE: u64 = 8;

impl Automata {
    fn get(&mut self, pattern: &Pattern, limits: Limits) -> Option<Arc<Dfa>> {
        if let Some(known) = self.known.get(pattern) {
            return known.clone();
        }
        if self.cost >= limits.work {
            return None;
        }
        let dfa = pattern.dfa(limits.automaton).ok().map(Arc::new);
        let size = dfa.as_ref().map_or(0, |dfa| size_of_val(dfa.transitions.as_slice()));
        self.cost += COST_OF_BYTE * if dfa.is_some() { size } else { limits.automaton } as u64;
        if self.size + size > MOST_KEPT {
            self.known.clear();
            self.size = 0;
        }
        self.size += size;
        self.known.insert(pattern.clone(), dfa.clone());
        dfa
    }

    /// What searches have cost since this was last asked.
    pub(crate) fn take_cost(&mut self) -> u64 {
        std::mem::take(&mut self.cost)
    }
}

type States = SmallVec<[u32; 6]>;

/// Breadth first over the states of all automata at once.
pub(crate) fn search(
    form: &Form,
    inside: &[(Reading<'_>, &Test)],
    outside: &[(Reading<'_>, &Test)],
    limits: Limits,
    automata: &mut Automata,
) -> Answer {
    let Some(inside) = parts(inside, limits, automata) else { return Answer::Unknown };
    let Some(outside) = parts(outside, limits, automata) else { return Answer::Unknown };
    let run = Run { form: Part::Form(form), inside, outside: united(outside) };
    // Plain texts first: a stranger one is shown only if nothing else will do.
    match run.search(&plain_bytes(), limits, &mut automata.cost) {
        Answer::Empty => run.search(&all_bytes(), limits, &mut automata.cost),
        answer => answer,
    }
}

fn parts<'a>(tests: &[(Reading<'a>, &'a Test)], limits: Limits, automata: &mut Automata) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    for &(reading, test) in tests {
        let part = Part::of(test, &mut |pattern| automata.get(pattern, limits))?;
        parts.push(match reading {
            Reading::Whole => part,
            Reading::BeforeQuery => Part::BeforeQuery(Box::new(part)),
            Reading::Parameter(name) => Part::Parameter { name: name.as_bytes(), value: Box::new(part) },
        });
    }
    Some(parts)
}

/// Those of `parts` that are exact texts or prefixes, as one automaton: a text in none of many is in none of their union.
fn united(parts: Vec<Part<'_>>) -> Vec<Part<'_>> {
    let is_literal = |part: &Part<'_>| matches!(part, Part::Literal { ignore_case: false, .. });
    let (literals, mut others): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_literal);
    if !literals.is_empty() {
        let texts = literals.iter().filter_map(|part| match part {
            Part::Literal { bytes, is_prefix, .. } => Some((*bytes, *is_prefix)),
            _ => None,
        });
        others.push(Part::Trie(Trie::of(texts)));
    }
    others
}

/// Bytes in the order in which a person would like to read them.
fn plain_bytes() -> Vec<u8> {
    let rest = (b' '..=b'~').filter(|byte| !byte.is_ascii_alphanumeric() && !b"-_./".contains(byte));
    (b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-_./").chain(b'A'..=b'Z').chain(rest).collect()
}

fn all_bytes() -> Vec<u8> {
    let mut bytes = plain_bytes();
    bytes.extend((0..=255).filter(|byte| !(b' '..=b'~').contains(byte)));
    bytes
}

struct Run<'a> {
    form: Part<'a>,
    inside: Vec<Part<'a>>,
    outside: Vec<Part<'a>>,
}

impl<'a> Run<'a> {
    fn parts(&self) -> impl Iterator<Item = &Part<'a>> {
        std::iter::once(&self.form).chain(&self.inside).chain(&self.outside)
    }

    /// One byte for each way in which the automata can treat bytes.
    fn representatives(&self, bytes: &[u8]) -> Vec<u8> {
        let mut seen: HashSet<States> = HashSet::default();
        let is_new = |byte: &&u8| seen.insert(self.parts().map(|part| part.class(**byte)).collect());
        bytes.iter().filter(is_new).copied().collect()
    }

    /// The states after `byte`; none if no text that goes on from there will do.
    fn step(&self, states: &States, byte: u8) -> Option<States> {
        let mut next = States::new();
        for (at, part) in self.parts().enumerate() {
            let state = part.step(states[at], byte);
            let hopeless = if at <= self.inside.len() { state == DEAD } else { state == FULL };
            if hopeless {
                return None;
            }
            next.push(state);
        }
        Some(next)
    }

    fn accepts(&self, states: &States) -> bool {
        self.parts().enumerate().all(|(at, part)| part.accepts(states[at]) == (at <= self.inside.len()))
    }

    fn search(&self, bytes: &[u8], limits: Limits, cost: &mut u64) -> Answer {
        let bytes = self.representatives(bytes);
        let cost_of_state = (bytes.len() * self.parts().count()) as u64;
        let start: States = self.parts().map(Part::start).collect();
        if start.iter().skip(1 + self.inside.len()).any(|&state| state == FULL) {
            return Answer::Empty;
        }
        // For each state that was reached: from which, and by which byte.
        let mut reached: Vec<(u32, u8)> = vec![(0, 0)];
        let mut states: Vec<States> = vec![start.clone()];
        let mut numbers: HashMap<States, u32> = HashMap::from_iter([(start, 0)]);
        let mut next = 0;
        while let Some(from) = states.get(next).cloned() {
            if self.accepts(&from) {
                return Answer::Text(text(&reached, next));
            }
            *cost += cost_of_state;
            if *cost > limits.work {
                return Answer::Unknown;
            }
            for &byte in &bytes {
                let Some(to) = self.step(&from, byte) else { continue };
                if numbers.contains_key(&to) {
                    continue;
                }
                if states.len() >= limits.states {
                    return Answer::Unknown;
                }
                numbers.insert(to.clone(), states.len() as u32);
                states.push(to);
                reached.push((next as u32, byte));
            }
            next += 1;
        }
        Answer::Empty
    }
}

/// The bytes on the way to a state.
fn text(reached: &[(u32, u8)], mut at: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while at != 0 {
        let (from, byte) = reached[at];
        text.push(byte);
        at = from as usize;
    }
    text.reverse();
    text
}
