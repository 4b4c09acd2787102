//! The two states that are compared: directories, files, tables, or revisions of a git repository.

use crate::failure::Failure;
use malha_table::format::MAGIC;
use std::{
    ffi::OsStr,
    fs::File,
    io::Read as _,
    path::{Component, Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A tree on the disk.
pub(super) struct Tree {
    path: PathBuf,
    /// It was written for this comparison, and goes with it.
    scratch: Option<Scratch>,
}

/// A revision on the disk.
struct Scratch {
    /// What stands there in the place of the working directory: files are called as they are from here.
    base: PathBuf,
    _directory: TempDir,
}

impl Tree {
    /// Where it is; none if the revision does not have it.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.exists().then_some(&self.path)
    }

    /// Where its files are called from, if that is not the working directory.
    pub(super) fn base(&self) -> Option<&Path> {
        self.scratch.as_ref().map(|scratch| scratch.base.as_path())
    }

    /// Where it is, if it is a table.
    pub(super) fn table(&self) -> Option<&Path> {
        let mut start = [0; MAGIC.len()];
        File::open(&self.path).ok()?.read_exact(&mut start).ok()?;
        (start == MAGIC).then_some(&self.path)
    }
}

/// The old tree and the new one. A name that is no path is a revision; without a new one, the working tree is.
pub(super) fn trees(old: &str, new: Option<&str>) -> Result<(Tree, Tree), Failure> {
    let here = PathBuf::from(".");
    let place = match new {
        Some(new) if Path::new(new).exists() => PathBuf::from(new),
        _ => here.clone(),
    };
    let open = |name: &str| -> Result<Tree, Failure> {
        if Path::new(name).exists() {
            return Ok(Tree { path: PathBuf::from(name), scratch: None });
        }
        at_revision(name, &place)
    };
    let old = open(old)?;
    let new = new.map_or_else(|| Ok(Tree { path: here, scratch: None }), open)?;
    Ok((old, new))
}

/// Writes a revision to a scratch directory; the tree is what stands there in the place of `place`.
fn at_revision(revision: &str, place: &Path) -> Result<Tree, Failure> {
    let directory = if place.is_dir() { place } else { place.parent().unwrap_or(place) };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let commit = git(
        directory,
        &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")],
        None,
    )
    .map_err(|_| {
        Failure::new(format!("`{revision}` is neither a path nor a revision of a git repository here"))
            .help("malha diff main, or malha diff OLD-DIRECTORY NEW-DIRECTORY")
    })?;
    let prefix = git(directory, &["rev-parse", "--show-prefix"], None)?;
    let top = git(directory, &["rev-parse", "--show-toplevel"], None)?;
    let scratch = tempfile::tempdir().map_err(|error| Failure::new(format!("no scratch directory: {error}")))?;
    let (index, tree) = (scratch.path().join("index"), scratch.path().join("tree"));
    let top = Path::new(&top);
    git(top, &["read-tree", &commit], Some(&index))?;
    let target = format!("--prefix={}/", tree.display());
    git(top, &["checkout-index", "--all", "--force", &target], Some(&index))?;
    let mut path = tree.join(prefix);
    if !place.is_dir() {
        path.push(place.file_name().unwrap_or(OsStr::new("")));
    }
    let below: PathBuf = place.components().filter(|part| *part != Component::CurDir).collect();
    let is_below = below.components().all(|part| matches!(part, Component::Normal(_)));
    let base = if is_below { path.ancestors().nth(below.components().count()) } else { None };
    let base = base.filter(|base| base.starts_with(&tree)).unwrap_or(&tree).to_owned();
    Ok(Tree { path, scratch: Some(Scratch { base, _directory: scratch }) })
}

/// What git prints, without the line's end.
fn git(directory: &Path, arguments: &[&str], index: Option<&Path>) -> Result<String, Failure> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments);
    // A hook's own repository and index are not what is asked for here.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let output = command.output().map_err(|error| Failure::new(format!("git cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::new(format!("git {}: {said}", arguments.first().copied().unwrap_or_default())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches(['\n', '\r']).to_owned())
}
