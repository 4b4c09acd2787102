//! `malha diff`: which requests two states of a configuration treat differently.

mod hazards;
mod report;
mod revision;
mod state;

use super::refusals;
use crate::{
    args::{DiffArgs, DiffFormat},
    failure::{Failure, Status},
    terminal,
};
use malha_mesh::{
    analysis::{Change, differences},
    program::Program,
};
use malha_table::Decision;
use report::{Report, Told};
use state::State;
use std::collections::BTreeSet;

/// Compares two trees, tables or revisions.
///
/// # Errors
/// One of them cannot be read.
pub fn diff(args: &DiffArgs) -> Result<Status, Failure> {
    let (old, new) = revision::trees(&args.old, args.new.as_deref())?;
    let (mut before, mut after) = state::pairs(&old, &new)?;
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let (mut told, mut hazards, mut left_out) = (Vec::new(), Vec::new(), 0);
    for name in names {
        let (mut old, mut new) = (before.remove(&name), after.remove(&name));
        let (proxies, others) = state::proxies(old.as_ref(), new.as_ref());
        left_out += others;
        for state in [&mut old, &mut new].into_iter().flatten() {
            state.lower(&proxies);
        }
        for (which, state) in [("OLD", &old), ("NEW", &new)] {
            if let Some(State::Tree(tree)) = state {
                refusals::tell_of(which, &tree.workspace, &tree.mesh, &tree.program);
            }
        }
        let nothing = Program::default();
        let changes =
            differences(old.as_ref().map_or(&nothing, State::program), new.as_ref().map_or(&nothing, State::program));
        let (was, is) = (decisions(old.as_mut(), &changes)?, decisions(new.as_mut(), &changes)?);
        if let (Some(State::Tree(old)), Some(State::Tree(new))) = (&old, &new) {
            hazards.extend(hazards::hazards(old, new));
        }
        let decided = changes.into_iter().zip(was.into_iter().zip(is));
        told.extend(decided.map(|(change, (before, after))| Told::new(change, before, after)));
    }
    let report = Report { told, hazards, left_out };
    let text = match args.format {
        DiffFormat::Pretty => report.pretty(),
        DiffFormat::Markdown => report.markdown(),
        DiffFormat::Json => report.json()?,
    };
    terminal::print(text.as_bytes())?;
    Ok(if report.is_identical() { Status::Clean } else { Status::Findings })
}

/// What becomes of the witness of each change; of none, where there is no such mesh.
fn decisions(state: Option<&mut State>, changes: &[Change]) -> Result<Vec<Option<Decision>>, Failure> {
    match state {
        Some(state) => state.decide(changes),
        None => Ok(vec![None; changes.len()]),
    }
}
