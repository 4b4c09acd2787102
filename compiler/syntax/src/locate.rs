//! Finding a field by its path.

use crate::document::{Document, Node};
use crate::span::Span;

impl Document {
    /// The key and the value at `path`, as `spec.http[1].match[0]`. The key of an item of a list is empty, at the
    /// item. A key that holds a dot or a bracket is written quoted: `metadata.labels["a.b/c"]`.
    pub fn locate(&self, path: &str) -> Option<(Span, Span)> {
        let mut node = self.root()?;
        let mut key = Span::empty(node.span().start);
        let mut rest = path;
        while !rest.is_empty() {
            (key, node, rest) = step(node, rest)?;
        }
        Some((key, node.span()))
    }
}

/// Takes the first step of `path` from `node`: the key's span, where it leads, and the rest of the path.
fn step<'d, 'p>(node: Node<'d>, path: &'p str) -> Option<(Span, Node<'d>, &'p str)> {
    let field = |name: &str| node.entry_of(name).map(|(key, value)| (key.span(), value));
    if let Some(rest) = path.strip_prefix("[\"") {
        let (name, rest) = rest.split_once("\"]")?;
        let (key, value) = field(name)?;
        return Some((key, value, rest));
    }
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        let item = node.items().nth(index.parse().ok()?)?;
        return Some((Span::empty(item.span().start), item, rest));
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let (name, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    let (key, value) = field(name)?;
    Some((key, value, rest))
}
