//! Writing files whole or not at all.

use crate::failure::Failure;
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};
use tempfile::{Builder, NamedTempFile};

/// Replaces a file in one step: whoever reads it sees the old content or the new. A link is followed; what is no plain
/// file, as a pipe or a device, is written to. A file that is there keeps its permissions and its owner; where only
/// writing into it keeps them, or it has other names, that is done once the new content is safe beside it.
///
/// # Errors
/// The file cannot be written, or a link leads nowhere; what was there is untouched. Where writing into the file fails
/// half-way, the error says where the new content is.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // As any other program would make it: the process's mask still holds.
    write(path, bytes, Access::AsOthers)
}

/// As [`write_atomically`], but the file is for its owner alone afterwards, whatever it was.
///
/// # Errors
/// The file cannot be written; what was there is untouched.
pub(crate) fn write_privately(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write(path, bytes, Access::Private)
}

/// Lets nobody but its owner read or write a file that is there.
///
/// # Errors
/// The system does not allow it.
pub(crate) fn make_private(path: &Path) -> Result<(), Failure> {
    #[cfg(unix)]
    {
        let failed = |error: io::Error| Failure::path(path, &error);
        let there = fs::metadata(path).map_err(failed)?.permissions();
        fs::set_permissions(path, Access::Private.permissions(Some(there))).map_err(failed)?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Who may read and write a file, where the system knows that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Those who may read and write the one that it replaces, else as any other program would make it.
    AsOthers,
    /// Its owner.
    Private,
}

impl Access {
    #[cfg(unix)]
    fn permissions(self, there: Option<fs::Permissions>) -> fs::Permissions {
        use std::os::unix::fs::PermissionsExt as _;
        match (self, there) {
            // The process's mask still holds.
            (Access::AsOthers, None) => fs::Permissions::from_mode(0o666),
            (Access::AsOthers, Some(there)) => there,
            (Access::Private, None) => fs::Permissions::from_mode(0o600),
            (Access::Private, Some(there)) => fs::Permissions::from_mode(there.mode() & 0o700),
        }
    }
}

fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), Failure> {
    let failed = |error: &io::Error| Failure::path(path, error);
    let followed = fs::canonicalize(path);
    if followed.is_err() && path.is_symlink() {
        let target = fs::read_link(path).map_err(|error| failed(&error))?;
        return Err(Failure::new(format!(
            "{}: it is a link to {}, which is not there",
            path.display(),
            target.display()
        ))
        .help("make the file that it leads to, or remove the link"));
    }
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
    builder.permissions(access.permissions(None));
    #[cfg(not(unix))]
    let _ = access;
    let opened = builder.tempfile_in(directory);
    let mut file = opened.map_err(|error| Failure::path(path, &io::Error::from(error.kind())))?;
    file.write_all(bytes).map_err(|error| failed(&error))?;
    if let Some(there) = there {
        let stays = keeps_owner(file.as_file(), &there);
        #[cfg(unix)]
        let permissions = access.permissions(Some(there.permissions()));
        #[cfg(not(unix))]
        let permissions = there.permissions();
        file.as_file().set_permissions(permissions.clone()).map_err(|error| failed(&error))?;
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        if !stays || has_other_names(&there) {
            if access == Access::Private {
                fs::set_permissions(path, permissions).map_err(|error| failed(&error))?;
            }
            return write_into(path, bytes, file);
        }
    }
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Writes into a file that is there; `copy` has the new content until that is done.
fn write_into(path: &Path, bytes: &[u8], copy: NamedTempFile) -> Result<(), Failure> {
    let opened = fs::OpenOptions::new().write(true).open(path);
    let mut file = opened.map_err(|error| Failure::path(path, &error))?;
    let written = file.write_all(bytes).and_then(|()| file.set_len(bytes.len() as u64)).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let failure = Failure::path(path, &error);
        match copy.keep() {
            Ok((_, kept)) => failure.help(format!("what it was to hold is in {}", kept.display())),
            Err(_) => failure,
        }
    })
}

/// Gives `file` the owner that `there` has; says whether it has it then. Only some users may.
fn keeps_owner(file: &fs::File, there: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        file.metadata().is_ok_and(|made| (made.uid(), made.gid()) == (there.uid(), there.gid()))
            || fchown(file, Some(there.uid()), Some(there.gid())).is_ok()
    }
    #[cfg(not(unix))]
    {
        let _ = (file, there);
        true
    }
}

/// Whether the file has several names, of which only one would lead to what takes its place.
fn has_other_names(there: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        there.nlink() > 1
    }
    #[cfg(not(unix))]
    {
        let _ = there;
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{
        os::unix::fs::{MetadataExt as _, chown, symlink},
        path::PathBuf,
    };

    #[test]
    fn a_link_that_leads_nowhere_is_not_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let link = directory.path().join("a");
        symlink("nothing", &link).expect("a link");
        let failure = write_atomically(&link, b"x").expect_err("there is no file").to_string();
        assert!(failure.contains("it is a link to nothing, which is not there"), "{failure}");
        assert_eq!(fs::read_link(&link).expect("a link"), PathBuf::from("nothing"));
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn all_names_of_a_file_have_the_new_content() {
        let directory = tempfile::tempdir().expect("a directory");
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        fs::write(&one, "what was there before").expect("a file");
        fs::hard_link(&one, &other).expect("a name");
        write_atomically(&one, b"short").expect("it is written");
        assert_eq!(fs::read(&other).expect("text"), b"short");
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 2, "nothing is left beside it");
    }

    #[test]
    fn the_owner_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        fs::write(&path, "before").expect("a file");
        // Only root may give a file away; for others the file is their own before and after.
        let given = chown(&path, Some(65_534), Some(65_534));
        let owner = |path: &Path| fs::metadata(path).map(|there| (there.uid(), there.gid())).expect("it is there");
        let before = owner(&path);
        assert!(given.is_err() || before == (65_534, 65_534));
        write_atomically(&path, b"after").expect("it is written");
        assert_eq!((owner(&path), fs::read(&path).expect("text").as_slice()), (before, b"after".as_slice()));
    }
}
