//! `--watch`: checks again after every save.

use super::{clock::Clock, meshes::Meshes, progress, tell};
use crate::{
    args::CheckArgs,
    failure::{Failure, Status},
    inputs::Inputs,
    watch::{Change, SLOW_POLL, Watcher},
};
use std::sync::mpsc::{self, RecvTimeoutError};

/// Checks, and again after every change, until it is stopped.
///
/// # Errors
/// The first check cannot be made, or files cannot be watched. What goes wrong later is said, and waited out.
pub(super) fn watch(args: &CheckArgs, inputs: &Inputs) -> Result<Status, Failure> {
    let (send, changes) = mpsc::channel();
    let mut watcher = Watcher::new(move |change| drop(send.send(change)))?;
    let spinner = progress(args);
    let clock = Clock::new(args.timing);
    let mut meshes = Meshes::open(args, inputs, &clock, &spinner)?;
    // What changes from here on is told, so nothing is missed between the first check and the first wait.
    watcher.watch(&meshes.watched(inputs))?;
    meshes.update(inputs, &Change::Anything, &clock, &spinner)?;
    let mut status = tell(args, &mut meshes, &clock, spinner)?;
    let wait = || (!args.quiet).then(|| eprintln!("waiting for saves"));
    wait();
    // Whether a change came that could not be followed.
    let mut has_missed = false;
    loop {
        let mut change = match changes.recv_timeout(SLOW_POLL) {
            Ok(change) => change,
            // No system tells of every change.
            Err(RecvTimeoutError::Timeout) => Change::Anything,
            Err(RecvTimeoutError::Disconnected) => return Ok(status),
        };
        while let Ok(more) = changes.try_recv() {
            change = change.and(more);
        }
        if has_missed {
            change = Change::Anything;
        }
        let clock = Clock::new(args.timing);
        let spinner = progress(args);
        let before = meshes.state();
        let updated = meshes.update(inputs, &change, &clock, &spinner);
        has_missed = updated.is_err();
        let told = match updated {
            Ok(()) if meshes.state() == before => continue,
            Ok(()) => watcher.watch(&meshes.watched(inputs)).and_then(|()| tell(args, &mut meshes, &clock, spinner)),
            Err(failure) => Err(failure),
        };
        match told {
            Ok(told) => status = told,
            Err(failure) => eprintln!("malha: {failure}"),
        }
        wait();
    }
}
