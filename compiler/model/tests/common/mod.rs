//! What the tests share.
#![allow(dead_code, reason = "not every test uses all of it")]

use malha_model::{ReadResources, read_documents};
use malha_syntax::{Finding, Reading, SourceId, read};
use serde_json::Value;
use std::io::Read;

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

/// The lines of a file of `conformance/`.
pub(crate) fn recordings(name: &str) -> Vec<Value> {
    let path = format!("{}/../../conformance/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(path).expect("the recordings are in the project");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("the recordings are gzip");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of the recordings is JSON")).collect()
}
