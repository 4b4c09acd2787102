//! JSON Schemas of the kinds, made from the same declarations as the types.

use crate::{
    istio,
    limits::Limits,
    read::{Value, api_name},
};
use serde_json::{Map, Value as Json, json};

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
    let mut definitions = Definitions::default();
    let spec = match kind {
        "DestinationRule" => istio::DestinationRule::schema(&Limits::NONE, &mut definitions),
        "Gateway" => istio::Gateway::schema(&Limits::NONE, &mut definitions),
        "ServiceEntry" => istio::ServiceEntry::schema(&Limits::NONE, &mut definitions),
        "Sidecar" => istio::Sidecar::schema(&Limits::NONE, &mut definitions),
        "VirtualService" => istio::VirtualService::schema(&Limits::NONE, &mut definitions),
        "WorkloadEntry" => istio::WorkloadEntry::schema(&Limits::NONE, &mut definitions),
        _ => return None,
    };
    let versions = ISTIO_VERSIONS.map(|version| format!("networking.istio.io/{version}"));
    let text_map = json!({ "type": ["object", "null"], "additionalProperties": { "type": ["string", "null"] } });
    Some(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "type": "string", "enum": versions },
            "kind": { "type": "string", "enum": [kind] },
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
            "spec": spec,
            "status": { "description": "What became of it; written by the cluster.", "type": ["object", "null"] },
        },
        "definitions": definitions.0,
    }))
}

/// What Kubernetes takes for a name (a DNS subdomain).
const NAME_REGEX: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The schemas of messages, by name.
#[derive(Default)]
pub(crate) struct Definitions(Map<String, Json>);

impl Definitions {
    /// A reference to the message `name`, which `build` describes if nobody did so before.
    pub(crate) fn message(&mut self, name: &str, doc: &str, build: impl FnOnce(&mut Object, &mut Definitions)) -> Json {
        let name = api_name(name);
        let reference = json!({ "$ref": format!("#/definitions/{name}") });
        if !self.0.contains_key(&name) {
            self.0.insert(name.clone(), Json::Null);
            let mut object = Object::default();
            build(&mut object, self);
            self.0.insert(name, object.finish(doc));
        }
        reference
    }
}

/// A text out of a few; each comes with its description.
pub(crate) fn choice(values: &[(&str, &str)]) -> Json {
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let descriptions: Vec<String> = values.iter().map(|(_, doc)| sentence(doc)).collect();
    json!({ "type": "string", "enum": names, "enumDescriptions": descriptions })
}

/// The schema of an object while it is put together.
#[derive(Default)]
pub(crate) struct Object {
    properties: Map<String, Json>,
    required: Vec<&'static str>,
    /// Choices in the form that Istio's own schema has, which allows none of the fields as well.
    choices: Vec<Json>,
    demands: Vec<Json>,
}

impl Object {
    pub(crate) fn field(&mut self, name: &'static str, doc: &str, limits: &Limits, schema: Json) {
        let mut field = Map::new();
        field.insert("description".to_owned(), json!(sentence(doc)));
        match schema {
            // Draft 7 reads nothing beside a `$ref`.
            Json::Object(reference) if reference.contains_key("$ref") => {
                field.insert("allOf".to_owned(), json!([reference]));
            }
            Json::Object(schema) => field.extend(schema),
            _ => {}
        }
        self.properties.insert(name.to_owned(), Json::Object(field));
        if limits.required {
            self.required.push(name);
        }
    }

    pub(crate) fn one_of(&mut self, fields: &[&str]) {
        let each = fields.iter().map(|field| json!({ "required": [field] }));
        let none = json!({ "not": { "anyOf": each.clone().collect::<Vec<_>>() } });
        self.choices.push(json!({ "oneOf": std::iter::once(none).chain(each).collect::<Vec<_>>() }));
    }

    pub(crate) fn any_of(&mut self, fields: &[&str]) {
        let each: Vec<Json> = fields.iter().map(|field| json!({ "required": [field] })).collect();
        self.demands.push(json!({ "anyOf": each }));
    }

    pub(crate) fn exclusive(&mut self, fields: &[&str]) {
        self.demands.push(json!({ "not": { "required": fields } }));
    }

    pub(crate) fn rule(&mut self, demand: Json) {
        self.demands.push(demand);
    }

    fn finish(mut self, doc: &str) -> Json {
        let mut schema = json!({
            "description": sentence(doc),
            "type": "object",
            "additionalProperties": false,
            "properties": self.properties,
        });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        self.choices.append(&mut self.demands);
        if !self.choices.is_empty() {
            schema["allOf"] = Json::Array(self.choices);
        }
        schema
    }
}

/// The schema with null allowed.
pub(crate) fn nullable(mut schema: Json) -> Json {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}

/// A doc comment as a description: one line, without the marks of code.
fn sentence(doc: &str) -> String {
    doc.trim().replace("  ", " ")
}
