//! `malha import`: what a cluster prints, as a clean tree.

mod choice;
mod clean;
mod dump;
mod tree;

use crate::{
    args::ImportArgs,
    failure::{Failure, Status},
    terminal,
};
use choice::{Chosen, choose};
use dump::Dump;
use std::fmt::Write as _;
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
    let mut out = format!("{} written to {directory}", counted(written.fresh, "file"));
    if written.unchanged > 0 {
        let _ = write!(out, ", {} there already", written.unchanged);
    }
    out.push('\n');
    for (why, count) in &chosen.left_out {
        let _ = writeln!(out, "left out: {} ({why})", counted(*count, "object"));
    }
    for note in chosen.notes.iter().chain(&written.notes) {
        let _ = writeln!(out, "note: {note}");
    }
    let _ = writeln!(out, "next: malha check {directory}");
    out
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
