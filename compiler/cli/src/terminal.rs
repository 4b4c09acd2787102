//! Where output goes.

use crate::failure::Failure;
use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

/// Whether the standard output shows colour: a terminal does, unless `NO_COLOR` says otherwise.
pub fn colour() -> bool {
    io::stdout().is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether the command was started on a terminal, which tells all that run there of Ctrl-C.
pub fn is_there() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Columns of a page where neither the environment nor a terminal says it.
const COLUMNS: usize = 100;

/// How many columns a page for people has: as `COLUMNS` says, else as the terminal is wide.
pub fn columns() -> usize {
    let told = env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let of_terminal = || {
        let size = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        size.map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0)
    };
    // Narrower pages hold no line of a file.
    told.filter(|columns| *columns > 0).or_else(of_terminal).unwrap_or(COLUMNS).max(40)
}

/// Prints to the standard output. A reader that has gone away is content with what it has.
///
/// # Errors
/// The output cannot be written.
pub fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Where a running command says what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// On the standard output.
    Output,
    /// On the standard error, since the standard output is another's.
    Error,
}

impl Voice {
    /// Says something to whoever watches; nobody need listen.
    pub fn say(self, text: &str) {
        let mut out = self.writer();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// What it writes to.
    pub fn writer(self) -> Box<dyn io::Write + Send> {
        match self {
            Voice::Output => Box::new(io::stdout()),
            Voice::Error => Box::new(io::stderr()),
        }
    }
}
