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

/// Says something to whoever watches a running command; nobody need listen.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
