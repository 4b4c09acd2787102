//! What takes no part in a mesh is said beside the answers of those commands that ask it something.

use crate::{report, workspace::Workspace};
use malha_mesh::{Mesh, program::Program};
use malha_syntax::{Finding, Sources};

/// So many are shown.
const SHOWN: usize = 3;

/// Says on the standard error what cannot be read, and what a cluster would refuse.
pub(super) fn tell(workspace: &Workspace, mesh: &Mesh, program: &Program) {
    tell_of("", workspace, mesh, program);
}

/// The same of one of several states: `state` is what the command line calls it.
pub(super) fn tell_of(state: &str, workspace: &Workspace, mesh: &Mesh, program: &Program) {
    let findings = workspace.refused(mesh, program);
    if findings.is_empty() {
        return;
    }
    let sources = workspace.files().sources();
    let shown: Vec<(&Finding, &Sources)> = findings.iter().take(SHOWN).map(|finding| (finding, sources)).collect();
    eprint!("{}", report::concise(&shown));
    let errors = report::count(findings.len(), "error");
    let what = "what cannot be read, or a cluster would refuse, takes no part";
    if state.is_empty() {
        eprintln!("malha: {what} ({errors}): `malha check` tells all");
    } else {
        // It need not be what `check` reads.
        eprintln!("malha: of {state} {what} ({errors})");
    }
}
