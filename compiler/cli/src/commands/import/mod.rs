//! `malha import`: what a cluster prints, as a clean tree.

mod choice;
mod clean;
mod dump;
mod tree;

use crate::{
    args::ImportArgs,
    failure::{Failure, Status},
    inputs::may_hold_documents,
    report::count,
    terminal,
};
use choice::{Chosen, choose};
use dump::Dump;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};
use tree::{Tree, Written};

/// Writes the tree.
///
/// # Errors
/// An input cannot be read, or a file is there that says something else; then nothing is written.
pub fn import(args: &ImportArgs) -> Result<Status, Failure> {
    let mut dump = Dump::default();
    for file in &args.files {
        dump.read(file)?;
    }
    let chosen = choose(dump.objects, args.secrets);
    if chosen.objects.is_empty() {
        let failure = Failure::new("there is nothing to import: no object is of a kind that Malha reads");
        let help =
            "name Istio's kinds when asking: kubectl get gateways.networking.istio.io,virtualservices -A -o yaml";
        return Err(failure.help(help));
    }
    let tree = Tree::of(&chosen.objects)?;
    let written = tree.write(&args.output, args.force)?;
    terminal::print(told(args, &chosen, &written).as_bytes())?;
    Ok(Status::Clean)
}

/// What became of the dump, for people.
fn told(args: &ImportArgs, chosen: &Chosen, written: &Written) -> String {
    let directory = args.output.display();
    let mut out = format!("{} written to {directory}", count(written.fresh, "file"));
    if written.unchanged > 0 {
        let _ = write!(out, ", {} there already", written.unchanged);
    }
    out.push('\n');
    for (why, number) in &chosen.left_out {
        let _ = writeln!(out, "left out: {} ({why})", count(*number, "object"));
    }
    for note in chosen.notes.iter().chain(&written.notes) {
        let _ = writeln!(out, "note: {note}");
    }
    for dump in args.files.iter().filter(|file| is_read_with(&args.output, file)) {
        let _ = writeln!(
            out,
            "note: {} lies in {directory} too, where each of its objects is read twice if git does not ignore it: move it \
             away, or import to a directory of its own by -o",
            dump.display()
        );
    }
    let _ = writeln!(out, "next: malha check {directory}");
    out
}

/// Whether a dump is read where the tree is.
fn is_read_with(tree: &Path, dump: &Path) -> bool {
    let inside = |tree: PathBuf, dump: PathBuf| dump.starts_with(tree);
    let found = fs::canonicalize(tree).and_then(|tree| Ok(inside(tree, fs::canonicalize(dump)?)));
    may_hold_documents(dump) && found.unwrap_or(false)
}
