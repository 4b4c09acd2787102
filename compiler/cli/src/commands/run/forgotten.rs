//! A program to run in the mesh, without the `--` that stands before it.

use crate::{args::RunArgs, failure::Failure, inputs::Inputs, words::quoted};
use malha_syntax::nearest;
use std::{fs, path::Path};

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
                let name = program.to_string_lossy();
                if let Some(meant) = neighbour(&name) {
                    return failure.help(format!("did you mean `{meant}`?"));
                }
                let words: Vec<_> = words.iter().map(|word| quoted(&word.to_string_lossy())).collect();
                failure.help(format!(
                    "if `{name}` is a program to run in the mesh, it comes after `--`: malha run ... -- {}",
                    words.join(" ")
                ))
            }
            _ => failure,
        }
    })
}

/// What lies here and has nearly this name.
fn neighbour(name: &str) -> Option<String> {
    let entries = fs::read_dir(".").ok()?.filter_map(Result::ok);
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}
