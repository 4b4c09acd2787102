//! A program to run in the mesh, without the `--` that stands before it.

use crate::{args::RunArgs, failure::Failure, inputs::Inputs};
use std::path::Path;

/// The inputs; where one is not there and could be a program, the failure says how that is written.
///
/// # Errors
/// An argument names nothing.
pub(super) fn inputs(args: &RunArgs) -> Result<Inputs, Failure> {
    Inputs::find(&args.paths.paths).map_err(|failure| {
        let paths = &args.paths.paths;
        let missing = paths.iter().position(|path| !path.exists() && path != Path::new("-"));
        let is_bare = |path: &Path| path.components().count() == 1 && path.extension().is_none();
        match missing.and_then(|missing| paths.get(missing..)) {
            Some(words @ [program, ..]) if args.command.is_empty() && is_bare(program) => {
                let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
                failure.help(format!(
                    "a program to run in the mesh comes after `--`: malha run ... -- {}",
                    words.join(" ")
                ))
            }
            _ => failure,
        }
    })
}
