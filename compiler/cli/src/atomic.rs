//! Writing files whole or not at all.

use crate::failure::Failure;
use std::{fs, io, io::Write as _, path::Path};
use tempfile::Builder;

/// Replaces a file in one step: whoever reads it sees the old content or the new. A link is followed; what is no plain
/// file, as a pipe or a device, is written to. A file that is there keeps its permissions, and its owner where the
/// system allows it.
///
/// # Errors
/// The file cannot be written; what was there is untouched.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // As any other program would make it: the process's mask still holds.
    write(path, bytes, 0o666)
}

/// As [`write_atomically`], but a file that is made is for its owner alone.
///
/// # Errors
/// The file cannot be written; what was there is untouched.
pub(crate) fn write_privately(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write(path, bytes, 0o600)
}

/// `mode`: who may read and write a file that is made, where the system knows that.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |error: &io::Error| Failure::path(path, error);
    let followed = fs::canonicalize(path);
    let path = followed.as_deref().unwrap_or(path);
    let there = fs::metadata(path).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        let opened = fs::OpenOptions::new().write(true).open(path);
        return opened.and_then(|mut there| there.write_all(bytes)).map_err(|error| failed(&error));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = Builder::new();
    builder.prefix(".malha-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    let opened = builder.tempfile_in(directory);
    let mut file = opened.map_err(|error| Failure::path(path, &io::Error::from(error.kind())))?;
    file.write_all(bytes).map_err(|error| failed(&error))?;
    if let Some(there) = there {
        keep_owner(file.as_file(), &there);
        file.as_file().set_permissions(there.permissions()).map_err(|error| failed(&error))?;
    }
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Gives `file` the owner that `there` has. Only some users may; for others the file becomes theirs, as with an editor.
fn keep_owner(file: &fs::File, there: &fs::Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        if file.metadata().is_ok_and(|made| (made.uid(), made.gid()) != (there.uid(), there.gid())) {
            let _ = fchown(file, Some(there.uid()), Some(there.gid()));
        }
    }
    #[cfg(not(unix))]
    let _ = (file, there);
}
