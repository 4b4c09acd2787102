//! One line for each finding.

use super::{file, range, rendered::rendered_from, severity_name};
use malha_syntax::{Finding, Sources};
use std::fmt::Write as _;

/// Prints findings as `file:line:column: severity[CODE] name: message (help)`.
pub fn concise(findings: &[(&Finding, &Sources)]) -> String {
    let mut out = String::new();
    for (finding, sources) in findings {
        let at = range(sources, finding.location).start;
        let _ = write!(
            out,
            "{}:{}:{}: {}[{}] {}: {}",
            file(sources, finding.location),
            at.line,
            at.column,
            severity_name(finding.severity),
            finding.rule.code,
            finding.rule.name,
            one_line(&finding.message),
        );
        if let Some(help) = &finding.help {
            let _ = write!(out, " ({})", one_line(help));
        }
        if let Some(template) = rendered_from(sources, finding.location) {
            let _ = write!(out, " [rendered from {template}]");
        }
        out.push('\n');
    }
    out
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
