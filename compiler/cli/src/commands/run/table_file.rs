//! Serving a table that `malha compile` wrote.

use super::{Built, Outcome};
use crate::{failure::Failure, report::Summary, workspace::Work};
use malha_proxy::Credentials;
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
    checksum: u64,
}

impl TableSource {
    /// The file, if it begins as a table does.
    pub(super) fn find(paths: &[PathBuf]) -> Option<TableSource> {
        let [path] = paths else { return None };
        let mut start = [0; MAGIC.len()];
        File::open(path).ok()?.read_exact(&mut start).ok()?;
        (start == MAGIC).then(|| TableSource { path: path.clone(), checksum: 0 })
    }

    pub(super) fn start(&mut self) -> Result<Built, Failure> {
        let table = load(&self.path)?;
        self.checksum = table.checksum();
        Ok(built(table))
    }

    pub(super) fn rebuild(&mut self, whole: bool) -> Result<Outcome, Failure> {
        let table = load(&self.path)?;
        if table.checksum() == self.checksum && !whole {
            return Ok(Outcome::Same);
        }
        self.checksum = table.checksum();
        Ok(Outcome::Built(Box::new(built(table))))
    }

    pub(super) fn watched(&self) -> BTreeMap<PathBuf, bool> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        BTreeMap::from([(directory.unwrap_or(Path::new(".")).to_owned(), false)])
    }
}

fn load(path: &Path) -> Result<Table, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::path(path, &error))?;
    Table::load(bytes).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn built(table: Table) -> Built {
    Built {
        table: Arc::new(table),
        credentials: Credentials::default(),
        authority: None,
        left_out: Vec::new(),
        findings: Value::Null,
        summary: Summary::default(),
        notes: Vec::new(),
        work: Work::default(),
    }
}
