//! Results as JUnit XML, which every CI system shows.

use super::{
    pretty::{taken, title},
    run::{Outcome, Results},
};
use crate::{failure::Failure, report::xml::clean};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use std::{fmt::Write as _, io};

/// One suite for each test file.
///
/// # Errors
/// It cannot be written.
pub(super) fn junit(results: &Results) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("the report cannot be written: {error}"));
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(results, &mut writer).map_err(|error| failed(&error))?;
    let text = String::from_utf8(writer.into_inner()).map_err(|error| failed(&error))?;
    Ok(text + "\n")
}

fn write(results: &Results, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = writer
        .create_element("testsuites")
        .with_attribute(("name", "malha test"))
        .with_attribute(("tests", results.outcomes.len().to_string().as_str()))
        .with_attribute(("failures", results.failed().to_string().as_str()))
        .with_attribute(("errors", "0"));
    suites.write_inner_content(|writer| {
        let suites = results.outcomes.chunk_by(|a, b| a.file == b.file);
        suites.into_iter().try_for_each(|suite| write_suite(suite, writer))
    })?;
    Ok(())
}

fn write_suite(suite: &[Outcome], writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
    let Some(first) = suite.first() else { return Ok(()) };
    let failures = suite.iter().filter(|outcome| !outcome.passed()).count();
    let element = writer
        .create_element("testsuite")
        .with_attribute(("name", clean(&first.file).as_str()))
        .with_attribute(("tests", suite.len().to_string().as_str()))
        .with_attribute(("failures", failures.to_string().as_str()))
        .with_attribute(("errors", "0"))
        .with_attribute(("file", clean(&first.file).as_str()));
    element.write_inner_content(|writer| suite.iter().try_for_each(|outcome| write_case(outcome, writer)))?;
    Ok(())
}

fn write_case(outcome: &Outcome, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
    let element = writer
        .create_element("testcase")
        .with_attribute(("name", clean(&title(outcome)).as_str()))
        .with_attribute(("classname", clean(&outcome.file).as_str()));
    if outcome.passed() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|writer| {
        let failure = writer.create_element("failure").with_attribute(("message", clean(&message(outcome)).as_str()));
        // A case has no attribute for its line.
        let text = format!("{}:{}: {}", outcome.file, outcome.line, details(outcome));
        failure.write_text_content(BytesText::new(&clean(&text)))?;
        Ok(())
    })?;
    Ok(())
}

/// What is wrong, in one line.
pub(super) fn message(outcome: &Outcome) -> String {
    match outcome.differences.as_slice() {
        [] => taken(outcome),
        [first, others @ ..] => {
            let more = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
            format!("{}: expected {}, was {}{more}", first.key, first.expected, first.actual)
        }
    }
}

/// What is wrong, all of it.
pub(super) fn details(outcome: &Outcome) -> String {
    let mut text = taken(outcome);
    for difference in &outcome.differences {
        let _ = write!(text, "\n{}: expected {}, was {}", difference.key, difference.expected, difference.actual);
    }
    text
}
