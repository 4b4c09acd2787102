//! The schemas: that they hold every field of Istio's own, that they are checked in as generated, and that they and
//! the reader are of one mind.

mod common;

use common::findings_of;
use malha_model::{ReadResources, SCHEMA_KINDS, read_resources_by_schema, schema};
use malha_syntax::{Finding, SourceId, read};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

fn project_file(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn checked_in_schemas_are_as_generated() {
    for kind in SCHEMA_KINDS {
        let generated = serde_json::to_string_pretty(&schema(kind)).expect("a schema is JSON") + "\n";
        let file = project_file(&format!("schemas/{kind}.json"));
        assert!(file == generated, "schemas/{kind}.json is not as generated: run `cargo xtask schemas`");
    }
}

/// Follows references, and lets the parts of an `allOf` that is one be the whole.
fn resolve<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    loop {
        let reference = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
        let Some(reference) = reference.and_then(Value::as_str) else { return schema };
        schema = root.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere");
    }
}

fn texts(value: Option<&Value>) -> BTreeSet<String> {
    value.and_then(Value::as_array).into_iter().flatten().map(ToString::to_string).collect()
}

/// The choices of fields, as sets of what stands in each `oneOf`.
fn choices(schema: &Value) -> BTreeSet<BTreeSet<String>> {
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(schema).chain(parts).filter_map(|part| part.get("oneOf")).map(|it| texts(Some(it))).collect()
}

/// Compares a field of Istio's table with ours and says how they differ.
fn compare(path: &str, theirs: &Value, root: &Value, ours: &Value, differences: &mut Vec<String>) {
    let ours = resolve(root, ours);
    let mut differ = |what: &str, theirs: String, ours: String| {
        if theirs != ours {
            differences.push(format!("{path}: {what} is {ours} and must be {theirs}"));
        }
    };
    let kind = match ours.get("type") {
        Some(Value::Array(kinds)) => kinds.first(),
        kind => kind,
    };
    let nullable = texts(ours.get("type")).contains("\"null\"");
    differ("type", format!("{:?}", theirs.get("type")), format!("{kind:?}"));
    differ("nullable", theirs["nullable"].as_bool().unwrap_or_default().to_string(), nullable.to_string());
    differ("enum", format!("{:?}", texts(theirs.get("enum"))), format!("{:?}", texts(ours.get("enum"))));
    differ("required", format!("{:?}", texts(theirs.get("required"))), format!("{:?}", texts(ours.get("required"))));
    differ("choices", format!("{:?}", choices(theirs)), format!("{:?}", choices(ours)));
    let duration = "duration(self) >= duration('1ms')";
    let theirs_positive = texts(theirs.get("rules")).contains(&json!(duration).to_string());
    let ours_positive = ours.pointer("/x-kubernetes-validations/0/rule") == Some(&json!(duration));
    differ("least duration", theirs_positive.to_string(), ours_positive.to_string());
    for limit in ["maxItems", "minItems", "maxLength", "maxProperties"] {
        differ(limit, format!("{:?}", theirs.get(limit)), format!("{:?}", ours.get(limit)));
    }
    for limit in ["minimum", "maximum"] {
        // Where Istio has rules on a number, our limits are those of the rules.
        if theirs.get("rules").is_none() && theirs.get(limit).is_some() {
            let number = |schema: &Value| schema.get(limit).and_then(Value::as_f64);
            differ(limit, format!("{:?}", number(theirs)), format!("{:?}", number(ours)));
        }
    }
    for part in ["items", "additionalProperties"] {
        if let Some(theirs) = theirs.get(part) {
            compare(&format!("{path}[]"), theirs, root, &ours[part], differences);
        }
    }
    let empty = Map::new();
    let their_fields = theirs.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let our_fields = ours.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (name, theirs) in their_fields {
        match our_fields.get(name) {
            Some(ours) => compare(&format!("{path}.{name}"), theirs, root, ours, differences),
            None => differences.push(format!("{path}.{name} is missing")),
        }
    }
    for name in our_fields.keys().filter(|name| !their_fields.contains_key(*name)) {
        differences.push(format!("{path}.{name} is not a field of Istio's"));
    }
}

#[test]
fn has_every_field_of_istios_schema_with_its_type() {
    let kinds: Map<String, Value> =
        serde_json::from_str(&project_file("conformance/kind-fields.json")).expect("the table is JSON");
    assert_eq!(kinds.keys().map(String::as_str).collect::<Vec<_>>(), SCHEMA_KINDS);
    let mut differences = Vec::new();
    for (kind, theirs) in &kinds {
        let ours = schema(kind).expect("every kind has a schema");
        compare(kind, &theirs["spec"], &ours, &ours["properties"]["spec"], &mut differences);
        let versions: BTreeSet<String> = texts(theirs.get("versions"));
        let ours = texts(ours.pointer("/properties/apiVersion/enum"));
        let ours: BTreeSet<String> = ours.iter().map(|version| version.replace("networking.istio.io/", "")).collect();
        assert_eq!(ours, versions, "versions of {kind}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Makes values of a schema: one that has every field (and of each choice the first), and edits of it that break it.
struct Maker<'s> {
    root: &'s Value,
}

impl<'s> Maker<'s> {
    /// A value with every field in it that may stand together.
    fn good(&self, schema: &'s Value) -> Value {
        let schema = resolve(self.root, schema);
        if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
            return first.clone();
        }
        match kind_of(schema) {
            "object" => match schema.get("properties").and_then(Value::as_object) {
                Some(fields) => {
                    let left_out = left_out(schema);
                    let fields = fields.iter().filter(|(name, _)| !left_out.contains(name.as_str()));
                    Value::Object(fields.map(|(name, field)| (name.clone(), self.good(field))).collect())
                }
                None => json!({ "a": self.good(&schema["additionalProperties"]) }),
            },
            "array" => json!([self.good(&schema["items"])]),
            "integer" => json!(schema["minimum"].as_i64().unwrap_or_default().max(1)),
            "number" => json!(1.5),
            "boolean" => json!(true),
            _ if schema.get("format") == Some(&json!("byte")) => json!("Zm9v"),
            _ if schema["pattern"].as_str().is_some_and(|pattern| pattern.contains("ms|s|m|h")) => json!("10s"),
            _ => json!("x"),
        }
    }

    /// Edits of `value`, each of which says what it did.
    fn edits(&self, schema: &'s Value, value: &Value, at: &str, edits: &mut Vec<(String, String, Value)>) {
        let schema = resolve(self.root, schema);
        let mut edit = |what: &str, at: &str, value: Value| edits.push((what.to_owned(), at.to_owned(), value));
        for other in [
            json!("x"),
            json!(1),
            json!(-1),
            json!(1.5),
            json!(true),
            json!([]),
            json!({}),
            json!(null),
            json!([1]),
            json!(""),
        ] {
            if other != *value {
                edit(&format!("set to {other}"), at, other);
            }
        }
        for limit in ["minimum", "maximum"] {
            if let Some(number) = schema.get(limit).and_then(Value::as_i64) {
                for beside in [number.saturating_sub(1), number, number.saturating_add(1)] {
                    edit(&format!("set beside the {limit}"), at, json!(beside));
                }
            }
        }
        if let Some(longest) = schema.get("maxLength").and_then(Value::as_u64) {
            for length in [longest, longest + 1] {
                edit(&format!("made {length} long"), at, json!("ä".repeat(length as usize)));
            }
        }
        for value in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
            edit("set to another value", at, value.clone());
            edit("set in lower case", at, json!(value.as_str().unwrap_or_default().to_lowercase()));
        }
        for text in [
            "*",
            "a*",
            "unix://",
            "unix:///",
            "unix://@",
            "unix:///a",
            "unix://@a/",
            "10s",
            "1.5h",
            "-1m",
            "10",
            "1d",
            "Zg==",
            "Zg=",
        ] {
            if kind_of(schema) == "string" {
                edit(&format!("set to {text}"), at, json!(text));
            }
        }
        match value {
            Value::Object(fields) => {
                let mut with = |what: &str, change: &dyn Fn(&mut Map<String, Value>)| {
                    let mut fields = fields.clone();
                    change(&mut fields);
                    edit(what, at, Value::Object(fields));
                };
                with("given an unknown field", &|fields| _ = fields.insert("bogusField".to_owned(), json!(1)));
                with("given an odd key", &|fields| _ = fields.insert("*".to_owned(), json!("x")));
                for name in fields.keys() {
                    with(&format!("robbed of {name}"), &|fields| _ = fields.shift_remove(name));
                }
                let declared = schema.get("properties").and_then(Value::as_object);
                for (name, field) in declared.into_iter().flatten().filter(|(name, _)| !fields.contains_key(*name)) {
                    with(&format!("given {name}"), &|fields| _ = fields.insert(name.clone(), self.good(field)));
                }
                if let Some(most) = schema.get("maxProperties").and_then(Value::as_u64) {
                    let first = fields.values().next().cloned().unwrap_or_default();
                    for count in [most, most + 1] {
                        let many = (0..count).map(|index| (format!("k{index}"), first.clone())).collect();
                        edit(&format!("given {count} entries"), at, Value::Object(many));
                    }
                }
                for (name, value) in fields {
                    let field = declared.map_or(&schema["additionalProperties"], |declared| &declared[name]);
                    self.edits(field, value, &format!("{at}/{name}"), edits);
                }
            }
            Value::Array(items) => {
                for limit in ["minItems", "maxItems"] {
                    let Some(count) = schema.get(limit).and_then(Value::as_u64) else { continue };
                    for count in [count.saturating_sub(1), count, count + 1] {
                        let many = (0..count).map(|index| numbered(&items[0], index)).collect();
                        edit(&format!("given {count} items"), at, Value::Array(many));
                    }
                }
                self.edits(&schema["items"], &items[0], &format!("{at}/0"), edits);
            }
            _ => {}
        }
    }
}

/// Fields that cannot stand beside others: all but the first of each choice, and what the demands name.
fn left_out(schema: &Value) -> BTreeSet<String> {
    let mut left_out = BTreeSet::new();
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        let one_of = part.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let fields = one_of.filter_map(|choice| choice.pointer("/required/0")?.as_str()).skip(1);
        left_out.extend(fields.map(str::to_owned));
        let exclusive = part.pointer("/not/required").and_then(Value::as_array).into_iter().flatten();
        left_out.extend(exclusive.filter_map(Value::as_str).skip(1).map(str::to_owned));
    }
    // A ServiceEntry may have one or the other; the edits try both.
    if schema.pointer("/properties/resolution").is_some() {
        left_out.insert("endpoints".to_owned());
    }
    left_out
}

/// The type of a schema; of a nullable one the type that is not null.
fn kind_of(schema: &Value) -> &str {
    schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default()
}

/// A copy of an item that differs from its siblings in what names it.
fn numbered(item: &Value, index: u64) -> Value {
    let mut item = item.clone();
    for (field, value) in [("name", json!(format!("n{index}"))), ("number", json!(index + 1))] {
        if item.get(field).is_some() {
            item[field] = value;
        }
    }
    item
}

/// Whether the schema cannot say what the reader demands: that a duration is at least 1ms, that items differ,
/// and that a text is a regular expression.
fn beyond_schemas(findings: &[Finding]) -> bool {
    let beyond = |finding: &Finding| {
        matches!(finding.rule.code, "K012" | "K013") || finding.message.ends_with("must be at least 1ms")
    };
    !findings.is_empty() && findings.iter().all(beyond)
}

/// Reads a JSON value as the schemas alone judge it.
fn read_by_schema(object: &Value) -> ReadResources {
    let reading = read(SourceId(0), &object.to_string());
    reading.documents.first().map(read_resources_by_schema).unwrap_or_default()
}

/// Reads the object and validates it, and says how the verdicts differ if they do.
fn split_verdict(object: &Value, validator: &jsonschema::Validator) -> Option<String> {
    let read = read_by_schema(object);
    let refused = read.resources.iter().any(|resource| resource.refused);
    (refused == validator.is_valid(object) && !beyond_schemas(&read.findings))
        .then(|| format!("the reader {} {object}\n{}", if refused { "refuses" } else { "accepts" }, findings_of(&read)))
}

/// An object of the kind with every field, and edits of it: what was done, where, and what stands there then.
fn object_and_edits(kind: &str, root: &Value) -> (Value, Vec<(String, String, Value)>) {
    let maker = Maker { root };
    let good = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": { "name": "x" },
        "spec": maker.good(&root["properties"]["spec"]),
    });
    let mut edits = Vec::new();
    maker.edits(&root["properties"]["spec"], &good["spec"], "/spec", &mut edits);
    (good, edits)
}

#[test]
fn schema_and_reader_are_of_one_mind() {
    for kind in SCHEMA_KINDS {
        let root = schema(kind).expect("every kind has a schema");
        let validator = jsonschema::draft7::new(&root).expect("the schema is a schema");
        let (good, edits) = object_and_edits(kind, &root);
        let read = read_by_schema(&good);
        assert_eq!(findings_of(&read), "", "{kind}: {good}");
        assert!(validator.is_valid(&good), "{kind}: {good}");

        let mut valid_edits = 0;
        for (what, at, value) in &edits {
            let mut edited = good.clone();
            *edited.pointer_mut(at).expect("the edit has a place") = value.clone();
            valid_edits += usize::from(validator.is_valid(&edited));
            if let Some(split) = split_verdict(&edited, &validator) {
                panic!("{kind}{at} {what}: {split}");
            }
        }
        let valid_share = valid_edits * 100 / edits.len();
        assert!((5..95).contains(&valid_share), "{kind}: {valid_share} % of {} edits are valid", edits.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Several edits at once: one that breaks a part of the object must not hide, or bring about, another's verdict.
    #[test]
    fn schema_and_reader_agree_on_objects_edited_often(
        kind in proptest::sample::select(&SCHEMA_KINDS),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 2..6),
    ) {
        let (validator, good, edits) = prepared(kind);
        let mut edited = good.clone();
        for pick in picks {
            let (_, at, value) = pick.get(edits);
            // An earlier edit may have taken the place away.
            if let Some(place) = edited.pointer_mut(at) {
                *place = value.clone();
            }
        }
        prop_assert_eq!(split_verdict(&edited, validator), None);
    }
}

type Prepared = (jsonschema::Validator, Value, Vec<(String, String, Value)>);

/// What the property needs of a kind, made once.
fn prepared(kind: &str) -> &'static Prepared {
    static ALL: OnceLock<BTreeMap<&str, Prepared>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let prepare = |kind| {
            let root = schema(kind).expect("every kind has a schema");
            let (good, edits) = object_and_edits(kind, &root);
            (kind, (jsonschema::draft7::new(&root).expect("the schema is a schema"), good, edits))
        };
        SCHEMA_KINDS.into_iter().map(prepare).collect()
    });
    &all[kind]
}
