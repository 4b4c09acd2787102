//! What a pattern says, before it becomes an automaton or another dialect.

use regex_syntax::hir::{ClassUnicode, Look};

/// A node of a parsed pattern. Trees are at most [`MAX_HEIGHT`] high, so recursion over them is safe.
#[derive(Debug)]
pub(super) enum Node {
    Empty,
    Char(char),
    /// Any of these; perhaps none.
    Class(Box<ClassUnicode>),
    /// `\C`: one byte, whatever it is.
    AnyByte,
    Look(Look),
    Repeat(Box<Repeat>),
    /// A capture group; its number is its place in the order of opening parentheses.
    Group(Box<Node>),
    Concat(Vec<Node>),
    Alternate(Vec<Node>),
}

#[derive(Debug)]
pub(super) struct Repeat {
    pub(super) node: Node,
    pub(super) min: u32,
    /// `None`: without end.
    pub(super) max: Option<u32>,
    pub(super) greedy: bool,
}

/// Go refuses what nests deeper. RE2 has no such limit, but what Go refuses never reaches it.
pub(super) const MAX_HEIGHT: usize = 1000;

impl Node {
    /// How often the innermost thing is written out when all counted repetitions are, saturating: the product along
    /// the worst path.
    pub(super) fn copies(&self, zero_hides: bool) -> u64 {
        match self {
            Node::Empty | Node::Char(_) | Node::Class(_) | Node::AnyByte | Node::Look(_) => 1,
            Node::Group(node) => node.copies(zero_hides),
            Node::Concat(nodes) | Node::Alternate(nodes) => {
                nodes.iter().map(|node| node.copies(zero_hides)).max().unwrap_or(1)
            }
            Node::Repeat(repeat) => {
                if zero_hides && repeat.max == Some(0) {
                    return 1;
                }
                let count = u64::from(repeat.max.unwrap_or(repeat.min)).max(1);
                count.saturating_mul(repeat.node.copies(zero_hides))
            }
        }
    }
}
