//! One file per subcommand.

pub mod check;
pub mod compile;
pub mod completions;
pub mod diff;
pub mod graph;
pub mod import;
#[cfg(feature = "lsp")]
pub mod lsp;
pub mod man;
mod refusals;
pub mod route;
pub mod rule;
pub mod run;
pub mod schema;
pub mod show;
pub mod test;
