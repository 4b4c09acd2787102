//! Findings as SARIF 2.1.0, which code scanning services and editors read.

use super::{Fingerprints, Outcome, Range, Silenced, SilencedBy, file, json::failed, range, rendered::rendered_from};
use crate::{failure::Failure, rules};
use malha_syntax::{Finding, Location, RuleInfo, Severity, Sources};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What the fingerprint of a result is called; the number grows when it is made otherwise.
const FINGERPRINT: &str = "malhaFinding/v1";

/// One run, with the rules that found something, and what is silenced marked as such.
///
/// # Errors
/// It cannot be written.
pub fn sarif(outcome: &Outcome<'_>) -> Result<String, Failure> {
    let told = outcome.findings.iter().map(|(finding, sources)| (*finding, *sources, None));
    let silenced = outcome.silenced.iter().map(|Silenced { finding, sources, by }| (*finding, *sources, Some(*by)));
    let all: Vec<_> = told.chain(silenced).collect();
    let mut found: BTreeMap<&str, &RuleInfo> = BTreeMap::new();
    for (finding, ..) in &all {
        found.insert(finding.rule.code, finding.rule);
    }
    let index: BTreeMap<&str, usize> = found.keys().enumerate().map(|(index, code)| (*code, index)).collect();
    let mut fingerprints = Fingerprints::default();
    let results = all.iter().map(|(finding, sources, by)| {
        let mut result = result(finding, sources, index.get(finding.rule.code).copied());
        let fingerprint = fingerprints.next(finding, sources).to_string();
        result.insert("partialFingerprints".to_owned(), json!({ FINGERPRINT: fingerprint }));
        if let Some(by) = by {
            result.insert("suppressions".to_owned(), json!([suppression(*by)]));
        }
        Value::Object(result)
    });
    let results: Vec<Value> = results.collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "malha",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": found.values().map(|rule| describe(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": true}],
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&log).map_err(|error| failed(&error))? + "\n")
}

/// A rule, with what `malha rule` prints as its help.
fn describe(info: &RuleInfo) -> Value {
    let mut described = json!({
        "id": info.code,
        "name": info.name,
        "defaultConfiguration": {"level": level(info.group.severity()), "enabled": info.group.on_by_default()},
        "properties": {"tags": [info.group], "aliases": info.aliases},
    });
    if let Some(rule) = rules::named(info.code).next() {
        let first = rule.what.split_inclusive(". ").next().unwrap_or_default().trim_end();
        described["shortDescription"] = json!({"text": first});
        described["fullDescription"] = json!({"text": rule.what});
        described["help"] = json!({"text": rule.why, "markdown": malha_lint::page(rule)});
    }
    described
}

fn result(finding: &Finding, sources: &Sources, rule: Option<usize>) -> Map<String, Value> {
    let text = match &finding.help {
        Some(help) => format!("{}\n{help}", finding.message),
        None => finding.message.clone(),
    };
    let mut result = Map::new();
    let mut put = |key: &str, value: Value| drop(result.insert(key.to_owned(), value));
    put("ruleId", json!(finding.rule.code));
    if let Some(rule) = rule {
        put("ruleIndex", json!(rule));
    }
    put("level", json!(level(finding.severity)));
    put("message", json!({"text": text}));
    // The lines of a template are not those of what it was rendered to.
    let physical = match rendered_from(sources, finding.location) {
        Some(template) => json!({"artifactLocation": {"uri": uri(template)}}),
        None => place(sources, finding.location),
    };
    let mut location = json!({"physicalLocation": physical});
    if let Some(resource) = &finding.resource {
        let name = format!("{} {}/{}", resource.kind, resource.namespace, resource.name);
        let whole = finding.field.as_ref().map_or(name.clone(), |field| format!("{name} {field}"));
        location["logicalLocations"] = json!([{"name": resource.name, "fullyQualifiedName": whole, "kind": "object"}]);
    }
    put("locations", json!([location]));
    let related = finding.related.iter().enumerate().map(|(id, related)| {
        json!({
            "id": id,
            "physicalLocation": place(sources, related.location),
            "message": {"text": related.message},
        })
    });
    let related: Vec<Value> = related.collect();
    if !related.is_empty() {
        put("relatedLocations", json!(related));
    }
    let mut properties = Map::new();
    if let Some(witness) = &finding.witness {
        properties.insert("witness".to_owned(), witness.clone());
    }
    if let Some(fix) = &finding.fix {
        properties.insert("fixIsSafe".to_owned(), json!(fix.safe));
        let mut changes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for edit in &fix.edits {
            changes.entry(file(sources, edit.location)).or_default().push(json!({
                "deletedRegion": region(range(sources, edit.location)),
                "insertedContent": {"text": edit.text},
            }));
        }
        let change = |(file, replacements): (&str, Vec<Value>)| json!({"artifactLocation": {"uri": uri(file)}, "replacements": replacements});
        let changes: Vec<Value> = changes.into_iter().map(change).collect();
        put("fixes", json!([{"description": {"text": fix.title}, "artifactChanges": changes}]));
    }
    if !properties.is_empty() {
        put("properties", Value::Object(properties));
    }
    result
}

fn suppression(by: SilencedBy<'_>) -> Value {
    match by {
        SilencedBy::Source("") => json!({"kind": "inSource"}),
        SilencedBy::Source(reason) => json!({"kind": "inSource", "justification": reason}),
        SilencedBy::Baseline => json!({"kind": "external", "justification": "it is in the baseline"}),
    }
}

fn place(sources: &Sources, location: Location) -> Value {
    json!({
        "artifactLocation": {"uri": uri(file(sources, location))},
        "region": region(range(sources, location)),
    })
}

fn region(range: Range) -> Value {
    json!({
        "startLine": range.start.line,
        "startColumn": range.start.column,
        "endLine": range.end.line,
        "endColumn": range.end.column,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// The reference to a file: relative where its name is.
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    if file.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in file.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn files_have_references() {
        assert_eq!(uri("../istio/a b.yaml"), "../istio/a%20b.yaml");
        assert_eq!(uri("/tmp/é:1.yaml"), "file:///tmp/%C3%A9%3A1.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}
