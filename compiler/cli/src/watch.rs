//! Telling when files change.

use crate::{config::FILE_NAME, failure::Failure, inputs::may_hold_documents};
use notify_debouncer_full::{
    DebounceEventResult, Debouncer, NoCache, new_debouncer_opt,
    notify::{Config, EventKind, RecommendedWatcher, RecursiveMode},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

/// How long changes are gathered before they are told.
pub const DEBOUNCE: Duration = Duration::from_millis(50);

/// How often everything is read again, since no system tells of every change (network mounts, full event queues).
pub const SLOW_POLL: Duration = Duration::from_secs(30);

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These files, and nothing else.
    Files(BTreeSet<PathBuf>),
    /// Anything: directories moved, links were turned, or the system lost count.
    Anything,
}

impl Change {
    /// Both at once.
    #[must_use]
    pub fn and(self, other: Change) -> Change {
        match (self, other) {
            (Change::Files(mut files), Change::Files(others)) => {
                files.extend(others);
                Change::Files(files)
            }
            _ => Change::Anything,
        }
    }
}

/// Watches directories. A file is watched by its directory: editors and `ConfigMap` mounts replace files, and a watch
/// on the old one would see nothing of it.
pub struct Watcher {
    debouncer: Debouncer<RecommendedWatcher, NoCache>,
    watched: BTreeMap<PathBuf, bool>,
}

impl Watcher {
    /// Watches nothing yet; calls `tell` on a thread of its own.
    ///
    /// # Errors
    /// The system has no watches to give.
    pub fn new(tell: impl Fn(Change) + Send + 'static) -> Result<Watcher, Failure> {
        let handle = move |result: DebounceEventResult| {
            if let Some(change) = change(result) {
                tell(change);
            }
        };
        let debouncer = new_debouncer_opt(DEBOUNCE, Some(DEBOUNCE / 5), handle, NoCache, Config::default())
            .map_err(|error| Failure::new(format!("files cannot be watched: {error}")))?;
        Ok(Watcher { debouncer, watched: BTreeMap::new() })
    }

    /// Watches these directories, each with whether what lies below counts too, and no others.
    ///
    /// # Errors
    /// The system refuses a watch.
    pub fn watch(&mut self, directories: &BTreeMap<PathBuf, bool>) -> Result<(), Failure> {
        for gone in self.watched.keys().filter(|path| self.watched.get(*path) != directories.get(*path)) {
            // The directory may be gone itself, and its watch with it.
            let _ = self.debouncer.unwatch(gone);
        }
        self.watched.retain(|path, below| directories.get(path) == Some(below));
        for (directory, below) in directories {
            if self.watched.contains_key(directory) {
                continue;
            }
            let mode = if *below { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            self.debouncer.watch(directory, mode).map_err(|error| {
                Failure::new(format!("{} cannot be watched: {error}", directory.display())).help(
                    "saves are then seen within half a minute; on Linux, fs.inotify.max_user_watches may be too low",
                )
            })?;
            self.watched.insert(directory.clone(), *below);
        }
        Ok(())
    }
}

fn change(result: DebounceEventResult) -> Option<Change> {
    let Ok(events) = result else { return Some(Change::Anything) };
    let mut files = BTreeSet::new();
    for event in events {
        if matches!(event.kind, EventKind::Access(_)) {
            continue;
        }
        if event.need_rescan() || event.paths.is_empty() {
            return Some(Change::Anything);
        }
        for path in &event.paths {
            if !is_plain_file(path) {
                return Some(Change::Anything);
            }
            files.insert(path.clone());
        }
    }
    (!files.is_empty()).then_some(Change::Files(files))
}

/// Whether a change of the path can change nothing but what stands in that file.
fn is_plain_file(path: &Path) -> bool {
    let is_ours = may_hold_documents(path) || path.file_name().is_some_and(|name| name == FILE_NAME);
    is_ours && !path.is_symlink() && !path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, sync::mpsc, time::Instant};
    use tempfile::TempDir;

    const LONG: Duration = Duration::from_secs(10);

    /// Waits until some change satisfies `wanted`.
    fn wait(changes: &mpsc::Receiver<Change>, wanted: impl Fn(&Change) -> bool) {
        let start = Instant::now();
        while let Ok(change) = changes.recv_timeout(LONG.saturating_sub(start.elapsed())) {
            if wanted(&change) {
                return;
            }
        }
        panic!("no such change within {LONG:?}");
    }

    #[test]
    fn every_way_of_saving_is_seen() {
        let directory = TempDir::new().expect("a directory");
        let root = directory.path().canonicalize().expect("it exists");
        let (send, changes) = mpsc::channel();
        let mut watcher = Watcher::new(move |change| drop(send.send(change))).expect("a watcher");
        watcher.watch(&BTreeMap::from([(root.clone(), true)])).expect("a watch");
        let (file, other) = (root.join("a.yaml"), root.join("b.yaml"));
        let names = |path: PathBuf| {
            move |change: &Change| match change {
                Change::Files(files) => files.contains(&path),
                Change::Anything => false,
            }
        };
        fs::write(&file, "a: 1\n").expect("created");
        wait(&changes, names(file.clone()));
        fs::write(&file, "a: 2\n").expect("written");
        wait(&changes, names(file.clone()));
        // As editors do it, twice: a watch on the file itself would see the first only.
        for text in ["a: 3\n", "a: 4\n"] {
            fs::write(root.join("a.yaml~"), text).expect("written");
            fs::rename(root.join("a.yaml~"), &file).expect("renamed");
            wait(&changes, |change| *change == Change::Anything || names(file.clone())(change));
        }
        fs::rename(&file, &other).expect("renamed");
        wait(&changes, |change| names(other.clone())(change) || *change == Change::Anything);
        fs::remove_file(&other).expect("removed");
        wait(&changes, names(other.clone()));
        fs::create_dir(root.join("deep")).expect("created");
        wait(&changes, |change| *change == Change::Anything);
    }
}
