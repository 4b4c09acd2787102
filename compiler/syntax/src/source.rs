//! Sources: the text of a file with its name, and the line and column of a byte.

use crate::encoding::Encoding;
use crate::finding::Finding;
use crate::rules::{INVALID_ENCODING, TOO_LARGE};
use crate::span::{LineColumn, Location, SourceId, Span};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// The largest source that is read, in bytes. A file of a config repo that is larger is a mistake.
pub const MAX_SOURCE_BYTES: usize = 64 << 20;

/// What a byte that is no text becomes in [`Source::text`]: a noncharacter that YAML does not allow,
/// so that the document that holds it is refused with a finding at that place.
pub const NOT_TEXT: char = '\u{FFFE}';

/// One file, or whatever else was read, as text.
#[derive(Debug, Default)]
pub struct Source {
    /// Its name, as shown to people.
    pub name: String,
    /// Its text without a byte order mark. Every [`Span`] counts bytes of this text.
    pub text: String,
    /// How the text was written: `text` is always UTF-8.
    pub encoding: Encoding,
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// A source of text that is at hand.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Source { name: name.into(), text: text.into(), encoding: Encoding::Utf8, lines: OnceLock::new() }
    }

    fn written_in(self, encoding: Encoding) -> Self {
        Source { encoding, ..self }
    }

    /// Reads `bytes` as UTF-8, or as UTF-16 if a byte order mark says so.
    ///
    /// A byte that is no text becomes [`NOT_TEXT`], and [`read`](crate::read) reports it at its place; so the other
    /// documents of the source are still read. The findings given here are about the source as a whole, and carry
    /// `SourceId(0)`: [`Sources::decode`] gives them the right one.
    pub fn decode<'b>(name: impl Into<String>, bytes: impl Into<Cow<'b, [u8]>>) -> (Source, Vec<Finding>) {
        let bytes = bytes.into();
        if bytes.len() > MAX_SOURCE_BYTES {
            let message =
                format!("the file has {} bytes; files over {MAX_SOURCE_BYTES} bytes are not read", bytes.len());
            let finding = Finding::new(&TOO_LARGE, Location::default(), message).help("split it into several files");
            return (Source::new(name, ""), vec![finding]);
        }
        match &*bytes {
            [0xEF, 0xBB, 0xBF, rest @ ..] => {
                (Source::new(name, utf8(rest)).written_in(Encoding::Utf8WithMark), Vec::new())
            }
            [0xFF, 0xFE, rest @ ..] => {
                let (source, findings) = utf16(name.into(), rest, u16::from_le_bytes);
                (source.written_in(Encoding::Utf16LittleEndian), findings)
            }
            [0xFE, 0xFF, rest @ ..] => {
                let (source, findings) = utf16(name.into(), rest, u16::from_be_bytes);
                (source.written_in(Encoding::Utf16BigEndian), findings)
            }
            _ => {
                // What is text already is taken as it is, and not copied if it is given away.
                let text = String::from_utf8(bytes.into_owned()).unwrap_or_else(|bytes| utf8(bytes.as_bytes()));
                (Source::new(name, text), Vec::new())
            }
        }
    }

    /// The line and column of the byte at `offset`; an offset past the end counts as the end.
    ///
    /// The first call indexes the lines; after that the cost is that of one line.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let starts = self.line_starts();
        let line = starts.partition_point(|start| *start <= offset).max(1);
        let start = starts.get(line - 1).copied().unwrap_or(0) as usize;
        let end = (offset as usize).clamp(start, self.text.len().max(start));
        let before = self.text.as_bytes().get(start..end).unwrap_or_default();
        // Every byte but the continuation bytes of UTF-8 begins a character.
        let characters = before.iter().filter(|byte| (**byte & 0xC0) != 0x80).count();
        LineColumn { line: line as u32, column: characters as u32 + 1 }
    }

    /// The bytes of line `line`, counted from 1, without its line break.
    pub fn line_span(&self, line: u32) -> Option<Span> {
        let starts = self.line_starts();
        let index = (line as usize).checked_sub(1)?;
        let start = *starts.get(index)?;
        let end = starts.get(index + 1).copied().unwrap_or(self.text.len() as u32);
        let text = self.text.get(start as usize..end as usize)?;
        Some(Span::new(start, start + text.trim_end_matches(['\n', '\r']).len() as u32))
    }

    fn line_starts(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let newlines = || memchr::memchr_iter(b'\n', self.text.as_bytes());
            let mut starts = Vec::with_capacity(1 + newlines().count());
            starts.push(0);
            starts.extend(newlines().map(|at| at as u32 + 1));
            starts
        })
    }
}

fn utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(NOT_TEXT);
        }
    }
    text
}

fn utf16(name: String, bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (Source, Vec<Finding>) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or(NOT_TEXT)).collect();
    let mut findings = Vec::new();
    if !rest.is_empty() {
        let end = Location { source: SourceId::default(), span: Span::empty(text.len() as u32) };
        let message = "the UTF-16 text ends in the middle of a character: its length is an odd number of bytes";
        findings.push(Finding::new(&INVALID_ENCODING, end, message).help("save the file as UTF-8"));
    }
    (Source::new(name, text), findings)
}

/// The sources of one run, by [`SourceId`].
#[derive(Clone, Debug, Default)]
pub struct Sources {
    sources: Vec<Arc<Source>>,
}

impl Sources {
    /// Adds a source.
    ///
    /// # Panics
    ///
    /// With more than `u32::MAX` sources.
    pub fn add(&mut self, source: impl Into<Arc<Source>>) -> SourceId {
        let id = SourceId(u32::try_from(self.sources.len()).expect("fewer than 2^32 sources"));
        self.sources.push(source.into());
        id
    }

    /// Decodes `bytes` as [`Source::decode`] does and adds the source.
    pub fn decode(&mut self, name: impl Into<String>, bytes: &[u8]) -> (SourceId, Vec<Finding>) {
        let (source, mut findings) = Source::decode(name, bytes);
        let id = self.add(source);
        for finding in &mut findings {
            finding.location.source = id;
        }
        (id, findings)
    }

    /// The source that `id` names.
    pub fn get(&self, id: SourceId) -> Option<&Arc<Source>> {
        self.sources.get(id.0 as usize)
    }

    /// Puts another text in the place of the source that `id` names; says whether there is one.
    pub fn replace(&mut self, id: SourceId, source: impl Into<Arc<Source>>) -> bool {
        let Some(place) = self.sources.get_mut(id.0 as usize) else { return false };
        *place = source.into();
        true
    }

    /// All sources, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Arc<Source>)> {
        self.sources.iter().enumerate().map(|(index, source)| (SourceId(index as u32), source))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The line and column at which `location` begins; 1:1 for a source that is not here.
    pub fn line_column(&self, location: Location) -> LineColumn {
        self.get(location.source)
            .map_or(LineColumn { line: 1, column: 1 }, |source| source.line_column(location.span.start))
    }
}
