//! Where benches, and the training of the proxy, put what they make.

use std::{fs, io, path::Path, path::PathBuf};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// An empty directory under `target/bench`.
pub(crate) fn directory(name: &str) -> Result<PathBuf, String> {
    let directory = root().join("target/bench").join(name);
    remove(&directory)?;
    make(&directory)?;
    Ok(directory)
}

/// Makes a directory, if it is not there.
pub(crate) fn make(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// Removes a directory, if it is there.
pub(crate) fn remove(directory: &Path) -> Result<(), String> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", directory.display())),
        _ => Ok(()),
    }
}

/// Writes a file as an editor does: beside its place, then renamed.
pub(crate) fn save(path: &Path, text: &str) -> Result<(), String> {
    let beside = path.with_extension("saving");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|error| format!("{}: {error}", path.display()))
}
