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

/// Work of which nobody knows how much is left.
const UNCOUNTED: &str = "{spinner} {msg} ({elapsed})";

/// Work of many steps.
const COUNTED: &str = "{spinner} {msg} [{bar:30}] {pos}/{len} ({elapsed})";

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
        set_template(&bar, UNCOUNTED);
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
        if self.bar.length().is_some() {
            self.bar.unset_length();
            set_template(&self.bar, UNCOUNTED);
        }
        self.bar.set_message(what.into());
    }

    /// Says what is being done now, in so many steps.
    pub(crate) fn count(&self, what: impl Into<String>, steps: usize) {
        self.bar.set_message(what.into());
        self.bar.set_position(0);
        self.bar.set_length(steps as u64);
        set_template(&self.bar, COUNTED);
    }

    /// One step more; says which, if it has a name.
    pub(crate) fn step(&self, next: Option<String>) {
        self.bar.inc(1);
        if let Some(next) = next {
            self.bar.set_message(next);
        }
    }
}

fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_understood() {
        for template in [UNCOUNTED, COUNTED] {
            ProgressStyle::with_template(template).expect("it is a template");
        }
    }

    #[test]
    fn steps_are_counted_until_something_else_is_done() {
        let progress = Progress::hidden();
        progress.say("looking");
        assert_eq!(progress.bar.length(), None);
        progress.count("reading", 3);
        progress.step(None);
        progress.step(Some("writing".to_owned()));
        assert_eq!((progress.bar.position(), progress.bar.length()), (2, Some(3)));
        assert_eq!(progress.bar.message(), "writing");
        progress.count("checking", 5);
        assert_eq!((progress.bar.position(), progress.bar.length()), (0, Some(5)));
        progress.say("sorting");
        assert_eq!(progress.bar.length(), None);
    }
}
