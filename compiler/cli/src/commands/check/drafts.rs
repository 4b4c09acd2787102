//! Files that are about to be changed: what they hold, and what they are to hold.

use crate::{atomic::write_atomically, failure::Failure, line_ends::with_line_ends_of};
use malha_syntax::{Encoding, Source, Span};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A replacement in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The file, without links.
    pub(super) path: PathBuf,
    /// In the text as it is now.
    pub(super) span: Span,
    pub(super) text: String,
}

/// The files by path, each as it was read first and as it is to become.
#[derive(Default)]
pub(super) struct Drafts {
    files: BTreeMap<PathBuf, Draft>,
}

struct Draft {
    /// As on the disk.
    before: Vec<u8>,
    encoding: Encoding,
    text: String,
}

impl Change {
    /// Whether two changes cannot both be made: they touch the same bytes, or it is open which comes first.
    pub(super) fn meets(&self, other: &Change) -> bool {
        let (one, two) = (self.span, other.span);
        let touches = if one.is_empty() || two.is_empty() {
            one.start <= two.end && two.start <= one.end
        } else {
            one.start < two.end && two.start < one.end
        };
        self.path == other.path && touches
    }
}

impl Drafts {
    /// Begins to change a file, of which `text` was read.
    ///
    /// # Errors
    /// It cannot be changed without harm, for the reason given.
    pub(super) fn begin(&mut self, path: &Path, text: &str) -> Result<(), String> {
        if let Some(draft) = self.files.get(path) {
            return if draft.text == text { Ok(()) } else { Err("the file has changed meanwhile".to_owned()) };
        }
        let readable = fs::metadata(path).and_then(|there| Ok((there, fs::read(path)?)));
        let (there, before) = readable.map_err(|error| error.to_string())?;
        if there.permissions().readonly() {
            return Err("the file is read-only".to_owned());
        }
        let (source, _) = Source::decode("", before.as_slice());
        if source.text != text {
            return Err("the file has changed meanwhile".to_owned());
        }
        // Bytes that are no text would be lost.
        if source.encoding.encode(&source.text) != before {
            return Err("not all of the file is text".to_owned());
        }
        self.files.insert(path.to_owned(), Draft { before, encoding: source.encoding, text: source.text });
        Ok(())
    }

    /// The texts with these changes, of the files that have some. No change meets another.
    pub(super) fn with(&self, changes: &[&Change]) -> BTreeMap<PathBuf, String> {
        let mut changes = changes.to_vec();
        // From the end of each file to its start, so that what is still to come stays where it is.
        changes.sort_by_key(|change| std::cmp::Reverse((change.span.start, change.span.end)));
        let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
        for change in changes {
            let Some(draft) = self.files.get(&change.path) else { continue };
            let text = texts.entry(change.path.clone()).or_insert_with(|| draft.text.clone());
            let (start, end) = (change.span.start as usize, change.span.end.max(change.span.start) as usize);
            if text.get(start..end).is_some() {
                text.replace_range(start..end, &with_line_ends_of(&draft.text, &change.text));
            }
        }
        texts
    }

    /// The bytes of every file: of `texts` where they are there, else as they are now.
    pub(super) fn bytes(&self, texts: &BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, Vec<u8>> {
        let encoded = |(path, draft): (&PathBuf, &Draft)| {
            let text = texts.get(path).unwrap_or(&draft.text);
            (path.clone(), draft.encoding.encode(text))
        };
        self.files.iter().map(encoded).collect()
    }

    /// Takes these texts for what the files are to become.
    pub(super) fn accept(&mut self, texts: BTreeMap<PathBuf, String>) {
        for (path, text) in texts {
            if let Some(draft) = self.files.get_mut(&path) {
                draft.text = text;
            }
        }
    }

    /// Writes every file that is to become another; says how many.
    ///
    /// # Errors
    /// A file cannot be written, or is no longer as it was read; nothing is written then of that file nor of those
    /// after it.
    pub(super) fn write(&self) -> Result<usize, Failure> {
        let changed = self.files.iter().map(|(path, draft)| (path, draft, draft.encoding.encode(&draft.text)));
        let changed: Vec<_> = changed.filter(|(_, draft, bytes)| *bytes != draft.before).collect();
        for (path, draft, bytes) in &changed {
            let there = fs::read(path).map_err(|error| Failure::path(path, &error))?;
            if there != draft.before {
                return Err(Failure::new(format!("{}: the file has changed meanwhile", path.display()))
                    .help("run the command again"));
            }
            write_atomically(path, bytes)?;
        }
        Ok(changed.len())
    }
}
