//! Files that are made from code, and must stay in step with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files by path.
pub(crate) type Files = Vec<(PathBuf, String)>;

/// A folder of the checkout.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Writes the files.
pub(crate) fn write(files: &Files) -> Result<(), String> {
    for (path, text) in files {
        fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Says which files are not as the code has them; `task` writes them.
pub(crate) fn check(files: &Files, task: &str) -> Result<(), String> {
    let stale: Vec<String> = files
        .iter()
        .filter(|(path, text)| fs::read_to_string(path).ok().as_deref() != Some(text.as_str()))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("not as the code has them: {}; run `cargo xtask {task}`", stale.join(", ")))
}
