//! Holds the reader to what the schema machinery of Kubernetes and Istio's webhook made of objects that are one edit away from good ones.

mod common;

use common::{findings_of, read_json, recordings};
use malha_syntax::Finding;
use serde_json::Value;
use std::collections::BTreeMap;

/// Applies the operations of a JSON patch (RFC 6902) that the recordings use.
fn patch(object: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().expect("an operation has a path");
    let (parent, last) = path.rsplit_once('/').expect("a path begins with a slash");
    let last = last.replace("~1", "/").replace("~0", "~");
    let value = operation.get("value").cloned().unwrap_or_default();
    match (operation["op"].as_str(), object.pointer_mut(parent).expect("the path leads somewhere")) {
        (Some("remove"), Value::Object(parent)) => _ = parent.remove(&last),
        (Some("remove"), Value::Array(parent)) => _ = parent.remove(last.parse().expect("an index")),
        (Some("replace"), Value::Array(parent)) => parent[last.parse::<usize>().expect("an index")] = value,
        (Some("add"), Value::Array(parent)) if last == "-" => parent.push(value),
        (Some("add"), Value::Array(parent)) => parent.insert(last.parse().expect("an index"), value),
        (Some("add" | "replace"), Value::Object(parent)) => _ = parent.insert(last, value),
        _ => panic!("unknown operation {operation}"),
    }
}

/// The kinds of which the webhook's own rules are all here.
const JUDGED: [&str; 4] = ["DestinationRule", "ServiceEntry", "Sidecar", "WorkloadEntry"];

/// Whether a finding points at the field `at`, below it, or at what holds it.
fn points_at(at: &str, findings: &[Finding]) -> bool {
    let holder = at.rfind(['.', '[']).map_or("", |end| &at[..end]);
    findings.iter().filter_map(|finding| finding.field.as_deref()).any(|field| {
        let below = field.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        below || field == holder
    })
}

#[test]
fn refuses_what_the_cluster_refuses_and_nothing_that_it_accepts() {
    let recordings = recordings("validation.jsonl.gz");
    let bases: BTreeMap<&str, &Value> =
        recordings.iter().filter_map(|line| Some((line["base"].as_str()?, line.get("object")?))).collect();
    let mut wrong = Vec::new();
    let mut cases = 0;
    // By kind: how many are refused, and of how many the finding is where the edit is.
    let mut places: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    for case in recordings.iter().filter(|line| line.get("object").is_none()) {
        cases += 1;
        let base = case["base"].as_str().expect("a case has a base");
        let kind = base.split('/').next().unwrap_or_default();
        let mut object = (*bases[base]).clone();
        for operation in case["patch"].as_array().expect("a case has a patch") {
            patch(&mut object, operation);
        }
        let (_reading, read) = read_json(&object);
        let refused = read.resources.iter().all(|resource| resource.refused);
        let right = match (case["verdict"].as_str(), case.get("schema")) {
            (Some("refused"), Some(_)) => refused,
            // Istio's own validation refused it.
            (Some("refused"), None) => refused || !JUDGED.contains(&kind),
            _ => !refused,
        };
        if case["verdict"] == "refused" && JUDGED.contains(&kind) {
            let (count, elsewhere) = places.entry(kind).or_default();
            *count += 1;
            if !points_at(case["at"].as_str().unwrap_or_default(), &read.findings) {
                elsewhere.push(format!("{} {} at {}: {}", case["id"], case["what"], case["at"], findings_of(&read)));
            }
        }
        if !right {
            wrong.push(format!(
                "{} {} at {}: refused = {refused}\n{}",
                case["id"],
                case["what"],
                case["at"],
                findings_of(&read)
            ));
        }
    }
    assert!(cases > 7000, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    for kind in JUDGED {
        let (count, elsewhere) = &places[kind];
        assert!(
            elsewhere.len() * 20 <= *count,
            "{kind}: {} of {count} findings are not where the edit is:\n{}",
            elsewhere.len(),
            elsewhere.join("\n")
        );
    }
}
