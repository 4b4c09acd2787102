//! A line on the terminal that says what long work is at.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    env,
    io::{self, IsTerminal as _},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Work that is done sooner than this is not told of: a line that flashes up tells nobody anything.
const PATIENCE: Duration = Duration::from_millis(600);

/// How often the line is drawn.
const PACE: Duration = Duration::from_millis(100);

/// Tells of work until it is dropped; on the standard error, if that is a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Dropped with the progress, which ends the thread that waits to show it.
    _done: Option<mpsc::Sender<()>>,
}

impl Progress {
    /// Progress that nobody sees.
    pub(crate) fn hidden() -> Progress {
        Progress { bar: ProgressBar::hidden(), _done: None }
    }

    /// Progress on the terminal, once the work has lasted.
    pub(crate) fn on_terminal() -> Progress {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        if !io::stderr().is_terminal() || is_dumb {
            return Progress::hidden();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        let (done, wait) = mpsc::channel();
        let shown = bar.clone();
        thread::spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(PACE);
            }
        });
        Progress { bar, _done: Some(done) }
    }

    /// Says what is being done now.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
