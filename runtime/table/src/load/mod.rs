//! Loading: every offset, index, range and order that evaluation relies on is checked here, once.

mod automata;
mod check;
mod hosts;
mod records;
mod seal;

use crate::{
    Table,
    format::{FEATURES, Header, HeaderValueRecord, MAGIC, PatternRecord, Section, SectionEntry, VERSION},
    http::Template,
    pattern,
};
use check::Checker;
pub(crate) use seal::seal;
use std::{fmt, sync::OnceLock};
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::FromBytes;

/// Why bytes are not a table that can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// They do not begin as a table does.
    NotATable,
    /// The table has a version that this reader does not know.
    Version(u32),
    /// There are fewer bytes, or more, than the header says.
    Length {
        /// What the header says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The bytes are not those that were written.
    Checksum,
    /// It needs features that this reader does not have, by name.
    Features(Vec<String>),
    /// The section directory is broken.
    Directory(&'static str),
    /// A record is broken.
    Record {
        /// Its section.
        section: Section,
        /// Its place there.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A pattern that cannot be executed.
    Pattern {
        /// As the file has it.
        text: String,
        /// Why.
        reason: String,
    },
    /// A header value that cannot be evaluated.
    Value {
        /// As the file has it.
        text: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NotATable => f.write_str("this is not a Malha table; `malha compile` writes them"),
            LoadError::Version(found) => {
                write!(
                    f,
                    "the table has version {found} of the format, this reader takes version {VERSION}; compile it anew"
                )
            }
            LoadError::Length { expected, found } => {
                write!(f, "the table is cut off or has been added to: it should have {expected} bytes, it has {found}")
            }
            LoadError::Checksum => f.write_str("the table is damaged: its checksum is not that of its content"),
            LoadError::Features(names) => {
                write!(f, "the table needs what this reader does not have: {}; use a newer one", names.join(", "))
            }
            LoadError::Directory(what) => write!(f, "the table's section directory is broken: {what}"),
            LoadError::Record { section, index, what } => {
                write!(f, "the table is broken: record {index} of section {section:?}: {what}")
            }
            LoadError::Pattern { text, reason } => {
                write!(f, "the table's pattern `{text}` cannot be executed: {reason}")
            }
            LoadError::Value { text, reason } => {
                write!(f, "the table's header value `{text}` cannot be evaluated: {reason}")
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl Table {
    /// Takes the bytes of a table, after checking all that its evaluation relies on.
    pub fn load(bytes: Vec<u8>) -> Result<Table, LoadError> {
        let (header, sections) = read_directory(&bytes)?;
        let mut table = Table {
            bytes,
            sections,
            templates: Vec::new(),
            regexes: Vec::new(),
            program: header.program.get(),
            checksum: header.checksum.get(),
        };
        if seal::program_hash(&table.bytes) != Some(table.program) {
            return Err(LoadError::Checksum);
        }
        check_features(&table)?;
        Checker::new(&table)?.check_all()?;
        table.templates = templates(&table)?;
        table.regexes = regexes(&table)?;
        Ok(table)
    }
}

type Directory = [(usize, usize); Section::ALL.len()];

fn read_directory(bytes: &[u8]) -> Result<(Header, Directory), LoadError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(LoadError::NotATable);
    }
    let found = bytes.len() as u64;
    let header_length = size_of::<Header>() as u64;
    let short = LoadError::Length { expected: header_length, found };
    let (header, rest) = Header::read_from_prefix(bytes).map_err(|_| short)?;
    if header.version.get() != VERSION {
        return Err(LoadError::Version(header.version.get()));
    }
    if header.length.get() != found {
        return Err(LoadError::Length { expected: header.length.get(), found });
    }
    if xxh3_64(rest) != header.checksum.get() {
        return Err(LoadError::Checksum);
    }
    let count = header.sections.get() as usize;
    let (entries, _) = <[SectionEntry]>::ref_from_prefix_with_elems(rest, count)
        .map_err(|_| LoadError::Directory("it is longer than the table"))?;
    let mut sections = [(0, 0); Section::ALL.len()];
    let mut last = None;
    for entry in entries {
        let kind = entry.kind.get();
        if last.is_some_and(|last| last >= kind) {
            return Err(LoadError::Directory("sections are not in order"));
        }
        last = Some(kind);
        let section = Section::ALL.iter().find(|section| **section as u32 == kind);
        let section = *section.ok_or(LoadError::Directory("a section of an unknown kind"))?;
        let start = usize::try_from(entry.offset.get()).ok();
        let length = usize::try_from(entry.length.get()).ok();
        let range = start.zip(length).and_then(|(start, length)| Some((start, start.checked_add(length)?)));
        let (start, end) =
            range.filter(|(_, end)| *end <= bytes.len()).ok_or(LoadError::Directory("a section lies outside"))?;
        if (end - start) % section.record_size() != 0 {
            return Err(LoadError::Directory("a section has a part of a record"));
        }
        if let Some(place) = sections.get_mut(section as usize) {
            *place = (start, end);
        }
    }
    Ok((header, sections))
}

/// An unknown feature is named before anything is called broken: it may be why a record looks so.
fn check_features(table: &Table) -> Result<(), LoadError> {
    // Nothing is checked yet: a broken table could name any number of them.
    const NAMED: usize = 16;
    let unknown = table.features().filter(|name| !FEATURES.contains(name)).map(str::to_owned);
    let unknown: Vec<String> = unknown.take(NAMED).collect();
    if unknown.is_empty() { Ok(()) } else { Err(LoadError::Features(unknown)) }
}

/// The parsed values of header operations that have variables in them.
fn templates(table: &Table) -> Result<Vec<Option<Template>>, LoadError> {
    let parse = |record: &HeaderValueRecord| {
        let text = table.str(record.value);
        if !text.contains('%') {
            return Ok(None);
        }
        let wrong = |error| LoadError::Value { text: text.to_owned(), reason: format!("{error}") };
        Template::parse(text).map(Some).map_err(wrong)
    };
    table.section::<HeaderValueRecord>(Section::HeaderValues).iter().map(parse).collect()
}

/// A place for each compiled translation. That they compile is tried here; they are kept when first used, so that
/// memory goes to those that are.
fn regexes(table: &Table) -> Result<Vec<OnceLock<Option<crate::http::Regex>>>, LoadError> {
    let try_one = |record: &PatternRecord| {
        let Some(translation) = table.optional_str(record.translation) else { return Ok(OnceLock::new()) };
        let wrong = |reason| LoadError::Pattern { text: table.str(record.text).to_owned(), reason };
        pattern::check(translation).map_err(wrong)?;
        Ok(OnceLock::new())
    };
    table.section::<PatternRecord>(Section::Patterns).iter().map(try_one).collect()
}
