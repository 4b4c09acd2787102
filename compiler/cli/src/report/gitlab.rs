//! Findings as GitLab's code quality report.

use super::{Fingerprints, Outcome, file, json::failed, range, rendered::rendered_from};
use crate::failure::Failure;
use malha_syntax::Severity;
use serde::Serialize;

#[derive(Serialize)]
struct Issue<'a> {
    description: String,
    check_name: &'a str,
    fingerprint: String,
    severity: &'static str,
    location: Place<'a>,
}

#[derive(Serialize)]
struct Place<'a> {
    path: &'a str,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
    end: u32,
}

/// One list of issues. Their fingerprints stay the same when something else of the file is edited, so that a merge
/// request shows what it adds and what it mends.
///
/// # Errors
/// It cannot be written.
pub fn gitlab(outcome: &Outcome<'_>) -> Result<String, Failure> {
    let mut fingerprints = Fingerprints::default();
    let issues = outcome.findings.iter().map(|(finding, sources)| {
        let range = range(sources, finding.location);
        Issue {
            description: match &finding.help {
                Some(help) => format!("{} ({help})", finding.message),
                None => finding.message.clone(),
            },
            check_name: finding.rule.code,
            fingerprint: fingerprints.next(finding, sources).to_string(),
            severity: match finding.severity {
                Severity::Error => "critical",
                Severity::Warning => "major",
                Severity::Info => "info",
            },
            location: match rendered_from(sources, finding.location) {
                // The lines of a template are not those of what it was rendered to.
                Some(path) => Place { path, lines: Lines { begin: 1, end: 1 } },
                None => Place {
                    path: file(sources, finding.location),
                    lines: Lines { begin: range.start.line, end: range.end.line },
                },
            },
        }
    });
    let issues: Vec<Issue<'_>> = issues.collect();
    Ok(serde_json::to_string_pretty(&issues).map_err(|error| failed(&error))? + "\n")
}
