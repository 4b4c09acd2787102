//! How many findings each rule has.

use super::{Outcome, Summary, json::failed, severity_name};
use crate::failure::Failure;
use malha_syntax::{RuleInfo, Severity};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};

/// One rule, with what it found.
#[derive(Serialize)]
struct Row {
    code: &'static str,
    name: &'static str,
    /// The gravest one of its findings.
    severity: Severity,
    count: usize,
    /// Of these, how many have a fix.
    fixable: usize,
}

/// A line for each rule that found something, the most frequent first; or one JSON document of the same.
///
/// # Errors
/// It cannot be written.
pub fn statistics(outcome: &Outcome<'_>, json: bool) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        summary: &'a Summary,
        statistics: &'a [Row],
    }
    let rows = rows(outcome);
    if json {
        let document = Document { version: 1, summary: outcome.summary, statistics: &rows };
        return Ok(serde_json::to_string_pretty(&document).map_err(|error| failed(&error))? + "\n");
    }
    let widest = |width: fn(&Row) -> usize| rows.iter().map(width).max().unwrap_or_default();
    let (counts, names) = (widest(|row| row.count.to_string().len()), widest(|row| row.name.len()));
    let mut page = String::new();
    for row in &rows {
        let severity = severity_name(row.severity);
        let _ = write!(page, "{:>counts$}  {}  {:names$}  {severity:7}", row.count, row.code, row.name);
        if row.fixable > 0 {
            let _ = write!(page, "  {} with a fix", row.fixable);
        }
        page.truncate(page.trim_end().len());
        page.push('\n');
    }
    Ok(page + &outcome.summary.line() + "\n")
}

fn rows(outcome: &Outcome<'_>) -> Vec<Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (finding, _) in &outcome.findings {
        let RuleInfo { code, name, .. } = *finding.rule;
        let new = || Row { code, name, severity: finding.severity, count: 0, fixable: 0 };
        let row = rows.entry(code).or_insert_with(new);
        row.severity = row.severity.max(finding.severity);
        row.count += 1;
        row.fixable += usize::from(finding.fix.is_some());
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    // Rows of one count stay in the order of their codes.
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}
