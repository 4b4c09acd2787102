//! Documents and their nodes.

use crate::scalar::{self, Scalar};
use crate::span::{SourceId, Span};
use crate::tape::{Entry, Kind, after, scalar_text};
use std::fmt;

/// One document of a source, with every byte position kept.
///
/// It holds its own copy of its text, so it outlives the source that it was read from.
#[derive(Clone)]
pub struct Document {
    /// The source that it was read from.
    pub source: SourceId,
    /// Its bytes in the source, without the separators around it.
    pub span: Span,
    /// The first template directive (`{{ ... }}`, `{% ... %}`) outside quotes and comments. Such a document is a
    /// Helm or Jinja template, not an object: it has no root, and nothing in it is reported.
    pub template: Option<Span>,
    /// Whether a finding of the reader says that Kubernetes refuses this document. Some of it may be there to look at.
    pub refused: bool,
    pub(crate) text: Box<str>,
    pub(crate) entries: Box<[Entry]>,
    pub(crate) strings: Box<[Box<str>]>,
}

impl Document {
    /// The top node; `None` for a template, and for a document that could not be read.
    pub fn root(&self) -> Option<Node<'_>> {
        self.node(0)
    }

    /// The text of the document, as in the source.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many nodes it has, keys included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no node.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the two readers are to agree on: of every node, its span, its kind, and its text.
    #[doc(hidden)]
    pub fn outline(&self) -> Vec<(Span, NodeKind, bool, &str)> {
        let nodes = (0..self.entries.len() as u32).filter_map(|index| self.node(index));
        nodes.map(|node| (node.span(), node.kind(), node.is_plain(), node.text())).collect()
    }

    pub(crate) fn scalar_spans(&self) -> impl Iterator<Item = Span> {
        let scalars = self.entries.iter().filter(|entry| !matches!(entry.kind, Kind::Mapping | Kind::Sequence));
        scalars.map(|entry| entry.span)
    }

    fn node(&self, index: u32) -> Option<Node<'_>> {
        (index < self.entries.len() as u32).then_some(Node { document: self, index })
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("source", &self.source)
            .field("span", &self.span)
            .field("template", &self.template)
            .field("refused", &self.refused)
            .field("root", &self.root())
            .finish_non_exhaustive()
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Keys with values.
    Mapping,
    /// A list.
    Sequence,
    /// A single value.
    Scalar,
}

/// A node of a [`Document`]: a mapping, a sequence, a scalar, or the key of a mapping's entry.
///
/// Aliases and merge keys are resolved: a node reached through an alias has the span of what the alias stands for.
#[derive(Clone, Copy)]
pub struct Node<'d> {
    document: &'d Document,
    index: u32,
}

impl<'d> Node<'d> {
    /// What it is.
    pub fn kind(self) -> NodeKind {
        match self.entry().kind {
            Kind::Mapping => NodeKind::Mapping,
            Kind::Sequence => NodeKind::Sequence,
            _ => NodeKind::Scalar,
        }
    }

    /// Its bytes in the source, quotes included. Empty for a value that is not there (`key:`).
    pub fn span(self) -> Span {
        self.entry().span
    }

    /// The keys and values of a mapping, in the order of the text; nothing for other nodes.
    ///
    /// A key is a scalar whose text is the key as Kubernetes reads it: `yes:` is the key `true`. A key that the
    /// document has twice (which is a finding) comes twice.
    pub fn entries(self) -> Entries<'d> {
        Entries { document: self.document, next: self.index + 1, end: self.end_of(Kind::Mapping) }
    }

    /// The items of a sequence; nothing for other nodes.
    pub fn items(self) -> Items<'d> {
        Items { document: self.document, next: self.index + 1, end: self.end_of(Kind::Sequence) }
    }

    /// The value of the key `key` of a mapping.
    pub fn get(self, key: &str) -> Option<Node<'d>> {
        self.entry_of(key).map(|(_, value)| value)
    }

    /// The key `key` of a mapping with its value. Of keys that are there twice the last one counts.
    pub fn entry_of(self, key: &str) -> Option<(Node<'d>, Node<'d>)> {
        self.entries().filter(|(name, _)| name.text() == key).last()
    }

    /// What a scalar means to Kubernetes; `None` for mappings and sequences.
    pub fn scalar(self) -> Option<Scalar<'d>> {
        let entry = self.entry();
        match entry.kind {
            Kind::Mapping | Kind::Sequence => None,
            _ if entry.plain => Some(scalar::resolve(self.text())),
            _ => Some(Scalar::String(self.text().into())),
        }
    }

    /// The text of a scalar, its quotes and escapes resolved; empty for mappings and sequences.
    pub fn text(self) -> &'d str {
        scalar_text(self.entry(), &self.document.text, self.document.span.start, &self.document.strings)
    }

    /// Whether it is a scalar without quotes (and not a block scalar, nor made a string by a tag), whose text
    /// decides whether it is a number, a boolean, null or a string.
    pub fn is_plain(self) -> bool {
        self.entry().plain
    }

    /// Whether it is null: `null`, `~`, or a value that is not there.
    pub fn is_null(self) -> bool {
        self.is_plain() && matches!(self.scalar(), Some(Scalar::Null))
    }

    /// The document that it belongs to.
    pub fn document(self) -> &'d Document {
        self.document
    }

    fn entry(self) -> &'d Entry {
        // INVARIANT: nodes are made by `Document::node`, `Entries` and `Items` alone, with indexes below the length.
        &self.document.entries[self.index as usize]
    }

    fn end_of(self, kind: Kind) -> u32 {
        if self.entry().kind == kind { after(&self.document.entries, self.index) } else { 0 }
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            NodeKind::Mapping => f.debug_map().entries(self.entries().map(|(key, value)| (key.text(), value))).finish(),
            NodeKind::Sequence => f.debug_list().entries(self.items()).finish(),
            NodeKind::Scalar => self.scalar().fmt(f),
        }
    }
}

/// The keys and values of a mapping. See [`Node::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
}

impl<'d> Iterator for Entries<'d> {
    type Item = (Node<'d>, Node<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = (self.next, self.next + 1);
        if value >= self.end {
            return None;
        }
        self.next = after(&self.document.entries, value);
        Some((self.document.node(key)?, self.document.node(value)?))
    }
}

/// The items of a sequence. See [`Node::items`].
#[derive(Clone, Debug)]
pub struct Items<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
}

impl<'d> Iterator for Items<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let item = self.document.node(self.next);
        self.next = after(&self.document.entries, self.next);
        item
    }
}
