//! Edits of recorded objects.

use serde_json::Value;

/// Applies the operations of a JSON patch (RFC 6902) that the recordings use.
pub(crate) fn patch(object: &mut Value, operation: &Value) {
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
