//! From what a pattern says to `regex-syntax`'s intermediate form: the language over bytes that RE2 gives it.

use super::syntax::Node;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, ClassUnicode, Dot, Hir, Look, Repetition};

/// The pattern's language, both ends anchored, without groups.
pub(super) fn anchored(node: &Node) -> Hir {
    Hir::concat(vec![Hir::look(Look::Start), lower(node), Hir::look(Look::End)])
}

fn lower(node: &Node) -> Hir {
    match node {
        Node::Empty => Hir::empty(),
        Node::Char(character) => Hir::literal(character.encode_utf8(&mut [0; 4]).as_bytes()),
        Node::Class(class) => lower_class(class),
        Node::AnyByte => Hir::dot(Dot::AnyByte),
        Node::Look(look) => Hir::look(*look),
        Node::Group(node) => lower(node),
        Node::Concat(nodes) => Hir::concat(nodes.iter().map(lower).collect()),
        Node::Alternate(nodes) => Hir::alternation(nodes.iter().map(lower).collect()),
        // Which of several matches is preferred does not matter to a full match.
        Node::Repeat(repeat) => Hir::repetition(Repetition {
            min: repeat.min,
            max: repeat.max,
            greedy: true,
            sub: Box::new(lower(&repeat.node)),
        }),
    }
}

fn lower_class(class: &ClassUnicode) -> Hir {
    let mut ascii = class.clone();
    ascii.intersect(&ClassUnicode::new([range('\0', '\x7f')]));
    if !holds_all_beyond_ascii(class) {
        return Hir::class(Class::Unicode(class.clone()));
    }
    let ascii = ascii.iter().map(|range| (range.start() as u8, range.end() as u8)).collect::<Vec<_>>();
    let continuation = || bytes(&[(0x80, 0xbf)]);
    Hir::alternation(vec![
        bytes(&ascii),
        Hir::concat(vec![bytes(&[(0xc2, 0xdf)]), continuation()]),
        Hir::concat(vec![bytes(&[(0xe0, 0xef)]), continuation(), continuation()]),
        Hir::concat(vec![bytes(&[(0xf0, 0xf4)]), continuation(), continuation(), continuation()]),
    ])
}

/// Whether RE2 compiles the class's part beyond ASCII into its short form, which is not strict: `.` matches sequences
/// of the right shape that no code point has, such as the overlong E0 80 80.
pub(super) fn holds_all_beyond_ascii(class: &ClassUnicode) -> bool {
    let mut beyond = ClassUnicode::new([range('\u{80}', char::MAX)]);
    beyond.difference(class);
    beyond.ranges().is_empty()
}

fn range(low: char, high: char) -> regex_syntax::hir::ClassUnicodeRange {
    regex_syntax::hir::ClassUnicodeRange::new(low, high)
}

fn bytes(ranges: &[(u8, u8)]) -> Hir {
    Hir::class(Class::Bytes(ClassBytes::new(ranges.iter().map(|&(low, high)| ClassBytesRange::new(low, high)))))
}
