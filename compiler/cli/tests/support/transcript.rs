//! Runs the `console` blocks of a README and compares what they print with what the README shows.
//!
//! A line that begins with `$ ` is a command; the lines below it are what it prints. In these, `...` stands for any
//! text, and a line of `...` alone for any lines.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{path::Path, process::Command};

/// One command of a README, with what it is shown to print.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// Line of the command in the README, from 1.
    pub(crate) line: usize,
    /// The command, without its prompt.
    pub(crate) command: String,
    /// What is shown below it.
    pub(crate) expected: Vec<String>,
}

/// The commands of all `console` blocks, in order.
pub(crate) fn steps(markdown: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in markdown.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { line: number + 1, command: command.to_owned(), expected: Vec::new() });
                }
                (None, Some(step)) => step.expected.push(line.to_owned()),
                (None, None) => {}
            }
        }
    }
    steps
}

/// Whether a command serves a mesh until it is asked to stop: with `--ephemeral` pages run a program in one instead.
pub(crate) fn serves(command: &str) -> bool {
    command.contains("-- run ") && !command.contains(" --ephemeral ")
}

/// Runs one step in `directory`, after replacing words of the command and of what it prints, and panics with both texts
/// where it prints something else than shown. A step that shows nothing may print anything.
pub(crate) fn run(step: &Step, directory: &Path, replace: &[(String, String)]) {
    let replaced = |text: &str| replace.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let command = replaced(&step.command);
    let output =
        Command::new("bash").args(["-c", &command]).current_dir(directory).output().expect("bash runs the command");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if step.expected.is_empty() {
        return;
    }
    let lines: Vec<&str> = printed.lines().collect();
    let expected: Vec<String> = step.expected.iter().map(|line| replaced(line)).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert!(
        lines_match(&expected, &lines),
        "line {}: `{}` printed\n{printed}\nwhere the page shows\n{}\nstandard error:\n{}",
        step.line,
        step.command,
        step.expected.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..])),
        Some((pattern, rest)) => {
            printed.split_first().is_some_and(|(line, others)| line_matches(pattern, line) && lines_match(rest, others))
        }
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split("...");
    let Some(mut left) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return left.is_empty() };
    for piece in middle {
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    left.ends_with(last)
}

#[test]
fn a_shown_line_matches_only_what_it_shows() {
    assert!(line_matches(
        "{\"app\":\"login\",...\"path\":\"/\",...}",
        "{\"app\":\"login\",\"v\":1,\"path\":\"/\",\"h\":{}}"
    ));
    assert!(!line_matches("{\"app\":\"login\",...\"path\":\"/\",...}", "{\"app\":\"login\",\"path\":\"/x\",\"h\":{}}"));
    assert!(line_matches("404", "404") && !line_matches("404", "4040") && !line_matches("404", "1404"));
    assert!(!line_matches("a...a", "a"));
}

#[test]
fn a_line_of_dots_stands_for_any_lines() {
    assert!(lines_match(&["a", "...", "z"], &["a", "z"]) && lines_match(&["a", "...", "z"], &["a", "b", "c", "z"]));
    assert!(!lines_match(&["a", "z"], &["a", "b", "z"]));
}
