//! Objects without what a cluster has added to them.

use super::dump::Object;
use malha_model::Kind;
use serde_json::{Map, Value};

/// What people say of an object; the rest of its metadata is the cluster's.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// Annotations that tools write for themselves.
const OF_TOOLS: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubectl.kubernetes.io/restartedAt",
    "deployment.kubernetes.io/revision",
    "endpoints.kubernetes.io/last-change-trigger-time",
];

/// What of a Pod's status says whether requests reach it, and where.
const POD_STATUS: [&str; 4] = ["phase", "podIP", "podIPs", "conditions"];

/// The object as a file of a tree has it.
pub(super) fn clean(object: Object) -> Value {
    let api_version = object.text("apiVersion");
    let is_istios = api_version.split_once('/').is_some_and(|(group, _)| group.ends_with(".istio.io"));
    let Object { kind, mut fields, .. } = object;
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        // Istio settles conflicts by age (semantics 0.1).
        let keeps_age = is_istios || kind == Some(Kind::Service);
        keep(metadata, |name| METADATA.contains(&name) || keeps_age && name == "creationTimestamp");
        clean_annotations(metadata);
    }
    match (kind, fields.get_mut("status")) {
        (Some(Kind::Pod), Some(Value::Object(status))) => {
            keep(status, |name| POD_STATUS.contains(&name));
            if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
                conditions.retain(|condition| condition.get("type").is_some_and(|kind| kind == "Ready"));
                for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
                    keep(condition, |name| matches!(name, "type" | "status"));
                }
            }
        }
        _ => {
            fields.shift_remove("status");
        }
    }
    if let Some(Value::Object(spec)) = fields.get_mut("spec") {
        for template in ["/template", "/jobTemplate", "/jobTemplate/spec/template"] {
            let Some(metadata) = at_mut(spec, template).and_then(|it| it.get_mut("metadata")) else { continue };
            let Some(metadata) = metadata.as_object_mut() else { continue };
            // Kubernetes prints an age for what never had one.
            metadata.shift_remove("creationTimestamp");
            clean_annotations(metadata);
        }
    }
    Value::Object(in_order(fields))
}

fn clean_annotations(metadata: &mut Map<String, Value>) {
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        keep(annotations, |name| !OF_TOOLS.contains(&name));
        if annotations.is_empty() {
            metadata.shift_remove("annotations");
        }
    }
}

fn keep(fields: &mut Map<String, Value>, mut wanted: impl FnMut(&str) -> bool) {
    fields.retain(|name, _| wanted(name));
}

/// A value by JSON pointer.
fn at_mut<'v>(fields: &'v mut Map<String, Value>, pointer: &str) -> Option<&'v mut Value> {
    let mut names = pointer.split('/').skip(1);
    let first = fields.get_mut(names.next()?)?;
    names.try_fold(first, |value, name| value.get_mut(name))
}

/// What an object is comes before what it says, as people write it.
fn in_order(mut fields: Map<String, Value>) -> Map<String, Value> {
    let mut ordered = Map::with_capacity(fields.len());
    for name in ["apiVersion", "kind", "metadata"] {
        ordered.extend(fields.shift_remove(name).map(|mut value| {
            if let (true, Some(metadata)) = (name == "metadata", value.as_object_mut()) {
                let written = std::mem::take(metadata);
                *metadata = names_first(written);
            }
            (name.to_owned(), value)
        }));
    }
    ordered.extend(fields);
    ordered
}

fn names_first(mut metadata: Map<String, Value>) -> Map<String, Value> {
    let mut ordered = Map::with_capacity(metadata.len());
    for name in ["name", "namespace", "creationTimestamp", "labels", "annotations"] {
        ordered.extend(metadata.shift_remove(name).map(|value| (name.to_owned(), value)));
    }
    ordered.extend(metadata);
    ordered
}
