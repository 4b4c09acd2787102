//! The `malha` command: reads files, asks the compiler, prints, serves.
//!
//! The only crate of the compiler that touches files, clocks and sockets. One file per subcommand under
//! [`commands`].

pub mod args;
pub mod config;
pub mod failure;
pub mod inputs;
pub mod mock;
mod nearest;
pub mod report;
pub mod selection;
pub mod suppression;
pub mod terminal;
