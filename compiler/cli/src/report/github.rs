//! Findings as the workflow commands of GitHub Actions, which mark the lines of a pull request.

use super::{
    Outcome, file, range,
    rendered::rendered_from,
    workflow_command::{data, property},
};
use malha_syntax::Severity;
use std::fmt::Write as _;

/// An annotation for each finding, and the sums.
pub fn github(outcome: &Outcome<'_>) -> String {
    let mut page = String::new();
    for (finding, sources) in &outcome.findings {
        let level = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let range = range(sources, finding.location);
        let help = finding.help.iter().map(|help| format!("\n{help}"));
        let text = finding.message.clone() + &help.collect::<String>();
        // The lines of a template are not those of what it was rendered to.
        let place = match rendered_from(sources, finding.location) {
            Some(template) => format!("file={}", property(template)),
            None => format!(
                "file={},line={},endLine={},col={},endColumn={}",
                property(file(sources, finding.location)),
                range.start.line,
                range.end.line,
                range.start.column,
                range.end.column
            ),
        };
        let title = property(&format!("{} {}", finding.rule.code, finding.rule.name));
        let _ = writeln!(page, "::{level} {place},title={title}::{}", data(&text));
    }
    // The sums are no command: the log shows them as they are.
    page + &outcome.summary.line() + "\n"
}
