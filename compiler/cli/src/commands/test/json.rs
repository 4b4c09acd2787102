//! Results for programs.

use super::{
    coverage::Coverage,
    run::{Outcome, Results},
};
use crate::failure::Failure;
use serde_json::{Value, json};

/// The report, in the form of its JSON contract.
///
/// # Errors
/// It cannot be written.
pub(super) fn json(results: &Results) -> Result<String, Failure> {
    let failed = results.failed();
    let report = json!({
        "version": 1,
        "summary": {
            "tests": results.outcomes.len(), "passed": results.outcomes.len() - failed, "failed": failed,
        },
        "tests": results.outcomes.iter().map(test).collect::<Vec<_>>(),
        "coverage": results.coverage.as_ref().map(|coverage| covered(coverage, results)),
    });
    let text = serde_json::to_string_pretty(&report);
    text.map(|text| text + "\n").map_err(|error| Failure::new(format!("the report cannot be written: {error}")))
}

fn test(outcome: &Outcome) -> Value {
    json!({
        "name": outcome.name,
        "file": outcome.file,
        "line": outcome.line,
        "column": outcome.column,
        "status": if outcome.passed() { "passed" } else { "failed" },
        "request": outcome.request,
        "decision": outcome.decision.as_ref().ok(),
        "error": outcome.decision.as_ref().err(),
        "differences": outcome.differences,
    })
}

fn covered(coverage: &Coverage, results: &Results) -> Value {
    let uncovered = coverage.uncovered.iter().enumerate().map(|(index, (item, file, line))| {
        let suggested = results.suggestions.as_ref().and_then(|all| all.get(index));
        let suggestion = suggested.and_then(|suggested| suggested.as_ref().ok());
        let reason = suggested.and_then(|suggested| suggested.as_ref().err());
        json!({"rule": item.text(), "file": file, "line": line, "suggestion": suggestion, "noSuggestion": reason})
    });
    json!({
        "total": coverage.total,
        "covered": coverage.covered(),
        "percentage": (coverage.percentage() * 10.0).round() / 10.0,
        "uncovered": uncovered.collect::<Vec<_>>(),
    })
}
