//! Code actions: the fixes of findings, and comments that silence them.

use super::{
    diagnostics::{Places, diagnostic},
    documents::Documents,
    meshes::{Checked, Meshes},
    positions::Lines,
    uri,
};
use crate::{
    line_ends::with_line_ends_of,
    silence::{ABOUT_COMMENTS, comment, is_json},
};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, Diagnostic, TextEdit, Uri, WorkspaceEdit,
};
use malha_syntax::{Finding, Location};
use std::collections::BTreeSet;

/// What there is to do about the findings that a range touches.
pub(super) fn actions(
    params: &CodeActionParams,
    meshes: &Meshes,
    documents: &Documents,
) -> Option<Vec<CodeActionOrCommand>> {
    let path = uri::path(&params.text_document.uri)?;
    let (checked, file) = meshes.find(&path)?;
    let wants = |kind: &CodeActionKind| {
        let is_below = |wanted: &CodeActionKind| {
            let below = kind.as_str().strip_prefix(wanted.as_str());
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.as_str().is_empty())
        };
        params.context.only.as_ref().is_none_or(|only| only.iter().any(is_below))
    };
    if !wants(&CodeActionKind::QUICKFIX) {
        return Some(Vec::new());
    }
    let mut places = Places::new(checked, documents);
    let mut fixes = Vec::new();
    let mut comments = Vec::new();
    let mut commented = BTreeSet::new();
    for finding in checked.findings.iter().filter(|finding| finding.location.source == file.source) {
        let Some(place) = places.of(finding.location) else { continue };
        if place.range.end < params.range.start || params.range.end < place.range.start {
            continue;
        }
        let shown = diagnostic(finding, place.range, &mut places);
        fixes.extend(fix(finding, shown.clone(), checked, &mut places));
        if commented.insert((place.range.start.line, finding.rule.code)) {
            comments.extend(silence(finding, shown, checked, &mut places));
        }
    }
    fixes.append(&mut comments);
    Some(fixes)
}

/// The fix of a finding.
fn fix(
    finding: &Finding,
    shown: Diagnostic,
    checked: &Checked,
    places: &mut Places<'_>,
) -> Option<CodeActionOrCommand> {
    let fix = finding.fix.as_ref()?;
    let mut changes: Vec<(Uri, Vec<TextEdit>)> = Vec::new();
    for edit in &fix.edits {
        let place = places.of(edit.location)?;
        let new_text = with_line_ends_of(&checked.source(edit.location)?.text, &edit.text);
        let edit = TextEdit { range: place.range, new_text };
        match changes.iter_mut().find(|(uri, _)| *uri == place.uri) {
            Some((_, edits)) => edits.push(edit),
            None => changes.push((place.uri, vec![edit])),
        }
    }
    let title =
        if fix.safe { fix.title.clone() } else { format!("{} (unsafe: requests may be treated otherwise)", fix.title) };
    Some(quick_fix(title, shown, changes, fix.safe))
}

/// A comment that silences a finding, and others like it on its line.
fn silence(
    finding: &Finding,
    shown: Diagnostic,
    checked: &Checked,
    places: &mut Places<'_>,
) -> Option<CodeActionOrCommand> {
    let code = finding.rule.code;
    let source = checked.source(finding.location)?;
    if code == ABOUT_COMMENTS || is_json(source, &source.name) {
        return None;
    }
    let line = source.line_column(finding.location.span.start).line;
    let there = malha_syntax::read(finding.location.source, &source.text).suppressions;
    let there = there.iter().find(|comment| comment.line == line);
    let (span, text) = comment(source, line, &BTreeSet::from([code]), there)?;
    let place = places.of(Location { source: finding.location.source, span })?;
    let range = Lines::new(&source.text).range(span);
    let edit = TextEdit { range, new_text: with_line_ends_of(&source.text, &text) };
    let title = format!("silence {code} {} here by a comment", finding.rule.name);
    Some(quick_fix(title, shown, vec![(place.uri, vec![edit])], false))
}

fn quick_fix(
    title: String,
    shown: Diagnostic,
    changes: Vec<(Uri, Vec<TextEdit>)>,
    is_preferred: bool,
) -> CodeActionOrCommand {
    CodeActionOrCommand::CodeAction(CodeAction {
        title,
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![shown]),
        edit: Some(WorkspaceEdit { changes: Some(changes.into_iter().collect()), ..WorkspaceEdit::default() }),
        is_preferred: is_preferred.then_some(true),
        ..CodeAction::default()
    })
}
