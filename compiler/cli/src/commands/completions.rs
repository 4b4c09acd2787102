//! `malha completions`: a completion script for a shell.

use crate::{
    args::{Cli, CompletionsArgs},
    failure::{Failure, Status},
    terminal,
};
use clap::CommandFactory as _;

/// Prints the script.
///
/// # Errors
/// The output cannot be written.
pub fn completions(args: &CompletionsArgs) -> Result<Status, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "malha", &mut script);
    terminal::print(&script)?;
    Ok(Status::Clean)
}
