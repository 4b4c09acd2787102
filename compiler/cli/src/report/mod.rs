//! What `malha check` tells, and the ways to print it: a file for each format.

mod ask;
mod concise;
mod fingerprint;
mod github;
mod gitlab;
mod json;
mod junit;
mod pretty;
mod rendered;
mod replay;
mod sarif;
mod source;
mod statistics;
pub(crate) mod workflow_command;
pub(crate) mod xml;

pub(crate) use ask::command as ask;
pub use concise::concise;
pub(crate) use fingerprint::{Fingerprint, Fingerprints};
pub use github::github;
pub use gitlab::gitlab;
pub use json::{CheckReport, EditReport, FindingReport, FixReport, RelatedReport, check_report, json, jsonl};
pub use junit::junit;
pub use pretty::pretty;
pub(crate) use replay::command as replay;
pub use sarif::sarif;
pub use statistics::statistics;

use malha_syntax::{Finding, Location, Severity, Sources, Span};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that a format may tell.
pub struct Outcome<'a> {
    /// Counts.
    pub summary: &'a Summary,
    /// In order of file and position, each with the sources that its positions lie in.
    pub findings: Vec<(&'a Finding, &'a Sources)>,
    /// What is not told unless a format has a place for it.
    pub silenced: Vec<Silenced<'a>>,
    /// What people call the files that the inputs name, in order.
    pub files: Vec<&'a str>,
    /// The least severity that makes the exit status 1.
    pub fail_on: Severity,
}

/// A finding that somebody does not want to hear of.
pub struct Silenced<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// What its positions lie in.
    pub sources: &'a Sources,
    /// Who silenced it.
    pub by: SilencedBy<'a>,
}

/// Who silenced a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilencedBy<'a> {
    /// A comment or an annotation, for this reason; empty where none is given.
    Source(&'a str),
    /// The baseline.
    Baseline,
}

impl Outcome<'_> {
    /// Whether a finding is at or above the severity that matters.
    pub fn fails(&self) -> bool {
        self.findings.iter().any(|(finding, _)| self.counts(finding))
    }

    /// Whether a finding makes the exit status 1.
    pub fn counts(&self, finding: &Finding) -> bool {
        finding.severity >= self.fail_on
    }
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
    pub fn count<'f>(&mut self, findings: impl IntoIterator<Item = &'f Finding>) {
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

    /// A line for where there was nothing to look at.
    pub(crate) fn nothing(&self) -> Option<String> {
        self.resources.is_empty().then(|| {
            let read = count(self.files, "file");
            format!("no resources were found ({read} read; of directories those that end in .yaml, .yml or .json)")
        })
    }

    /// How many findings of which severity; empty if there are none.
    pub fn found(&self) -> String {
        let counts = [(self.errors, "error"), (self.warnings, "warning"), (self.infos, "info")];
        let counts = counts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| count(*number, what));
        counts.collect::<Vec<_>>().join(", ")
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
