//! `--add-ignore`: comments that silence what is found.

use super::{
    baseline::Baseline,
    clock::Clock,
    drafts::{Change, Drafts},
    meshes::{Meshes, real},
    trial::{Candidate, Key, Refused, Round, key},
};
use crate::{
    failure::Failure,
    report::count,
    silence::{ABOUT_COMMENTS, comment, is_json},
};
use malha_syntax::{Source, SourceId, read};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

/// What was written.
#[derive(Default)]
pub(super) struct Added {
    findings: usize,
    files: usize,
    refused: Vec<Refused>,
}

impl Added {
    /// What there is to say, a line for each.
    pub(super) fn notes(&self) -> Vec<String> {
        let not_done = |refused: &Refused| format!("no comment: {}: {}", refused.title, refused.why);
        let mut notes: Vec<String> = self.refused.iter().map(not_done).collect();
        notes.push(format!("{} silenced in {}", count(self.findings, "finding"), count(self.files, "file")));
        notes
    }
}

/// The findings of a line.
#[derive(Default)]
struct Line {
    codes: BTreeSet<&'static str>,
    mends: Vec<Key>,
}

/// The findings of a file, by line.
struct File {
    shown: String,
    source: Arc<Source>,
    lines: BTreeMap<u32, Line>,
}

/// Writes a comment for each line that has findings which a baseline does not know.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn add(meshes: &mut Meshes, baseline: Option<&Baseline>, clock: &Clock) -> Result<Added, Failure> {
    let mut added = Added::default();
    let mut drafts = Drafts::default();
    let mut candidates = Vec::new();
    for (path, file) in files(meshes, baseline) {
        let refused = |why: &str| Refused { title: file.shown.clone(), why: why.to_owned() };
        if is_json(&file.source, &file.shown) {
            added.refused.push(refused("JSON has no comments; an annotation or malha.toml can silence it"));
            continue;
        }
        if let Err(why) = drafts.begin(&path, &file.source.text) {
            added.refused.push(refused(&why));
            continue;
        }
        let comments = read(SourceId::default(), &file.source.text).suppressions;
        for (number, line) in &file.lines {
            let there = comments.iter().find(|comment| comment.line == *number);
            let Some((span, text)) = comment(&file.source, *number, &line.codes, there) else { continue };
            candidates.push(Candidate {
                changes: vec![Change { path: path.clone(), span, text }],
                mends: line.mends.clone(),
                title: format!("{}:{number}", file.shown),
            });
        }
    }
    let (accepted, refused) = Round::run(meshes, &mut drafts, &candidates, clock)?;
    added.findings = accepted.iter().map(|candidate| candidate.mends.len()).sum();
    added.refused.extend(refused);
    added.files = drafts.write()?;
    Ok(added)
}

/// The files with findings to silence.
fn files(meshes: &Meshes, baseline: Option<&Baseline>) -> BTreeMap<PathBuf, File> {
    let known = meshes.known(baseline);
    let mut files: BTreeMap<PathBuf, File> = BTreeMap::new();
    for placed in meshes.placed().filter(|placed| !known.holds(placed)) {
        let (finding, sources) = (placed.finding, placed.sources);
        let (Some(path), Some(source)) = (&placed.file.path, sources.get(finding.location.source)) else { continue };
        if finding.rule.code == ABOUT_COMMENTS {
            continue;
        }
        let new = || File { shown: placed.file.shown.clone(), source: Arc::clone(source), lines: BTreeMap::new() };
        let file = files.entry(real(path)).or_insert_with(new);
        let line = file.lines.entry(sources.line_column(finding.location).line).or_default();
        line.codes.insert(finding.rule.code);
        line.mends.push(key(finding, sources));
    }
    files
}
