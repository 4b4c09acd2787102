//! Noticing that the table's file was replaced, or a certificate.

use crate::table_file::TableFile;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::Duration,
};

/// A replacement comes as several events: what follows within this time belongs to it.
const QUIET: Duration = Duration::from_millis(50);

/// In case the system loses events: the content is compared anyway.
const AT_LEAST_EVERY: Duration = Duration::from_secs(30);

/// Watches directories, not files: a rename over a file, or a switched symbolic link, replaces what a watch on the file
/// would go on watching.
pub(crate) fn watch(file: &Arc<TableFile>) -> Result<RecommendedWatcher, String> {
    let (events, received) = channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            // Its receiver lives as long as the process.
            let _ = events.send(());
        }
    })
    .map_err(|error| format!("cannot watch files: {error}"))?;
    for (directory, is_deep) in file.watched() {
        let mode = if is_deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(directory, mode).map_err(|error| format!("cannot watch {}: {error}", directory.display()))?;
    }
    let file = Arc::clone(file);
    std::thread::spawn(move || follow(&file, &received));
    Ok(watcher)
}

fn follow(file: &TableFile, events: &Receiver<()>) {
    // It may have been replaced after it was read and before it was watched.
    let _ = file.reload();
    while let Ok(()) | Err(RecvTimeoutError::Timeout) = events.recv_timeout(AT_LEAST_EVERY) {
        while events.recv_timeout(QUIET).is_ok() {}
        // What happened has been said.
        let _ = file.reload();
    }
}
