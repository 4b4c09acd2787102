//! `--fix`: what findings offer, applied until nothing is left to apply.

use super::{
    baseline::Baseline,
    clock::Clock,
    drafts::{Change, Drafts},
    meshes::{Meshes, Placed, real},
    trial::{Candidate, Refused, Round, key},
};
use crate::{
    failure::Failure,
    report::{self, count},
};
use malha_syntax::Fix;

/// Every round but the last makes findings go away, so there is an end; nobody waits for a later one than this.
const ROUNDS: usize = 100;

/// What was fixed.
#[derive(Default)]
pub(super) struct Fixed {
    findings: usize,
    files: usize,
    refused: Vec<Refused>,
    /// Fixes of files that could not be touched.
    untouched: Vec<Refused>,
    /// Findings with a fix that nobody asked for.
    unsafe_ones: usize,
}

impl Fixed {
    /// Why files could not be changed, a line for each.
    pub(super) fn troubles(&self) -> impl Iterator<Item = String> {
        self.untouched.iter().map(not_fixed)
    }

    /// What else there is to say, a line for each.
    pub(super) fn notes(&self, unsafe_too: bool) -> Vec<String> {
        let mut notes: Vec<String> = self.refused.iter().map(not_fixed).collect();
        notes.push(format!("{} fixed in {}", count(self.findings, "finding"), count(self.files, "file")));
        if self.unsafe_ones > 0 && !unsafe_too {
            let found = count(self.unsafe_ones, "finding");
            notes.push(format!("{found} with a fix that may change how requests are treated: see --unsafe-fixes"));
        }
        notes
    }

    /// Whether a file could not be changed at all.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.untouched.is_empty()
    }
}

fn not_fixed(refused: &Refused) -> String {
    format!("not fixed: {}: {}", refused.title, refused.why)
}

/// Applies the fixes of all findings that a baseline does not know, and writes the files.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn fix(
    meshes: &mut Meshes,
    unsafe_too: bool,
    baseline: Option<&Baseline>,
    clock: &Clock,
) -> Result<Fixed, Failure> {
    let mut fixed = Fixed::default();
    let before = unknown(meshes, baseline);
    let mut drafts = Drafts::default();
    for _ in 0..ROUNDS {
        let (candidates, untouched) = candidates(meshes, unsafe_too, baseline, &mut drafts);
        fixed.untouched = untouched;
        let (accepted, refused) = Round::run(meshes, &mut drafts, &candidates, clock)?;
        fixed.refused = refused;
        if accepted.is_empty() {
            break;
        }
    }
    // A fix may mend more than what it was offered for.
    fixed.findings = before.saturating_sub(unknown(meshes, baseline));
    fixed.files = drafts.write()?;
    let known = meshes.known(baseline);
    let left = meshes.placed().filter(|placed| !known.holds(placed));
    fixed.unsafe_ones = left.filter(|placed| placed.finding.fix.as_ref().is_some_and(|fix| !fix.safe)).count();
    Ok(fixed)
}

/// How many findings there are that the baseline does not know.
fn unknown(meshes: &Meshes, baseline: Option<&Baseline>) -> usize {
    let known = meshes.known(baseline);
    meshes.placed().filter(|placed| !known.holds(placed)).count()
}

/// The fixes of this round, none meeting another; and those of files that cannot be changed.
fn candidates(
    meshes: &Meshes,
    unsafe_too: bool,
    baseline: Option<&Baseline>,
    drafts: &mut Drafts,
) -> (Vec<Candidate>, Vec<Refused>) {
    let known = meshes.known(baseline);
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut untouched = Vec::new();
    for placed in meshes.placed().filter(|placed| !known.holds(placed)) {
        let Some(fix) = placed.finding.fix.as_ref().filter(|fix| fix.safe || unsafe_too) else { continue };
        let line = report::range(placed.sources, placed.finding.location).start.line;
        let title = format!("{}:{line}: {}", placed.file.shown, fix.title);
        let changes = match changes(meshes, &placed, fix, drafts) {
            Ok(changes) => changes,
            Err(why) => {
                untouched.push(Refused { title, why });
                continue;
            }
        };
        let meets = |taken: &Change| changes.iter().any(|change| change.meets(taken));
        if candidates.iter().flat_map(|candidate| &candidate.changes).any(meets) {
            continue;
        }
        candidates.push(Candidate { changes, mends: vec![key(placed.finding, placed.sources)], title });
    }
    (candidates, untouched)
}

/// The edits of a fix as changes of files, which may then be changed.
fn changes(meshes: &Meshes, placed: &Placed<'_>, fix: &Fix, drafts: &mut Drafts) -> Result<Vec<Change>, String> {
    let mut changes = Vec::with_capacity(fix.edits.len());
    for edit in &fix.edits {
        let source = placed.sources.get(edit.location.source);
        let file = meshes.file(placed.mesh, edit.location.source);
        let (Some(source), Some(file)) = (source, file) else { return Err("its file is not known".to_owned()) };
        if !file.named {
            return Err(format!("it changes {}, which the inputs do not name", file.shown));
        }
        let path = real(file.path.as_deref().ok_or("the standard input cannot be changed")?);
        drafts.begin(&path, &source.text)?;
        changes.push(Change { path, span: edit.location.span, text: edit.text.clone() });
    }
    Ok(changes)
}
