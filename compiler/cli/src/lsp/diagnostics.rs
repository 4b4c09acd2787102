//! Findings as the editor shows them.

use super::{documents::Documents, meshes::Checked, meshes::Meshes, positions::Lines, uri};
use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location as Place, NumberOrString,
    PublishDiagnosticsParams, Range, Uri,
};
use malha_syntax::{Finding, Location, Severity, SourceId};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

/// Rules whose findings lie on what could as well not be there.
const UNNECESSARY: [&str; 4] = ["R001", "R002", "R006", "O005"];

/// What was published, by path: the same is not published twice.
#[derive(Default)]
pub(super) struct Published {
    told: BTreeMap<PathBuf, (Uri, Vec<Diagnostic>)>,
}

/// Makes places of positions; each file's lines are found once.
pub(super) struct Places<'a> {
    checked: &'a Checked,
    documents: &'a Documents,
    known: HashMap<SourceId, (Uri, Lines<'a>)>,
}

impl<'a> Places<'a> {
    pub(super) fn new(checked: &'a Checked, documents: &'a Documents) -> Places<'a> {
        Places { checked, documents, known: HashMap::new() }
    }

    /// The URI and the range of a position; none where it is in no file.
    pub(super) fn of(&mut self, location: Location) -> Option<Place> {
        if !self.known.contains_key(&location.source) {
            let path = self.checked.path(location)?;
            let uri = self.documents.get(path).map(|open| open.uri.clone()).or_else(|| uri::of(path))?;
            let lines = Lines::new(&self.checked.source(location)?.text);
            self.known.insert(location.source, (uri, lines));
        }
        let (uri, lines) = self.known.get(&location.source)?;
        Some(Place { uri: uri.clone(), range: lines.range(location.span) })
    }
}

impl Published {
    /// What is to be published now: of open documents and of files whose findings are not as before.
    pub(super) fn next(&mut self, meshes: &Meshes, documents: &Documents) -> Vec<PublishDiagnosticsParams> {
        let mut now: BTreeMap<PathBuf, (Uri, Vec<Diagnostic>)> = BTreeMap::new();
        for (path, open) in documents.iter() {
            now.insert(path.clone(), (open.uri.clone(), Vec::new()));
        }
        for checked in meshes.iter() {
            let mut places = Places::new(checked, documents);
            let paths: HashMap<SourceId, &PathBuf> =
                checked.files().map(|(path, _, read)| (read.source, path)).collect();
            for finding in &checked.findings {
                let (Some(path), Some(place)) = (paths.get(&finding.location.source), places.of(finding.location))
                else {
                    continue;
                };
                let diagnostic = diagnostic(finding, place.range, &mut places);
                now.entry((*path).clone()).or_insert_with(|| (place.uri, Vec::new())).1.push(diagnostic);
            }
        }
        for (path, (uri, _)) in &self.told {
            now.entry(path.clone()).or_insert_with(|| (uri.clone(), Vec::new()));
        }
        let is_new = |path: &PathBuf, told: &(Uri, Vec<Diagnostic>)| self.told.get(path) != Some(told);
        let changed = now.iter().filter(|(path, told)| is_new(path, told));
        let told = changed.map(|(path, (uri, diagnostics))| PublishDiagnosticsParams {
            uri: uri.clone(),
            diagnostics: diagnostics.clone(),
            version: documents.get(path).map(|open| open.version),
        });
        let told = told.collect();
        // What is closed and clean is as if it had never been told.
        now.retain(|path, (_, diagnostics)| !diagnostics.is_empty() || documents.get(path).is_some());
        self.told = now;
        told
    }

    /// A document was opened anew: it is told of, whatever was told before.
    pub(super) fn forget(&mut self, path: &PathBuf) {
        self.told.remove(path);
    }
}

/// A finding at a range of its file.
pub(super) fn diagnostic(finding: &Finding, range: Range, places: &mut Places<'_>) -> Diagnostic {
    let mut message = finding.message.clone();
    if let Some(help) = &finding.help {
        message = format!("{message}\nhelp: {help}");
    }
    let related = finding.related.iter().filter_map(|related| {
        Some(DiagnosticRelatedInformation { location: places.of(related.location)?, message: related.message.clone() })
    });
    let related: Vec<_> = related.collect();
    Diagnostic {
        range,
        severity: Some(match finding.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
            Severity::Info => DiagnosticSeverity::INFORMATION,
        }),
        code: Some(NumberOrString::String(finding.rule.code.to_owned())),
        code_description: None,
        source: Some("malha".to_owned()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        tags: UNNECESSARY.contains(&finding.rule.code).then(|| vec![DiagnosticTag::UNNECESSARY]),
        data: None,
    }
}
