//! The values that Kubernetes reads in documents, as JSON has them.

use malha_syntax::{Node, NodeKind, Scalar};
use serde_json::{Map, Number, Value};

/// The value of a node.
pub(crate) fn json(node: Node<'_>) -> Value {
    match node.kind() {
        NodeKind::Mapping => {
            let entries = node.entries().map(|(key, value)| (key.text().to_owned(), json(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        NodeKind::Sequence => Value::Array(node.items().map(json).collect()),
        NodeKind::Scalar => match node.scalar() {
            None | Some(Scalar::Null) => Value::Null,
            Some(Scalar::Bool(value)) => Value::Bool(value),
            Some(Scalar::Int(value)) => Value::from(value),
            Some(Scalar::Uint(value)) => Value::from(value),
            Some(Scalar::Float(value)) => Number::from_f64(value).map_or(Value::Null, Value::Number),
            Some(Scalar::String(text)) => Value::String(text.into_owned()),
        },
    }
}
