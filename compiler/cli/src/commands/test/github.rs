//! Results as the workflow commands of GitHub Actions, which mark the lines of a pull request.

use super::{
    junit::details,
    pretty::{self, title},
    run::Results,
};
use crate::report::workflow_command::{data, property};
use std::fmt::Write as _;

/// An error for each failed test, a warning for each rule that no test reaches, and the sums.
pub(super) fn github(results: &Results) -> String {
    let mut page = String::new();
    for outcome in results.outcomes.iter().filter(|outcome| !outcome.passed()) {
        let _ = writeln!(
            page,
            "::error file={},line={},col={},title={}::{}",
            property(&outcome.file),
            outcome.line,
            outcome.column,
            property(&title(outcome)),
            data(&details(outcome))
        );
    }
    for (item, file, line) in results.coverage.iter().flat_map(|coverage| &coverage.uncovered) {
        let text = data(&format!("no test reaches {}", item.text()));
        let _ = writeln!(page, "::warning file={},line={line}::{text}", property(file));
    }
    // The sums are no command: the log shows them as they are.
    let sums = pretty::pretty(&Results { outcomes: results.outcomes.clone(), ..Results::default() }, false, false);
    page.extend(sums.lines().last().map(|line| format!("{line}\n")));
    page
}
