//! The flat form of a document: its nodes in the order of the text, 16 bytes each.

use crate::span::Span;

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Followed by its keys and values in turn, up to the entry that `link` names.
    Mapping,
    /// Followed by its items, up to the entry that `link` names.
    Sequence,
    /// A scalar whose text is its span.
    Bare,
    /// A scalar whose text is its span without the quotes around it.
    Quoted,
    /// A scalar whose text differs from the source's: string number `link` of the tape.
    Owned,
    /// A reference to the entry that `link` names. Gone once aliases are resolved.
    Alias,
}

/// One node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) span: Span,
    pub(crate) link: u32,
    pub(crate) kind: Kind,
    /// Whether the tables of [`Scalar`](crate::Scalar) decide what it means; else it is a string.
    pub(crate) plain: bool,
}

/// The nodes of one document. Entry 0 is the root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    pub(crate) entries: Vec<Entry>,
    pub(crate) strings: Vec<Box<str>>,
}

impl Tape {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.strings.clear();
    }

    pub(crate) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(crate) fn scalar(&mut self, span: Span, kind: Kind, plain: bool) {
        self.entries.push(Entry { span, link: 0, kind, plain });
    }

    pub(crate) fn owned(&mut self, span: Span, text: &str, plain: bool) {
        let link = self.strings.len() as u32;
        self.strings.push(text.into());
        self.entries.push(Entry { span, link, kind: Kind::Owned, plain });
    }

    /// Opens a container; [`Tape::close`] takes what this returns.
    pub(crate) fn open(&mut self, kind: Kind, start: u32) -> usize {
        self.entries.push(Entry { span: Span::empty(start), link: 0, kind, plain: false });
        self.entries.len() - 1
    }

    pub(crate) fn close(&mut self, index: usize, end: u32) {
        let next = self.len();
        if let Some(entry) = self.entries.get_mut(index) {
            entry.span.end = end.max(entry.span.start);
            entry.link = next;
        }
    }
}

/// The index of the entry after the whole node at `index`.
pub(crate) fn after(entries: &[Entry], index: u32) -> u32 {
    match entries.get(index as usize) {
        Some(Entry { kind: Kind::Mapping | Kind::Sequence, link, .. }) => (*link).max(index + 1),
        _ => index + 1,
    }
}

/// The text of the scalar `entry`; `text` is the document's, which begins at byte `base` of the source.
pub(crate) fn scalar_text<'t>(entry: &Entry, text: &'t str, base: u32, strings: &'t [Box<str>]) -> &'t str {
    let (start, end) = match entry.kind {
        Kind::Owned => return strings.get(entry.link as usize).map_or("", |text| &**text),
        Kind::Bare => (entry.span.start, entry.span.end),
        Kind::Quoted => (entry.span.start + 1, entry.span.end.saturating_sub(1)),
        Kind::Mapping | Kind::Sequence | Kind::Alias => return "",
    };
    text.get(start.wrapping_sub(base) as usize..end.wrapping_sub(base) as usize).unwrap_or("")
}
