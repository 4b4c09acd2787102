//! The JSON contract of `malha check`: one document, or one line for each finding.

use super::{Outcome, Range, Summary, file, range, rendered::rendered_from};
use crate::failure::Failure;
use malha_syntax::{Edit, Finding, ResourceName, Severity, Sources};
use serde::Serialize;

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
    /// The template that the document was rendered from, where it says so.
    #[serde(rename = "renderedFrom", skip_serializing_if = "Option::is_none")]
    pub rendered_from: Option<&'a str>,
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
        rendered_from: rendered_from(sources, finding.location),
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

/// One document, for programs.
///
/// # Errors
/// It cannot be written.
pub fn json(outcome: &Outcome<'_>) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&check_report(outcome.summary, &outcome.findings));
    Ok(text.map_err(|error| failed(&error))? + "\n")
}

/// Each finding on a line of its own, and the sums on the last one.
///
/// # Errors
/// It cannot be written.
pub fn jsonl(outcome: &Outcome<'_>) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Last<'a> {
        version: u32,
        summary: &'a Summary,
    }
    let mut page = String::new();
    for (finding, sources) in &outcome.findings {
        page += &serde_json::to_string(&finding_report(finding, sources)).map_err(|error| failed(&error))?;
        page.push('\n');
    }
    let last = Last { version: 1, summary: outcome.summary };
    page += &serde_json::to_string(&last).map_err(|error| failed(&error))?;
    page.push('\n');
    Ok(page)
}

/// Why a report could not be written.
pub(super) fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("the report cannot be written: {error}"))
}
