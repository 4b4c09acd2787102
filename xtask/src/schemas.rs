//! The JSON Schemas of the kinds, for editors.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Writes the schema of every kind.
pub(crate) fn write() -> Result<(), String> {
    for (path, text) in files()? {
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Says which schemas are not as the model has them.
pub(crate) fn check() -> Result<(), String> {
    let mut stale = Vec::new();
    for (path, text) in files()? {
        if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            stale.push(path.display().to_string());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("not as the model has them: {}; run `cargo xtask schemas`", stale.join(", ")))
}

/// The files with their contents.
fn files() -> Result<Vec<(PathBuf, String)>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let mut files = Vec::new();
    for kind in malha_model::SCHEMA_KINDS {
        let schema = malha_model::schema(kind).ok_or_else(|| format!("{kind} has no schema"))?;
        let text = serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())?;
        files.push((folder.join(format!("{kind}.json")), text + "\n"));
    }
    Ok(files)
}
