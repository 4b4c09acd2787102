//! Findings as JUnit XML, which every CI system shows.

use super::{Outcome, file, json::failed, range, severity_name, xml::clean};
use crate::failure::Failure;
use malha_syntax::{Finding, Sources};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use std::{collections::BTreeMap, io};

/// The findings of a file.
type Cases<'a> = Vec<(&'a Finding, &'a Sources)>;

/// A suite for each file, with a failed case for each finding that makes the exit status 1, and a passed one for every
/// other; a file without findings has one that passed.
///
/// # Errors
/// It cannot be written.
pub fn junit(outcome: &Outcome<'_>) -> Result<String, Failure> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(outcome, &mut writer).map_err(|error| failed(&error))?;
    let text = String::from_utf8(writer.into_inner()).map_err(|error| failed(&error))?;
    Ok(text + "\n")
}

fn write(outcome: &Outcome<'_>, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
    let mut files: BTreeMap<&str, Cases<'_>> = outcome.files.iter().map(|file| (*file, Vec::new())).collect();
    for (finding, sources) in &outcome.findings {
        files.entry(file(sources, finding.location)).or_default().push((finding, sources));
    }
    let tests: usize = files.values().map(|cases| cases.len().max(1)).sum();
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = writer
        .create_element("testsuites")
        .with_attribute(("name", "malha check"))
        .with_attribute(("tests", tests.to_string().as_str()))
        .with_attribute(("failures", failures(outcome, &outcome.findings).as_str()))
        .with_attribute(("errors", "0"));
    suites.write_inner_content(|writer| {
        files.iter().try_for_each(|(file, cases)| write_suite(outcome, file, cases, writer))
    })?;
    Ok(())
}

fn failures(outcome: &Outcome<'_>, cases: &Cases<'_>) -> String {
    cases.iter().filter(|(finding, _)| outcome.counts(finding)).count().to_string()
}

fn write_suite(outcome: &Outcome<'_>, file: &str, cases: &Cases<'_>, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
    let element = writer
        .create_element("testsuite")
        .with_attribute(("name", clean(file).as_str()))
        .with_attribute(("tests", cases.len().max(1).to_string().as_str()))
        .with_attribute(("failures", failures(outcome, cases).as_str()))
        .with_attribute(("errors", "0"))
        .with_attribute(("file", clean(file).as_str()));
    element.write_inner_content(|writer| {
        if cases.is_empty() {
            let case = writer.create_element("testcase").with_attribute(("name", "nothing found"));
            case.with_attribute(("classname", clean(file).as_str())).write_empty()?;
        }
        cases.iter().try_for_each(|(finding, sources)| write_case(outcome, file, finding, sources, writer))
    })?;
    Ok(())
}

fn write_case(
    outcome: &Outcome<'_>,
    file: &str,
    finding: &Finding,
    sources: &Sources,
    writer: &mut Writer<Vec<u8>>,
) -> io::Result<()> {
    let at = range(sources, finding.location).start;
    let name = format!("{} {} {}:{}", finding.rule.code, finding.rule.name, at.line, at.column);
    let help = finding.help.iter().map(|help| format!("\n{help}"));
    let text = clean(&format!("{file}:{}:{}: {}{}", at.line, at.column, finding.message, help.collect::<String>()));
    let element = writer
        .create_element("testcase")
        .with_attribute(("name", name.as_str()))
        .with_attribute(("classname", clean(file).as_str()));
    element.write_inner_content(|writer| {
        if outcome.counts(finding) {
            let failure = writer
                .create_element("failure")
                .with_attribute(("type", severity_name(finding.severity)))
                .with_attribute(("message", clean(&finding.message).as_str()));
            failure.write_text_content(BytesText::new(&text))?;
        } else {
            writer.create_element("system-out").write_text_content(BytesText::new(&text))?;
        }
        Ok(())
    })?;
    Ok(())
}
