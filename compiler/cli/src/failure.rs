//! Why a command could not do its job.

use std::{fmt, io, path::Path};

/// Something that keeps a command from doing its job: usage, unreadable input. The exit status is then 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
    help: Option<String>,
}

impl Failure {
    /// What went wrong, as a clause without a capital or a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), help: None }
    }

    /// Says how to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what it is in: a file, a key.
    #[must_use]
    pub fn within(self, what: impl fmt::Display) -> Self {
        Failure { message: format!("{what}: {}", self.message), ..self }
    }

    /// A path that the system would not let us use.
    pub fn path(path: &Path, error: &io::Error) -> Self {
        Failure::new(format!("{}: {error}", path.display()))
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// How a command that did its job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing to tell: exit status 0.
    Clean,
    /// Findings, or a compile that was stopped: exit status 1.
    Findings,
    /// Part of the job could not be done, as it said where that happened: exit status 2.
    Incomplete,
    /// A command that was run has ended: its exit status.
    Of(u8),
}
