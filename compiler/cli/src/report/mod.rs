//! What `malha check` tells: one report, three ways to print it.

mod concise;
mod pretty;
mod replay;
mod source;

pub use concise::concise;
pub use pretty::pretty;
pub(crate) use replay::command as replay;

use malha_syntax::{Edit, Finding, Location, ResourceName, Severity, Sources, Span};
use serde::Serialize;
use std::collections::BTreeMap;

/// The report of a check, in the form of its JSON contract.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport<'a> {
    /// 1; it changes when something is no longer as it was.
    pub version: u32,
    /// Counts.
    pub summary: &'a Summary,
    /// In order of file and position.
    pub findings: Vec<FindingReport<'a>>,
}

/// What was read, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files that the inputs name.
    pub files: usize,
    /// Documents in them.
    pub documents: usize,
    /// Objects in them, by kind, read past or not.
    pub resources: BTreeMap<String, usize>,
    /// Findings of this severity.
    pub errors: usize,
    /// Findings of this severity.
    pub warnings: usize,
    /// Findings of this severity.
    pub infos: usize,
    /// What looks like a document and is none.
    pub skipped: Vec<Skipped>,
}

/// Something that was not read as a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skipped {
    /// The file.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the finding itself")]
pub struct FindingReport<'a> {
    pub code: &'static str,
    pub name: &'static str,
    pub group: malha_syntax::Group,
    pub severity: Severity,
    pub message: &'a str,
    pub help: Option<&'a str>,
    pub resource: Option<&'a ResourceName>,
    pub field: Option<&'a str>,
    pub file: &'a str,
    pub range: Range,
    pub related: Vec<RelatedReport<'a>>,
    pub witness: Option<&'a serde_json::Value>,
    pub fix: Option<FixReport<'a>>,
    pub aliases: &'static [&'static str],
}

/// Another place that explains a finding.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the finding itself")]
pub struct RelatedReport<'a> {
    pub file: &'a str,
    pub range: Range,
    pub message: &'a str,
}

/// A change that makes a finding go away.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the finding itself")]
pub struct FixReport<'a> {
    pub safe: bool,
    pub title: &'a str,
    pub edits: Vec<EditReport<'a>>,
}

/// One replacement.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are those of the finding itself")]
pub struct EditReport<'a> {
    pub file: &'a str,
    pub range: Range,
    pub text: &'a str,
}

/// From the first character to one past the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first character.
    pub start: Position,
    /// One past the last.
    pub end: Position,
}

/// Counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "they say it all")]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl Summary {
    /// Adds the findings to the counts.
    pub fn count(&mut self, findings: &[Finding]) {
        for finding in findings {
            match finding.severity {
                Severity::Error => self.errors += 1,
                Severity::Warning => self.warnings += 1,
                Severity::Info => self.infos += 1,
            }
        }
    }

    /// Adds what another mesh holds.
    pub fn add(&mut self, other: Summary) {
        self.files += other.files;
        self.documents += other.documents;
        for (kind, count) in other.resources {
            *self.resources.entry(kind).or_default() += count;
        }
        self.errors += other.errors;
        self.warnings += other.warnings;
        self.infos += other.infos;
        self.skipped.extend(other.skipped);
        self.skipped.sort();
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let objects: usize = self.resources.values().sum();
        let read = format!("{} in {}", count(objects, "object"), count(self.files, "file"));
        let skipped = match self.skipped.len() {
            0 => String::new(),
            number => format!(", {number} skipped"),
        };
        let found = self.found();
        let found = if found.is_empty() { "nothing found" } else { &found };
        format!("{found} ({read}{skipped})")
    }

    /// How many findings of which severity; empty if there are none.
    pub fn found(&self) -> String {
        let counts = [(self.errors, "error"), (self.warnings, "warning"), (self.infos, "info")];
        let counts = counts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| count(*number, what));
        counts.collect::<Vec<_>>().join(", ")
    }
}

/// The report of findings whose positions lie in `sources`.
pub fn check_report<'a>(summary: &'a Summary, findings: &'a [(&'a Finding, &'a Sources)]) -> CheckReport<'a> {
    let findings = findings.iter().map(|(finding, sources)| finding_report(finding, sources)).collect();
    CheckReport { version: 1, summary, findings }
}

fn finding_report<'a>(finding: &'a Finding, sources: &'a Sources) -> FindingReport<'a> {
    let related = finding.related.iter().map(|related| RelatedReport {
        file: file(sources, related.location),
        range: range(sources, related.location),
        message: &related.message,
    });
    let edit = |edit: &'a Edit| EditReport {
        file: file(sources, edit.location),
        range: range(sources, edit.location),
        text: &edit.text,
    };
    FindingReport {
        code: finding.rule.code,
        name: finding.rule.name,
        group: finding.rule.group,
        severity: finding.severity,
        message: &finding.message,
        help: finding.help.as_deref(),
        resource: finding.resource.as_ref(),
        field: finding.field.as_deref(),
        file: file(sources, finding.location),
        range: range(sources, finding.location),
        related: related.collect(),
        witness: finding.witness.as_ref(),
        fix: finding.fix.as_ref().map(|fix| FixReport {
            safe: fix.safe,
            title: &fix.title,
            edits: fix.edits.iter().map(edit).collect(),
        }),
        aliases: finding.rule.aliases,
    }
}

/// What people call the file of a position.
pub fn file(sources: &Sources, location: Location) -> &str {
    sources.get(location.source).map_or("", |source| source.name.as_str())
}

/// Where a position is, as people count.
pub fn range(sources: &Sources, location: Location) -> Range {
    let at = |offset: u32| {
        let at = sources.line_column(Location { source: location.source, span: Span::empty(offset) });
        Position { line: at.line, column: at.column }
    };
    Range { start: at(location.span.start), end: at(location.span.end.max(location.span.start)) }
}

/// What a severity is called.
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// `1 file`, `2 files`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
