//! The table's file and what its TLS needs: what was loaded of them last, and loading them again.

use malha_proxy::{CredentialSource, Credentials, Handle, Revision};
use malha_table::Table;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Larger files are not read: a table of 10,000 objects takes some megabytes.
const LARGEST: u64 = 1 << 30;

/// A table's file.
#[derive(Debug)]
pub(crate) struct TableFile {
    path: PathBuf,
    source: CredentialSource,
    last: Mutex<Last>,
    handle: OnceLock<Handle>,
}

/// What was read last: as long as it stays the same there is nothing to do or say.
#[derive(Debug)]
struct Last {
    /// Good or not.
    bytes: Vec<u8>,
    credentials: Result<Credentials, String>,
    /// The last that was good.
    table: Arc<Table>,
}

impl TableFile {
    /// Reads and checks the file, and what its TLS needs.
    pub(crate) fn open(path: &Path, source: CredentialSource) -> Result<(TableFile, Revision), String> {
        let bytes = read(path)?;
        let table = Arc::new(load(path, bytes.clone())?);
        let credentials = read_credentials(path, &source, &table)?;
        let revision = Revision { table: Arc::clone(&table), credentials: credentials.clone() };
        let last = Mutex::new(Last { bytes, credentials: Ok(credentials), table });
        Ok((TableFile { path: path.to_owned(), source, last, handle: OnceLock::new() }, revision))
    }

    /// The directories in which a change is worth a look, and whether it may be below them.
    pub(crate) fn watched(&self) -> Vec<(&Path, bool)> {
        let own = (root(&self.path), false);
        std::iter::once(own).chain(self.source.directories().map(|directory| (directory, true))).collect()
    }

    /// From now on reloads are for this proxy.
    pub(crate) fn serve_with(&self, handle: &Handle) {
        // Only the first counts, and there is only one.
        let _ = self.handle.set(handle.clone());
    }

    /// Loads the file and what its TLS needs again if they are not what they were, and says what happened; on an error
    /// the table at hand stays, with its certificates.
    pub(crate) fn reload(&self) -> Result<Value, String> {
        let handle = self.handle.get().ok_or("the proxy is still starting")?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = read(&self.path).inspect_err(|message| fail(handle, message))?;
        let is_other = last.bytes != bytes;
        if is_other {
            last.bytes.clone_from(&bytes);
            last.table = Arc::new(load(&self.path, bytes).inspect_err(|message| fail(handle, message))?);
        }
        let credentials = read_credentials(&self.path, &self.source, &last.table);
        if !is_other && credentials == last.credentials {
            return Ok(json!({ "changed": false }));
        }
        last.credentials.clone_from(&credentials);
        let credentials = credentials.inspect_err(|message| fail(handle, message))?;
        let report = handle.swap(Revision { table: Arc::clone(&last.table), credentials });
        for listener in &report.added {
            eprintln!("{} {} of {} on {}", listener.role, listener.name, listener.proxy, listener.address);
        }
        for listener in &report.removed {
            eprintln!("closed {} {} of {} on {}", listener.role, listener.name, listener.proxy, listener.address);
        }
        for failure in &report.failed {
            eprintln!("error: {failure}");
        }
        eprintln!("loaded {} again: {} listeners kept", self.path.display(), report.kept);
        handle.publish("status", json!({ "result": "loaded" }));
        Ok(json!({ "changed": true, "report": report }))
    }
}

/// Where relative paths of a table start from.
fn root(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read_credentials(path: &Path, source: &CredentialSource, table: &Table) -> Result<Credentials, String> {
    source.read(table, root(path)).map_err(|error| format!("cannot read certificates: {error}"))
}

fn fail(handle: &Handle, message: &str) {
    eprintln!("error: {message}; the table at hand stays");
    handle.count_reload_failure();
    handle.publish("status", json!({ "result": "failed", "error": message }));
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.by_ref().take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{} is larger than 1 GiB, which no table is", path.display()));
    }
    Ok(bytes)
}

fn load(path: &Path, bytes: Vec<u8>) -> Result<Table, String> {
    Table::load(bytes).map_err(|error| format!("{} cannot be served: {error}", path.display()))
}
