//! `malha man`: manual pages.

use crate::{
    args::{Cli, ManArgs},
    failure::{Failure, Status},
    terminal,
};
use clap::CommandFactory as _;
use clap_mangen::{Man, generate_to};
use std::fs;

/// Prints the page of the command, or writes the pages of it and all its subcommands to a directory.
///
/// # Errors
/// The output cannot be written.
pub fn man(args: &ManArgs) -> Result<Status, Failure> {
    if let Some(directory) = &args.directory {
        let written = fs::create_dir_all(directory).and_then(|()| generate_to(Cli::command(), directory));
        written.map_err(|error| Failure::path(directory, &error))?;
        return Ok(Status::Clean);
    }
    let mut page = Vec::new();
    let rendered = Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Failure::new(format!("the page cannot be written: {error}")))?;
    terminal::print(&page)?;
    Ok(Status::Clean)
}
