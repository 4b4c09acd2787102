//! `malha check` as people and CI use it: fixes, formats, baselines, comments, policies.

mod clean;
#[path = "../support/command.rs"]
mod command;
mod fixes;
mod fixes_everywhere;
mod formats;
mod house;
#[path = "../support/junit_schema.rs"]
mod junit_schema;
mod named;
mod quiet;
mod schemas;
mod unrendered;
mod watching;

use serde_json::Value;
use std::path::Path;

/// The report of `malha check` as JSON, and the exit status.
fn report(directory: &Path, arguments: &[&str]) -> (i32, Value) {
    let told = command::malha(directory, &[&["check", "--format", "json"], arguments].concat());
    let report = serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {}{}", told.out, told.err));
    (told.status, report)
}

/// `CODE file:line` of each finding of a report.
fn places(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list");
    let place = |one: &Value| {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        format!("{} {}:{}", text(&one["code"]), text(&one["file"]), one["range"]["start"]["line"])
    };
    findings.iter().map(place).collect()
}

/// A rule that the one above makes needless, and one that it makes dead.
const DEAD: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
  - match:
    - uri: {prefix: /a}
    directResponse: {status: 200}
  - match: [{uri: {prefix: /a/b}}] # needless
    directResponse: {status: 200}
  # kept
  - match: [{uri: {prefix: /a/c}}]
    directResponse: {status: 404}
  - directResponse: {status: 503}
";
