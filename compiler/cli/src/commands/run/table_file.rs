//! Serving a table that `malha compile` wrote.

use super::{Built, Outcome, credentials};
use crate::{failure::Failure, report::Summary, workspace::Work};
use malha_proxy::{CredentialSource, Credentials};
use malha_table::{Table, format::MAGIC};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A table's file.
pub(super) struct TableSource {
    path: PathBuf,
    source: CredentialSource,
    /// What was served last.
    last: Option<(u64, Credentials)>,
}

impl TableSource {
    /// The file, if it begins as a table does.
    pub(super) fn find(paths: &[PathBuf]) -> Option<TableSource> {
        let [path] = paths else { return None };
        let mut start = [0; MAGIC.len()];
        File::open(path).ok()?.read_exact(&mut start).ok()?;
        (start == MAGIC).then(|| TableSource { path: path.clone(), source: CredentialSource::default(), last: None })
    }

    /// With certificates and keys from there.
    pub(super) fn with(self, source: CredentialSource) -> TableSource {
        TableSource { source, ..self }
    }

    pub(super) fn start(&mut self) -> Result<Built, Failure> {
        let (table, credentials) = self.load()?;
        self.last = Some((table.checksum(), credentials.clone()));
        Ok(built(table, credentials))
    }

    pub(super) fn rebuild(&mut self, whole: bool) -> Result<Outcome, Failure> {
        let (table, credentials) = self.load()?;
        let now = (table.checksum(), credentials.clone());
        if self.last.as_ref() == Some(&now) && !whole {
            return Ok(Outcome::Same);
        }
        self.last = Some(now);
        Ok(Outcome::Built(Box::new(built(table, credentials))))
    }

    pub(super) fn watched(&self) -> BTreeMap<PathBuf, bool> {
        let own = (self.root().to_owned(), false);
        std::iter::once(own).chain(self.source.directories().map(|directory| (directory.to_owned(), true))).collect()
    }

    /// Where relative paths of the table start from.
    fn root(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn load(&self) -> Result<(Table, Credentials), Failure> {
        let table = load(&self.path)?;
        let read = self.source.read(&table, self.root());
        let credentials = read.map_err(|error| credentials::unreadable(&error))?;
        Ok((table, credentials))
    }
}

fn load(path: &Path) -> Result<Table, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::path(path, &error))?;
    Table::load(bytes).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn built(table: Table, credentials: Credentials) -> Built {
    Built {
        table: Arc::new(table),
        credentials,
        authority: None,
        left_out: Vec::new(),
        findings: Value::Null,
        summary: Summary::default(),
        notes: Vec::new(),
        troubles: Vec::new(),
        work: Work::default(),
    }
}
