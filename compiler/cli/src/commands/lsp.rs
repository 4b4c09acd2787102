//! `malha lsp`: the language server.

use crate::{
    args::LspArgs,
    failure::{Failure, Status},
    lsp,
};

/// Serves an editor until it says `exit`, or goes away.
///
/// # Errors
/// What comes in is not the protocol.
pub fn lsp(_args: &LspArgs) -> Result<Status, Failure> {
    lsp::serve()
}
