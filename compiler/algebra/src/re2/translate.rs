//! From what a pattern says to the dialect of the `regex` crate.

use super::syntax::Node;
use regex_syntax::hir::{ClassUnicode, Look};
use std::fmt::Write;

/// An equivalent pattern for the `regex` crate: no flag and no class in it is read differently there.
pub(super) fn translate(node: &Node) -> String {
    let mut text = String::new();
    write_node(&mut text, node);
    text
}

fn write_node(text: &mut String, node: &Node) {
    match node {
        Node::Empty => text.push_str("(?:)"),
        Node::Char(character) => regex_syntax::escape_into(character.encode_utf8(&mut [0; 4]), text),
        Node::Class(class) => write_class(text, class),
        Node::AnyByte => text.push_str("(?s-u:.)"),
        Node::Look(look) => text.push_str(match look {
            Look::Start => r"\A",
            Look::StartLF => "(?m:^)",
            Look::EndLF => "(?m:$)",
            Look::WordAscii => r"(?-u:\b)",
            Look::WordAsciiNegate => r"(?-u:\B)",
            _ => r"\z",
        }),
        Node::Group(node) => {
            text.push('(');
            write_node(text, node);
            text.push(')');
        }
        Node::Concat(nodes) => {
            for node in nodes {
                write_part(text, node, matches!(node, Node::Alternate(_)));
            }
        }
        Node::Alternate(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                if index > 0 {
                    text.push('|');
                }
                write_node(text, node);
            }
        }
        Node::Repeat(repeat) => {
            let single = matches!(repeat.node, Node::Char(_) | Node::Class(_) | Node::Group(_));
            write_part(text, &repeat.node, !single);
            // Writing to a String does not fail.
            let _ = match (repeat.min, repeat.max) {
                (0, None) => text.write_char('*'),
                (1, None) => text.write_char('+'),
                (0, Some(1)) => text.write_char('?'),
                (min, None) => write!(text, "{{{min},}}"),
                (min, Some(max)) => write!(text, "{{{min},{max}}}"),
            };
            if !repeat.greedy {
                text.push('?');
            }
        }
    }
}

fn write_part(text: &mut String, node: &Node, enclose: bool) {
    if enclose {
        text.push_str("(?:");
    }
    write_node(text, node);
    if enclose {
        text.push(')');
    }
}

fn write_class(text: &mut String, class: &ClassUnicode) {
    let mut complement = class.clone();
    complement.negate();
    // An empty class is written as the complement of everything.
    let (ranges, negated) = if class.ranges().is_empty() || complement.ranges().len() < class.ranges().len() {
        (complement.ranges(), true)
    } else {
        (class.ranges(), false)
    };
    if ranges.is_empty() {
        return text.push_str(r"[\x{0}-\x{10ffff}]");
    }
    text.push_str(if negated { "[^" } else { "[" });
    for range in ranges {
        write_end(text, range.start());
        if range.start() != range.end() {
            text.push('-');
            write_end(text, range.end());
        }
    }
    text.push(']');
}

fn write_end(text: &mut String, character: char) {
    if character.is_ascii_alphanumeric() {
        return text.push(character);
    }
    // Writing to a String does not fail.
    let _ = write!(text, r"\x{{{:x}}}", u32::from(character));
}
