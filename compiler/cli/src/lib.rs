//! The `malha` command: reads files, asks the compiler, prints, serves.
//!
//! The only crate of the compiler that touches files, clocks and sockets. One file per subcommand under
//! [`commands`].

pub mod args;
mod atomic;
pub mod commands;
pub mod config;
pub mod failure;
mod house;
pub mod inputs;
mod line_ends;
mod locked;
#[cfg(feature = "lsp")]
mod lsp;
pub mod mock;
mod progress;
pub mod report;
mod rules;
pub mod selection;
mod silence;
pub mod terminal;
mod unrendered;
mod values;
pub mod watch;
mod words;
pub mod workspace;

use args::{Cli, Command};
use failure::{Failure, Status};

/// Does what the command line says.
///
/// # Errors
/// The job could not be done.
pub fn run(cli: &Cli) -> Result<Status, Failure> {
    match &cli.command {
        Command::Check(args) => commands::check::check(args),
        Command::Compile(args) => commands::compile::compile(args),
        Command::Run(args) => commands::run::run(args),
        Command::Route(args) => commands::route::route(args),
        Command::Diff(args) => commands::diff::diff(args),
        Command::Show(args) => commands::show::show(args),
        Command::Graph(args) => commands::graph::graph(args),
        Command::Import(args) => commands::import::import(args),
        Command::Test(args) => commands::test::test(args),
        Command::Rule(args) => commands::rule::rule(args),
        Command::Schema(args) => commands::schema::schema(args),
        #[cfg(feature = "lsp")]
        Command::Lsp(args) => commands::lsp::lsp(args),
        Command::Completions(args) => commands::completions::completions(args),
        Command::Man(args) => commands::man::man(args),
    }
}
