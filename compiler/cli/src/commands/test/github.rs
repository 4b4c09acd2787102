//! Results as the workflow commands of GitHub Actions, which mark the lines of a pull request.

use super::{
    junit::details,
    pretty::{self, title},
    run::Results,
};
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

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_hold_one_line() {
        assert_eq!(data("50 %\r\nof: a, b"), "50 %25%0D%0Aof: a, b");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }
}
