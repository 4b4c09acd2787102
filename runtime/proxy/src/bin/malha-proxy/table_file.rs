//! The table's file: what was loaded of it last, and loading it again.

use malha_proxy::Handle;
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
    /// What was read last, good or not: as long as it stays the same there is nothing to do or say.
    last: Mutex<Vec<u8>>,
    handle: OnceLock<Handle>,
}

impl TableFile {
    /// Reads and checks the file.
    pub(crate) fn open(path: &Path) -> Result<(TableFile, Table), String> {
        let bytes = read(path)?;
        let table = load(path, bytes.clone())?;
        Ok((TableFile { path: path.to_owned(), last: Mutex::new(bytes), handle: OnceLock::new() }, table))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on reloads are for this proxy.
    pub(crate) fn serve_with(&self, handle: &Handle) {
        // Only the first counts, and there is only one.
        let _ = self.handle.set(handle.clone());
    }

    /// Loads the file again if it is not what it was, and says what happened; on an error the table at hand stays.
    pub(crate) fn reload(&self) -> Result<Value, String> {
        let handle = self.handle.get().ok_or("the proxy is still starting")?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = read(&self.path).inspect_err(|message| fail(handle, message))?;
        if *last == bytes {
            return Ok(json!({ "changed": false }));
        }
        last.clone_from(&bytes);
        let table = load(&self.path, bytes).inspect_err(|message| fail(handle, message))?;
        let report = handle.swap(Arc::new(table));
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
