//! What the tests share.
#![allow(dead_code, reason = "not every test uses all of it")]

use malha_model::{ReadResources, read_documents};
use malha_syntax::{Finding, Reading, SourceId, read};
use serde_json::Value;

/// Reads a YAML text.
pub(crate) fn read_yaml(text: &str) -> (Reading, ReadResources) {
    let reading = read(SourceId(0), text);
    let resources = read_documents(&reading.documents);
    (reading, resources)
}

/// Reads a JSON value as a document.
pub(crate) fn read_json(value: &Value) -> (Reading, ReadResources) {
    read_yaml(&value.to_string())
}

/// The findings, one a line: `CODE field "the text there": message`.
pub(crate) fn findings_of(read: &ReadResources) -> String {
    read.findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(finding: &Finding) -> String {
    format!("{} {}: {}", finding.rule.code, finding.field.as_deref().unwrap_or("-"), finding.message)
}
