//! The parts of a search: automata that read the same text side by side.

use super::{
    Form, Test,
    form::{self},
};
use crate::Dfa;
use hashbrown::HashMap;
use std::sync::Arc;

/// A text that went this way is in the language, whatever follows.
pub(super) const FULL: u32 = u32::MAX - 1;
/// No text that goes this way is in the language.
pub(super) const DEAD: u32 = form::DEAD;

/// One automaton. [`FULL`] and [`DEAD`] are states of all of them.
pub(super) enum Part<'a> {
    /// The texts of a form.
    Form(&'a Form),
    /// An exact text or a prefix. The state is how much was read of it; beyond the end of an exact text is dead.
    Literal { bytes: &'a [u8], ignore_case: bool, is_prefix: bool },
    /// Any of many exact texts and prefixes.
    Trie(Trie),
    /// A regular expression.
    Regex(Arc<Dfa>),
    /// A language of the path, read from a path with a query: what follows the first `?` does not count.
    BeforeQuery(Box<Part<'a>>),
    /// A language of the first occurrence of a query parameter, read from a path with a query. Absence is no match.
    Parameter { name: &'a [u8], value: Box<Part<'a>> },
}

/// States of a query parameter's reader, below those of its value.
const BEFORE: u32 = 0;
const OTHER_NAME: u32 = 1;
const OTHER_VALUE: u32 = 2;
/// The name read so far is that of the parameter: `NAME + length`.
const NAME: u32 = 3;

impl<'a> Part<'a> {
    /// The automaton of a test; `dfa` gives those of regular expressions, or none if they are too large.
    pub(super) fn of(
        test: &'a Test,
        dfa: &mut dyn FnMut(&crate::re2::Pattern) -> Option<Arc<Dfa>>,
    ) -> Option<Part<'a>> {
        Some(match test {
            Test::Any => Part::Literal { bytes: b"", ignore_case: false, is_prefix: true },
            Test::Exact { value, ignore_case } => {
                Part::Literal { bytes: value.as_bytes(), ignore_case: *ignore_case, is_prefix: false }
            }
            Test::Prefix { value, ignore_case } => {
                Part::Literal { bytes: value.as_bytes(), ignore_case: *ignore_case, is_prefix: true }
            }
            Test::Regex(pattern) => Part::Regex(dfa(pattern)?),
            Test::OneOf(values) => Part::Trie(Trie::of(values.iter().map(|value| (value.as_bytes(), false)))),
        })
    }

    pub(super) fn start(&self) -> u32 {
        match self {
            Part::Literal { bytes: [], is_prefix: true, .. } => FULL,
            Part::Form(_) | Part::Literal { .. } | Part::Parameter { .. } => 0,
            Part::Trie(trie) => trie.state(0),
            Part::Regex(dfa) => dfa.start,
            Part::BeforeQuery(part) => part.start(),
        }
    }

    pub(super) fn step(&self, state: u32, byte: u8) -> u32 {
        if state == DEAD || state == FULL {
            return state;
        }
        match self {
            Part::Form(form) => form.step(state, byte),
            Part::Literal { bytes, ignore_case, is_prefix } => {
                let Some(wanted) = bytes.get(state as usize) else { return DEAD };
                let same = *wanted == byte || (*ignore_case && wanted.eq_ignore_ascii_case(&byte));
                match same {
                    false => DEAD,
                    true if *is_prefix && state as usize + 1 == bytes.len() => FULL,
                    true => state + 1,
                }
            }
            Part::Trie(trie) => trie.step(state, byte),
            Part::Regex(dfa) => {
                let class = usize::from(dfa.classes[usize::from(byte)]);
                match dfa.transitions.get(state as usize + class) {
                    None | Some(0) => DEAD,
                    Some(&next) => next,
                }
            }
            Part::BeforeQuery(part) => match byte {
                b'?' if part.accepts(state) => FULL,
                b'?' => DEAD,
                _ => part.step(state, byte),
            },
            Part::Parameter { name, value } => step_parameter(name, value, state, byte),
        }
    }

    pub(super) fn accepts(&self, state: u32) -> bool {
        match self {
            _ if state == DEAD => false,
            _ if state == FULL => true,
            Part::Form(form) => form.accepts(state),
            Part::Literal { bytes, .. } => state as usize == bytes.len(),
            Part::Trie(trie) => trie.accepts(state),
            Part::Regex(dfa) => {
                let set = dfa.accepts.get((state / dfa.stride.max(1)) as usize).copied().unwrap_or_default();
                dfa.sets.get(set as usize).is_some_and(|set| !set.is_empty())
            }
            Part::BeforeQuery(part) => part.accepts(state),
            Part::Parameter { name, value } => {
                let named = NAME + name.len() as u32;
                match state.checked_sub(named + 1) {
                    Some(inner) => value.accepts(inner),
                    None => state == named && value.accepts(value.start()),
                }
            }
        }
    }

    /// Tells bytes apart that the automaton tells apart: equal numbers, equal steps.
    pub(super) fn class(&self, byte: u8) -> u32 {
        match self {
            // Few bytes mean something to a form; which, its steps say.
            Part::Form(form) => class_of_form(form, byte),
            Part::Literal { bytes, ignore_case, .. } => {
                let is_in = |wanted: &u8| *wanted == byte || (*ignore_case && wanted.eq_ignore_ascii_case(&byte));
                if bytes.iter().any(is_in) { 1 + u32::from(byte) } else { 0 }
            }
            Part::Trie(trie) => {
                if trie.bytes[usize::from(byte)] {
                    1 + u32::from(byte)
                } else {
                    0
                }
            }
            Part::Regex(dfa) => u32::from(dfa.classes[usize::from(byte)]),
            Part::BeforeQuery(part) => {
                if byte == b'?' {
                    u32::MAX
                } else {
                    part.class(byte)
                }
            }
            Part::Parameter { name, value } => {
                let special = b"?&=".contains(&byte) || name.contains(&byte);
                if special { u32::MAX - u32::from(byte) } else { value.class(byte) }
            }
        }
    }
}

fn step_parameter(name: &[u8], value: &Part<'_>, state: u32, byte: u8) -> u32 {
    let named = NAME + name.len() as u32;
    // What is certain of the value is certain of the parameter.
    let lift = |inner: u32| if inner == FULL || inner == DEAD { inner } else { named + 1 + inner };
    let at_end = |inner: u32| if value.accepts(inner) { FULL } else { DEAD };
    if let Some(inner) = state.checked_sub(named + 1) {
        return if byte == b'&' { at_end(inner) } else { lift(value.step(inner, byte)) };
    }
    match (state, byte) {
        (BEFORE, b'?') | (OTHER_NAME | OTHER_VALUE, b'&') => NAME,
        (BEFORE | OTHER_VALUE, _) => state,
        (OTHER_NAME, b'=') => OTHER_VALUE,
        (OTHER_NAME, _) => OTHER_NAME,
        (_, b'=') if state == named => lift(value.start()),
        // A name without a value has an empty one.
        (_, b'&') if state == named => at_end(value.start()),
        (_, b'&') => NAME,
        (_, b'=') => OTHER_VALUE,
        _ if name.get((state - NAME) as usize) == Some(&byte) => state + 1,
        _ => OTHER_NAME,
    }
}

fn class_of_form(form: &Form, byte: u8) -> u32 {
    match form {
        Form::Choice(_) => 0,
        Form::Path(_) | Form::Target(_) => match byte {
            b'/' | b'.' | b'%' | b'?' | b'#' => 1 + u32::from(byte),
            _ if byte.is_ascii_hexdigit() => 1 + u32::from(byte),
            _ => {
                let graphic = byte.is_ascii_graphic();
                u32::from(graphic) + u32::from(graphic && b"\"<>^`{|}\\".contains(&byte)) + 1000
            }
        },
        Form::HeaderLine => match byte {
            b'\0' | b'\r' | b'\n' => 1,
            b' ' | b'\t' => 2,
            _ => 0,
        },
        Form::QueryValue | Form::Authority | Form::Name => u32::from(form.step(0, byte) == DEAD),
    }
}

/// Exact texts and prefixes as one automaton.
pub(super) struct Trie {
    nodes: Vec<Node>,
    bytes: Box<[bool; 256]>,
}

#[derive(Default)]
struct Node {
    next: HashMap<u8, u32>,
    is_exact: bool,
    is_prefix: bool,
}

impl Trie {
    /// Of texts, each with whether it is a prefix.
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = (&'t [u8], bool)>) -> Trie {
        let mut trie = Trie { nodes: vec![Node::default()], bytes: Box::new([false; 256]) };
        for (text, is_prefix) in texts {
            let mut at = 0;
            for &byte in text {
                trie.bytes[usize::from(byte)] = true;
                let new = trie.nodes.len() as u32;
                let next = *trie.nodes[at].next.entry(byte).or_insert(new);
                if next == new {
                    trie.nodes.push(Node::default());
                }
                at = next as usize;
            }
            let node = &mut trie.nodes[at];
            node.is_exact |= !is_prefix;
            node.is_prefix |= is_prefix;
        }
        trie
    }

    fn state(&self, node: u32) -> u32 {
        match self.nodes.get(node as usize) {
            Some(found) if found.is_prefix => FULL,
            Some(_) => node,
            None => DEAD,
        }
    }

    fn step(&self, state: u32, byte: u8) -> u32 {
        let next = self.nodes.get(state as usize).and_then(|node| node.next.get(&byte));
        next.map_or(DEAD, |&next| self.state(next))
    }

    fn accepts(&self, state: u32) -> bool {
        self.nodes.get(state as usize).is_some_and(|node| node.is_exact)
    }
}
