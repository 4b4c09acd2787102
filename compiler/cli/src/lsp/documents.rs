//! The documents that the editor has open: their texts lie over the files'.

use super::{positions::Lines, uri};
use lsp_types::{TextDocumentContentChangeEvent, TextDocumentItem, Uri, VersionedTextDocumentIdentifier};
use std::{collections::BTreeMap, path::PathBuf};

/// What is open, by path. Documents that are no files are not known here.
#[derive(Default)]
pub(super) struct Documents {
    open: BTreeMap<PathBuf, Document>,
}

/// An open document.
pub(super) struct Document {
    /// As the editor calls it.
    pub(super) uri: Uri,
    pub(super) version: i32,
    pub(super) text: String,
}

impl Documents {
    /// A document was opened; tells its path.
    pub(super) fn open(&mut self, item: TextDocumentItem) -> Option<PathBuf> {
        let path = uri::path(&item.uri)?;
        self.open.insert(path.clone(), Document { uri: item.uri, version: item.version, text: item.text });
        Some(path)
    }

    /// A document was changed; tells its path.
    pub(super) fn change(
        &mut self,
        document: &VersionedTextDocumentIdentifier,
        changes: Vec<TextDocumentContentChangeEvent>,
    ) -> Option<PathBuf> {
        let path = uri::path(&document.uri)?;
        let open = self.open.get_mut(&path)?;
        open.version = document.version;
        for change in changes {
            match change.range {
                // Each counts in the text that the one before left.
                Some(range) => {
                    let bytes = Lines::new(&open.text).bytes(range);
                    open.text.replace_range(bytes, &change.text);
                }
                None => open.text = change.text,
            }
        }
        Some(path)
    }

    /// A document was closed; tells its path.
    pub(super) fn close(&mut self, document: &Uri) -> Option<PathBuf> {
        let path = uri::path(document)?;
        self.open.remove(&path).map(|_| path)
    }

    /// The document of a path.
    pub(super) fn get(&self, path: &PathBuf) -> Option<&Document> {
        self.open.get(path)
    }

    /// All of them, by path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Document)> {
        self.open.iter()
    }
}
