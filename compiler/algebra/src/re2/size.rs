//! How large RE2's program for a pattern is: past a budget RE2 refuses the pattern, and Envoy the push.

use super::lower::holds_all_beyond_ascii;
use super::parse::{Fault, fail};
use super::syntax::Node;
use regex_syntax::hir::ClassUnicode;
use std::collections::HashSet;

/// Instructions that fit into two thirds of the 8 MiB that Envoy leaves to RE2, at 8 bytes each, beside the program's
/// own half KiB.
const MAX_INSTRUCTIONS: u64 = ((8 << 20) * 2 / 3 - 512) / 8;

/// No byte of a pattern makes more than this: `\pL` is 3 bytes and some 1,600 instructions.
const MAX_PER_BYTE: u64 = 1000;

/// Refuses the pattern if RE2 would find it too large.
///
/// The count is RE2's own, but for what RE2 simplifies further: alternatives that begin with the same thing other than a
/// character, and runs such as `a*a{2}`.
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
        Node::Concat(nodes) => count_all(nodes),
        Node::Alternate(nodes) => {
            let branches: Vec<&[Node]> = nodes.iter().map(parts).collect();
            count_alternatives(&branches)
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

fn count_all(nodes: &[Node]) -> u64 {
    nodes.iter().map(count).fold(0, u64::saturating_add)
}

fn parts(node: &Node) -> &[Node] {
    match node {
        Node::Concat(nodes) => nodes,
        node => std::slice::from_ref(node),
    }
}

/// Neighbours that begin with the same characters share them, and what is one character long makes one class with its
/// neighbours.
fn count_alternatives(branches: &[&[Node]]) -> u64 {
    let first = |branch: &[Node]| match branch.first() {
        Some(Node::Char(character)) => Some(*character),
        _ => None,
    };
    let alike = |one: &&[Node], other: &&[Node]| first(one).is_some() && first(one) == first(other);
    let mut total = 0_u64;
    let mut forks = 0_u64;
    let mut after_single = false;
    for group in branches.chunk_by(alike) {
        let single = matches!(group, [[Node::Char(_) | Node::Class(_)]]);
        let size = match group {
            [[]] => 1,
            [branch] => count_all(branch),
            [branch, ..] => {
                let rest: Vec<&[Node]> = group.iter().filter_map(|branch| branch.get(1..)).collect();
                count_all(branch.get(..1).unwrap_or_default()).saturating_add(count_alternatives(&rest))
            }
            [] => 0,
        };
        if single && after_single && matches!(group, [[Node::Char(_)]]) {
            continue;
        }
        after_single = single;
        total = total.saturating_add(size);
        forks += 1;
    }
    total.saturating_add(forks.saturating_sub(1))
}

/// The program for a class is a tree over the bytes of its characters: heads that are equal are shared, and so are
/// tails.
fn count_class(class: &ClassUnicode) -> u64 {
    let folds = folds_ascii(class);
    let beyond = holds_all_beyond_ascii(class);
    let mut sequences = Vec::new();
    for range in class.iter() {
        if folds && range.start() >= 'A' && range.end() <= 'Z' {
            continue;
        }
        let end = if beyond { range.end().min('\x7f') } else { range.end() };
        if range.start() <= end {
            split(u32::from(range.start()), u32::from(end), &mut sequences);
        }
    }
    let branches: Vec<&[Bytes]> = sequences.iter().map(Vec::as_slice).collect();
    let tree = count_branches(&branches, &mut HashSet::new());
    if !beyond {
        return tree;
    }
    // Three continuation bytes that are shared, three leading bytes, and their forks.
    tree + 6 + if sequences.is_empty() { 2 } else { 3 }
}

/// The first and the last of some bytes.
type Bytes = (u8, u8);

/// Adds the sequences of bytes that are the code points from `low` to `high`, surrogates among them.
fn split(low: u32, high: u32, sequences: &mut Vec<Vec<Bytes>>) {
    // Each sequence is of one length...
    let same_length = [0x7f, 0x7ff, 0xffff].into_iter().find(|&last| low <= last && last < high);
    // ...and at each of its places any byte of a range goes with any of the ranges before it.
    let same_lead = [6, 12, 18].into_iter().map(|bits| (1 << bits) - 1).filter(|_| high > 0x7f).find_map(|mask| {
        if low & !mask == high & !mask {
            None
        } else if low & mask != 0 {
            Some(low | mask)
        } else if high & mask != mask {
            Some((high & !mask) - 1)
        } else {
            None
        }
    });
    if let Some(last) = same_length.or(same_lead) {
        split(low, last, sequences);
        split(last + 1, high, sequences);
        return;
    }
    let lead = match high {
        0..=0x7f => return sequences.push(vec![(low as u8, high as u8)]),
        0x80..=0x7ff => (0xc0, 6),
        0x800..=0xffff => (0xe0, 12),
        _ => (0xf0, 18),
    };
    let (mark, bits) = lead;
    let mut sequence = vec![(mark | (low >> bits) as u8, mark | (high >> bits) as u8)];
    for shift in [12, 6, 0].into_iter().filter(|&shift| shift < bits) {
        let byte = |code: u32| 0x80 | (code >> shift) as u8 & 0x3f;
        sequence.push((byte(low), byte(high)));
    }
    sequences.push(sequence);
}

fn count_branches<'s>(branches: &[&'s [Bytes]], tails: &mut HashSet<&'s [Bytes]>) -> u64 {
    let mut total = 0;
    let mut groups = 0_u64;
    for group in branches.chunk_by(|one, other| one.first() == other.first()) {
        groups += 1;
        if let [sequence] = group {
            total += count_sequence(sequence, tails);
            continue;
        }
        let rest: Vec<&[Bytes]> = group.iter().filter_map(|sequence| sequence.get(1..)).collect();
        total += 1 + count_branches(&rest, tails);
    }
    total + groups.saturating_sub(1)
}

/// A tail is shared where it is the last byte or begins with more than one byte; the first byte of a character never.
fn count_sequence<'s>(sequence: &'s [Bytes], tails: &mut HashSet<&'s [Bytes]>) -> u64 {
    let mut total = 0;
    for start in 0..sequence.len() {
        let tail = sequence.get(start..).unwrap_or_default();
        let shareable =
            tail.first().is_some_and(|&(low, high)| (0x80..=0xbf).contains(&low) && (tail.len() == 1 || low < high));
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

#[cfg(test)]
mod tests {
    use crate::re2::{Pattern, verdict};

    /// How often RE2 takes the repetition of a thing, found by asking it.
    #[test]
    fn where_the_limit_lies() {
        let cases = [
            (r"\pL".to_owned(), 446),
            (r"\PL".to_owned(), 462),
            (r"\PN\PN".to_owned(), 549),
            (r"[\pL\pN]".to_owned(), 404),
            (r"\p{Han}".repeat(30), 189),
            ("[^a]".repeat(200), 291),
            ("[^é]".repeat(50), 537),
            ("(?s:.)".repeat(100), 698),
            ("(?i:a)".repeat(800), 873),
            ("(?:x*y+z?)".repeat(150), 776),
            ("(?:(a))".repeat(300), 776),
            ("(?:abcdefgh)?".repeat(80), 970),
            ("(?:a|bc|d)".repeat(200), 582),
        ];
        for (thing, most) in cases {
            let repeated = |times: u32| format!("(?:{thing}){{{times}}}");
            assert!(Pattern::parse(&repeated(most)).is_ok(), "{thing}");
            let verdict = verdict(&repeated(most + 1));
            assert!(verdict.go.is_ok() && verdict.re2.is_err(), "{thing}");
        }
    }
}
