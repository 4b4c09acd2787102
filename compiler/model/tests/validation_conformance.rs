//! Holds the reader to what the Kubernetes schema machinery made of objects that are one edit away from good ones.

mod common;

use common::{findings_of, read_json, recordings};
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

#[test]
fn refuses_what_the_schema_refuses_and_nothing_that_is_accepted() {
    let recordings = recordings("validation.jsonl.gz");
    let bases: BTreeMap<&str, &Value> =
        recordings.iter().filter_map(|line| Some((line["base"].as_str()?, line.get("object")?))).collect();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for case in recordings.iter().filter(|line| line.get("object").is_none()) {
        cases += 1;
        let mut object = (*bases[case["base"].as_str().expect("a case has a base")]).clone();
        for operation in case["patch"].as_array().expect("a case has a patch") {
            patch(&mut object, operation);
        }
        let (_reading, read) = read_json(&object);
        let refused = read.resources.iter().all(|resource| resource.refused);
        let right = match (case["verdict"].as_str(), case.get("schema")) {
            (Some("refused"), Some(_)) => refused,
            // Istio's own validation refused it, which is no business of the reader.
            (Some("refused"), None) => true,
            _ => !refused,
        };
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
}
