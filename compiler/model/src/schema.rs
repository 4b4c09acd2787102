//! JSON Schemas of the kinds: what schemars makes of the types, with the demands of their declarations.

use crate::{istio, limits::Limits};
use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema, transform::RecursiveTransform,
};
use serde_json::{Value as Json, json};
use std::{borrow::Cow, marker::PhantomData};

/// The versions of `networking.istio.io` that exist. They are alike for all kinds here.
pub(crate) const ISTIO_VERSIONS: [&str; 3] = ["v1", "v1alpha3", "v1beta1"];

/// The kinds that have a schema.
pub const SCHEMA_KINDS: [&str; 6] =
    ["DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "VirtualService", "WorkloadEntry"];

/// The JSON Schema (draft 7) of one of [`SCHEMA_KINDS`]; `None` for other kinds.
///
/// It accepts what [`read_resources`](crate::read_resources) accepts, but for what a schema cannot say: that durations
/// are at least a millisecond, and that the ports of a ServiceEntry differ.
pub fn schema(kind: &str) -> Option<Json> {
    // To schemars, what may be left out in writing is what may be left out at all.
    let settings = SchemaSettings::draft07().for_serialize().with_transform(RecursiveTransform(bound));
    let generator = settings.into_generator();
    let schema = match kind {
        "DestinationRule" => generator.into_root_schema_for::<Object<istio::DestinationRule>>(),
        "Gateway" => generator.into_root_schema_for::<Object<istio::Gateway>>(),
        "ServiceEntry" => generator.into_root_schema_for::<Object<istio::ServiceEntry>>(),
        "Sidecar" => generator.into_root_schema_for::<Object<istio::Sidecar>>(),
        "VirtualService" => generator.into_root_schema_for::<Object<istio::VirtualService>>(),
        "WorkloadEntry" => generator.into_root_schema_for::<Object<istio::WorkloadEntry>>(),
        _ => return None,
    };
    Some(schema.to_value())
}

/// An object of the kind whose spec is `T`.
struct Object<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("object of {}", T::schema_id()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let versions = ISTIO_VERSIONS.map(|version| format!("networking.istio.io/{version}"));
        let text_map = json!({ "type": ["object", "null"], "additionalProperties": { "type": ["string", "null"] } });
        json_schema!({
            "type": "object",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": false,
            "properties": {
                "apiVersion": { "type": "string", "enum": versions },
                "kind": { "type": "string", "enum": [T::schema_name()] },
                "metadata": {
                    "description": "What the object says of itself.",
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": { "description": "Its name.", "type": "string", "pattern": NAME_REGEX, "maxLength": 253 },
                        "namespace": { "description": "Its namespace.", "type": ["string", "null"] },
                        "labels": text_map,
                        "annotations": text_map,
                    },
                },
                "spec": generator.subschema_for::<T>(),
                "status": { "description": "What became of it; written by the cluster.", "type": ["object", "null"] },
            },
        })
    }
}

/// What Kubernetes takes for a name (a DNS subdomain).
const NAME_REGEX: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Writes down the bounds of whole numbers that their format implies, since few validators know the formats.
fn bound(schema: &mut Schema) {
    let (least, most) = match schema.get("format").and_then(Json::as_str) {
        Some("int32") => (json!(i32::MIN), json!(i32::MAX)),
        Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
        Some("uint32") => (json!(u32::MIN), json!(u32::MAX)),
        Some("uint64") => (json!(u64::MIN), json!(u64::MAX)),
        _ => return,
    };
    for (limit, value) in [("minimum", least), ("maximum", most)] {
        schema.ensure_object().entry(limit).or_insert(value);
    }
}

/// The schema of a choice as `enum`, which editors and people read more easily than a `oneOf` of constants.
pub(crate) fn choice(schema: &mut Schema) {
    let Some(Json::Array(values)) = schema.remove("oneOf") else { return };
    let each = |key: &str| values.iter().map(|value| value[key].clone()).collect::<Json>();
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), each("const"));
    schema.insert("enumDescriptions".to_owned(), each("description"));
}

/// Lays `limits` on a field of the message that `message` describes.
pub(crate) fn limit(message: &mut Schema, field: &str, limits: &Limits) {
    if limits.required
        && let Json::Array(required) = message.ensure_object().entry("required").or_insert(json!([]))
    {
        required.push(json!(field));
    }
    if let Some(field) = message.pointer_mut(&format!("/properties/{field}")) {
        constrain(field, limits);
    }
}

fn constrain(schema: &mut Json, limits: &Limits) {
    let of_map = schema["type"] == "object";
    let (most, each) = if of_map { ("maxProperties", "additionalProperties") } else { ("maxItems", "items") };
    let least_items = (limits.min_items > 0).then_some(limits.min_items);
    for (key, value) in [
        ("type", limits.nullable.then(|| json!([schema["type"], "null"]))),
        ("minimum", limits.minimum.map(Json::from)),
        ("maximum", limits.maximum.map(Json::from)),
        ("maxLength", limits.max_length.map(Json::from)),
        ("minItems", least_items.map(Json::from)),
        (most, limits.max_items.map(Json::from)),
        ("pattern", limits.pattern.map(|pattern| json!(pattern.regex))),
        ("propertyNames", limits.keys.map(|keys| json!({ "pattern": keys.regex }))),
        ("x-kubernetes-validations", limits.positive.then(|| json!([{ "rule": "duration(self) >= duration('1ms')" }]))),
    ] {
        if let Some(value) = value {
            schema[key] = value;
        }
    }
    if let Some(items) = limits.items {
        constrain(&mut schema[each], items);
    }
}

/// Adds a demand on a message as a whole.
pub(crate) fn demand(message: &mut Schema, demand: Json) {
    // What JSON Schema cannot say demands nothing.
    if demand == json!({}) {
        return;
    }
    if let Json::Array(demands) = message.ensure_object().entry("allOf").or_insert(json!([])) {
        demands.push(demand);
    }
}

/// At most one of `fields`, in the form that Istio's own schema has.
pub(crate) fn one_of(fields: &[&str]) -> Json {
    let each = || fields.iter().map(|field| json!({ "required": [field] }));
    let none = json!({ "not": { "anyOf": each().collect::<Json>() } });
    json!({ "oneOf": std::iter::once(none).chain(each()).collect::<Json>() })
}

/// At least one of `fields`.
pub(crate) fn any_of(fields: &[&str]) -> Json {
    json!({ "anyOf": fields.iter().map(|field| json!({ "required": [field] })).collect::<Json>() })
}

/// Not all of `fields`.
pub(crate) fn exclusive(fields: &[&str]) -> Json {
    json!({ "not": { "required": fields } })
}
