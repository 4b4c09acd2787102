//! Nodes as JSON, to compare them with what others read.
#![allow(dead_code, reason = "not every test that shares this module needs all of it")]

use malha_syntax::{Node, NodeKind, Scalar};
use serde::Deserialize;
use serde_json::Value;

/// A line of the recordings, which nest deeper than `serde_json` reads by default.
pub(crate) fn parse(line: &str) -> Value {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer).expect("a line is JSON")
}

/// `node` as JSON.
pub(crate) fn value(node: Node<'_>) -> Value {
    match node.kind() {
        NodeKind::Mapping => {
            Value::Object(node.entries().map(|(key, entry)| (key.text().to_owned(), value(entry))).collect())
        }
        NodeKind::Sequence => Value::Array(node.items().map(value).collect()),
        NodeKind::Scalar => match node.scalar() {
            None | Some(Scalar::Null) => Value::Null,
            Some(Scalar::Bool(value)) => value.into(),
            Some(Scalar::Int(value)) => value.into(),
            Some(Scalar::Uint(value)) => value.into(),
            Some(Scalar::Float(value)) => value.into(),
            Some(Scalar::String(value)) => value.into(),
        },
    }
}

/// Whether two values are the same to JSON, for which `1` and `1.0` are one number.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || ((a.is_f64() || b.is_f64()) && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() == 0.0))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// Whether `node` has the mappings, sequences and keys of `other`. Scalars are not compared: readers that are not
/// Kubernetes' make other numbers and booleans of them.
pub(crate) fn same_shape(node: Node<'_>, other: &serde_yaml::Value) -> bool {
    match (node.kind(), other) {
        (_, serde_yaml::Value::Tagged(other)) => same_shape(node, &other.value),
        (NodeKind::Mapping, serde_yaml::Value::Mapping(other)) => {
            let pairs: Vec<_> = node.entries().collect();
            pairs.len() == other.len()
                && pairs.iter().zip(other).all(|((_, node), (_, other))| same_shape(*node, other))
        }
        (NodeKind::Sequence, serde_yaml::Value::Sequence(other)) => {
            let items: Vec<_> = node.items().collect();
            items.len() == other.len() && items.iter().zip(other).all(|(node, other)| same_shape(*node, other))
        }
        (NodeKind::Scalar, serde_yaml::Value::String(other)) => !node.is_plain() || node.text() == other,
        (NodeKind::Scalar, other) => !matches!(other, serde_yaml::Value::Mapping(_) | serde_yaml::Value::Sequence(_)),
        _ => false,
    }
}
