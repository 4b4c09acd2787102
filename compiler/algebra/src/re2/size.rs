//! How large RE2's program for a pattern is: past a budget RE2 refuses the pattern, and Envoy the push.

use super::lower::holds_all_beyond_ascii;
use super::parse::{Fault, fail};
use super::syntax::Node;
use regex_syntax::hir::ClassUnicode;
use regex_syntax::utf8::{Utf8Range, Utf8Sequences};
use std::collections::BTreeSet;

/// Instructions that fit into two thirds of the 8 MiB that Envoy leaves to RE2, at 8 bytes each.
const MAX_INSTRUCTIONS: u64 = (8 << 20) * 2 / 3 / 8;

/// No byte of a pattern makes more than this: `\pL` is 3 bytes and some 1,600 instructions.
const MAX_PER_BYTE: u64 = 1000;

/// Refuses the pattern if RE2 would find it too large.
///
/// The count is RE2's own, but for alternatives with a common beginning, which RE2 shares and which are counted in full
/// here, and for what little Unicode's versions differ.
pub(super) fn check(text: &str, node: &Node) -> Result<(), Fault> {
    let bound = node.copies(false).saturating_mul(text.len() as u64).saturating_mul(MAX_PER_BYTE);
    // A failure, the match, and the loop before an unanchored match.
    if bound <= MAX_INSTRUCTIONS || count(node).saturating_add(4) <= MAX_INSTRUCTIONS {
        return Ok(());
    }
    fail(0, "the pattern is too large for Envoy: written out, its repetitions exceed the memory that RE2 has")
}

fn count(node: &Node) -> u64 {
    match node {
        Node::Empty | Node::AnyByte | Node::Look(_) => 1,
        Node::Char(character) => character.len_utf8() as u64,
        Node::Class(class) => count_class(class),
        Node::Group(node) => count(node) + 2,
        Node::Concat(nodes) => nodes.iter().map(count).fold(0, u64::saturating_add),
        Node::Alternate(nodes) => {
            let forks = nodes.len().saturating_sub(1) as u64;
            nodes.iter().map(count).fold(forks, u64::saturating_add)
        }
        Node::Repeat(repeat) => {
            let once = count(&repeat.node);
            let (mut min, mut max) = (u64::from(repeat.min), repeat.max.map(u64::from));
            if is_empty_width(&repeat.node) {
                // Repeating a condition on a place adds nothing.
                min = min.min(1);
                max = max.map(|max| max.min(1));
            }
            match max {
                Some(0) => 1,
                Some(max) => once.saturating_mul(max).saturating_add(max - min),
                // x* is one fork, or two where x can be empty.
                None if min == 0 => once.saturating_add(1 + u64::from(can_be_empty(&repeat.node))),
                None => once.saturating_mul(min).saturating_add(1),
            }
        }
    }
}

/// The program for a class is a tree over the bytes of its characters: heads that are equal are shared, and so are
/// tails.
fn count_class(class: &ClassUnicode) -> u64 {
    let folds = folds_ascii(class);
    let beyond = holds_all_beyond_ascii(class);
    let mut sequences: Vec<Vec<Utf8Range>> = Vec::new();
    for range in class.iter() {
        if folds && range.start() >= 'A' && range.end() <= 'Z' {
            continue;
        }
        let end = if beyond { range.end().min('\x7f') } else { range.end() };
        if range.start() <= end {
            sequences.extend(Utf8Sequences::new(range.start(), end).map(|sequence| sequence.as_slice().to_vec()));
        }
    }
    let branches: Vec<&[Utf8Range]> = sequences.iter().map(Vec::as_slice).collect();
    let tree = count_branches(&branches, &mut BTreeSet::new());
    if !beyond {
        return tree;
    }
    // Three continuation bytes that are shared, three leading bytes, and their forks.
    tree + 6 + if sequences.is_empty() { 2 } else { 3 }
}

fn count_branches<'s>(branches: &[&'s [Utf8Range]], tails: &mut BTreeSet<&'s [Utf8Range]>) -> u64 {
    let mut total = 0;
    let mut groups = 0_u64;
    for group in branches.chunk_by(|one, other| one.first() == other.first()) {
        groups += 1;
        if let [sequence] = group {
            total += count_sequence(sequence, tails);
            continue;
        }
        let rest: Vec<&[Utf8Range]> = group.iter().filter_map(|sequence| sequence.get(1..)).collect();
        total += 1 + count_branches(&rest, tails);
    }
    total + groups.saturating_sub(1)
}

/// A tail is shared where it is the last byte or begins with more than one byte; the first byte of a character never.
fn count_sequence<'s>(sequence: &'s [Utf8Range], tails: &mut BTreeSet<&'s [Utf8Range]>) -> u64 {
    let mut total = 0;
    for start in 0..sequence.len() {
        let tail = sequence.get(start..).unwrap_or_default();
        let continues = tail.first().is_some_and(|range| (0x80..=0xbf).contains(&range.start));
        let shareable = continues && (tail.len() == 1 || tail.first().is_some_and(|range| range.start < range.end));
        if !shareable || tails.insert(tail) {
            total += 1;
        }
    }
    total
}

/// Whether the class treats `A`-`Z` as it does `a`-`z`.
fn folds_ascii(class: &ClassUnicode) -> bool {
    let holds = |byte: u8| class.iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte)));
    (b'A'..=b'Z').all(|upper| holds(upper) == holds(upper.to_ascii_lowercase()))
}

fn is_empty_width(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Look(_) => true,
        Node::Char(_) | Node::Class(_) | Node::AnyByte | Node::Group(_) => false,
        Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().all(is_empty_width),
        Node::Repeat(repeat) => is_empty_width(&repeat.node),
    }
}

fn can_be_empty(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Look(_) => true,
        Node::Char(_) | Node::Class(_) | Node::AnyByte => false,
        Node::Group(node) => can_be_empty(node),
        Node::Concat(nodes) => nodes.iter().all(can_be_empty),
        Node::Alternate(nodes) => nodes.iter().any(can_be_empty),
        Node::Repeat(repeat) => repeat.min == 0 || can_be_empty(&repeat.node),
    }
}
