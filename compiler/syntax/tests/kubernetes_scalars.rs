//! Holds the reader to what Kubernetes' own YAML reader made of 568 snippets.

mod json;

use malha_syntax::{Group, SourceId, read};
use serde_json::Value;

/// Snippets that we read otherwise, each with the reason. None at present.
const DIFFERENT: &[(&str, &str)] = &[];

#[test]
fn reads_what_kubernetes_reads() {
    let recordings = include_str!("../../../conformance/yaml.jsonl");
    let mut differences = Vec::new();
    let mut count = 0;
    for line in recordings.lines() {
        let case = json::parse(line);
        let text = case["text"].as_str().expect("a case has a text");
        count += 1;
        if DIFFERENT.iter().any(|(different, _)| *different == text) {
            continue;
        }
        if let Err(difference) = compare(&case, text) {
            differences.push(format!("{text:?}: {difference}"));
        }
    }
    assert_eq!(count, 568);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn compare(case: &Value, text: &str) -> Result<(), String> {
    let reading = read(SourceId(0), text);
    let refusal = reading.findings.iter().find(|finding| finding.rule.group == Group::Admission);
    if case.get("error").is_some() {
        return match refusal {
            Some(_) => Ok(()),
            None => Err(format!("Kubernetes refuses it; we read {:?}", reading.documents)),
        };
    }
    match (refusal, case.get("strictError").is_some()) {
        (Some(refusal), false) => return Err(format!("Kubernetes reads {}; we say {}", case["json"], refusal.message)),
        (None, true) => return Err("strict reading refuses it; we say nothing".to_owned()),
        _ => {}
    }
    let value = match reading.documents.as_slice() {
        [] => Value::Null,
        [document] => document.root().map_or(Value::Null, json::value),
        several => return Err(format!("{} documents", several.len())),
    };
    if json::equal(&value, &case["json"]) {
        return Ok(());
    }
    Err(format!("Kubernetes reads {}; we read {value}", case["json"]))
}
