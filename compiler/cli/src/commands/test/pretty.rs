//! Results for people.

use super::{
    compare::{flow, rule_text},
    request::describe,
    run::{Outcome, Results},
};
use crate::report::count;
use anstyle::{AnsiColor, Style};
use serde_json::json;
use std::{collections::BTreeSet, fmt::Write as _};

/// More uncovered rules than these are counted.
const SHOWN: usize = 50;

/// The failed tests, with `verbose` the passed ones too, and the sums.
pub(super) fn pretty(results: &Results, verbose: bool, colour: bool) -> String {
    let style = |style: Style| if colour { style } else { Style::new() };
    let red = style(AnsiColor::Red.on_default().bold());
    let green = style(AnsiColor::Green.on_default());
    let dim = style(Style::new().dimmed());
    let mut page = String::new();
    for outcome in &results.outcomes {
        let place = format!("{}:{}:{}", outcome.file, outcome.line, outcome.column);
        let title = title(outcome);
        if outcome.passed() {
            if verbose {
                let _ = writeln!(page, "{green}ok{green:#}    {title} {dim}{place}{dim:#}");
            }
            continue;
        }
        let _ = writeln!(page, "{red}FAIL{red:#}  {title}\n      {dim}at {place}{dim:#}");
        let _ = writeln!(page, "      {}", taken(outcome));
        for difference in &outcome.differences {
            let _ = writeln!(page, "      {}", difference.key);
            let _ = writeln!(page, "        expected  {green}{}{green:#}", difference.expected);
            let _ = writeln!(page, "        was       {red}{}{red:#}", difference.actual);
        }
        page.push('\n');
    }
    let failed = results.failed();
    let passed = results.outcomes.len() - failed;
    let files: BTreeSet<&str> = results.outcomes.iter().map(|outcome| outcome.file.as_str()).collect();
    if !files.is_empty() {
        let sum = if failed > 0 { red } else { green };
        let _ = writeln!(page, "{sum}{passed} passed, {failed} failed{sum:#} ({})", count(files.len(), "test file"));
    }
    if let Some(covered) = covered(results) {
        page.push_str(&covered);
    }
    page
}

/// The coverage in words, if it was measured.
pub(super) fn covered(results: &Results) -> Option<String> {
    let coverage = results.coverage.as_ref()?;
    let mut page = format!(
        "{} of {} reached by a test ({:.1} %)\n",
        coverage.covered(),
        if coverage.total == 1 { "1 match".to_owned() } else { format!("{} matches", coverage.total) },
        coverage.percentage()
    );
    if !coverage.uncovered.is_empty() {
        page.push_str("not reached:\n");
    }
    for (item, file, line) in coverage.uncovered.iter().take(SHOWN) {
        let _ = writeln!(page, "  {file}:{line} {}", item.text());
    }
    if coverage.uncovered.len() > SHOWN {
        let _ = writeln!(page, "  and {} more; `--format json` lists all", coverage.uncovered.len() - SHOWN);
    }
    Some(page)
}

/// The name of a test and its request.
pub(super) fn title(outcome: &Outcome) -> String {
    format!("{}: {}", outcome.name, describe(&outcome.request))
}

/// Who took the request, and how it ended.
pub(super) fn taken(outcome: &Outcome) -> String {
    let decision = match &outcome.decision {
        Ok(decision) => decision,
        Err(error) => return format!("no decision: {error}"),
    };
    let end = flow(&json!(decision.outcome));
    match (&decision.rule, &outcome.rule_file) {
        (Some(rule), Some(file)) => {
            let delegate =
                rule.delegate.as_ref().map(|delegate| format!(", which delegates to {}", rule_text(delegate)));
            format!("taken by {} at {file}:{}{}: {end}", rule_text(rule), rule.line, delegate.unwrap_or_default())
        }
        _ => format!("taken by no rule: {end}"),
    }
}
