//! The parts of a JSON Schema: what of it is asked about which values.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// How many parts a schema may have.
const MOST_PARTS: usize = 20_000;

/// A schema within the schema.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// How many keywords it has.
    pub(super) keywords: u64,
    /// The parts that are asked about the same value.
    pub(super) here: Vec<u32>,
    /// The parts that are asked about every value within it.
    pub(super) below: Vec<u32>,
    /// The parts that are asked about the fields of these names.
    pub(super) named: BTreeMap<String, u32>,
    /// The parts that are asked about fields whose names match.
    pub(super) matching: Vec<u32>,
    /// The part that is asked about fields that neither `named` nor `matching` takes.
    pub(super) others: Option<u32>,
    /// Whether it has to know what the others looked at, which takes them as long again.
    pub(super) looks_twice: bool,
}

impl Part {
    /// Whether of the values within, it asks about fields of certain names at most.
    pub(super) fn asks_named_alone(&self) -> bool {
        self.below.is_empty() && self.matching.is_empty() && self.others.is_none()
    }
}

/// The parts that something of a schema leads to: the first is the whole.
///
/// # Errors
/// There are too many: says so.
pub(super) fn of(schema: &Value) -> Result<Vec<Part>, String> {
    let mut reader = Reader::default();
    reader.resources.push(schema);
    reader.gather(schema, schema, Naming::MODERN);
    reader.part(schema);
    let mut parts = Vec::new();
    while let Some(&next) = reader.queue.get(parts.len()) {
        parts.push(reader.read(next));
        if parts.len() > MOST_PARTS {
            return Err(format!("it has over {MOST_PARTS} parts"));
        }
    }
    Ok(parts)
}

/// By what a schema within another has a name of its own.
#[derive(Clone, Copy)]
struct Naming {
    keyword: &'static str,
    /// Whether a reference beside the name is all that counts.
    yields_to_reference: bool,
}

impl Naming {
    const MODERN: Naming = Naming { keyword: "$id", yields_to_reference: false };

    /// What holds within a schema; `outer` around it.
    fn of(fields: &Map<String, Value>, outer: Naming) -> Naming {
        let dialect = fields.get("$schema").and_then(Value::as_str).unwrap_or_default();
        if dialect.contains("json-schema.org/draft-04/") {
            Naming { keyword: "id", yields_to_reference: true }
        } else if dialect.contains("json-schema.org/draft-06/") || dialect.contains("json-schema.org/draft-07/") {
            Naming { keyword: "$id", yields_to_reference: true }
        } else if dialect.contains("json-schema.org/") {
            Naming::MODERN
        } else {
            outer
        }
    }

    /// Whether a schema has such a name.
    fn names(self, fields: &Map<String, Value>) -> bool {
        let name = fields.get(self.keyword).and_then(Value::as_str);
        name.is_some_and(|name| !name.starts_with('#')) && !(self.yields_to_reference && fields.contains_key("$ref"))
    }
}

/// Reads the parts of a schema.
#[derive(Default)]
struct Reader<'s> {
    /// The schema, and those within it that have a name of their own.
    resources: Vec<&'s Value>,
    /// By schema, which of them it stands in.
    enclosing: HashMap<*const Value, &'s Value>,
    /// Parts by the names that references may call them.
    anchors: Vec<(&'s str, &'s Value)>,
    known: HashMap<*const Value, u32>,
    /// In the order of their numbers.
    queue: Vec<&'s Value>,
}

/// Keywords whose schemas are asked about the same value.
const HERE: [&str; 8] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "extends"];

/// Keywords whose schemas, by key of the object, are asked about the same value.
const HERE_BY_KEY: [&str; 2] = ["dependentSchemas", "dependencies"];

/// Keywords whose schemas are asked about the values within.
const BELOW: [&str; 8] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
];

/// Keywords that refer.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

impl<'s> Reader<'s> {
    /// Finds what references may lead to.
    fn gather(&mut self, value: &'s Value, enclosing: &'s Value, outer: Naming) {
        match value {
            Value::Object(fields) => {
                let naming = Naming::of(fields, outer);
                let enclosing = if naming.names(fields) { value } else { enclosing };
                self.enclosing.insert(std::ptr::from_ref(value), enclosing);
                for name in ["$anchor", "$dynamicAnchor", "$id", "id"] {
                    let Some(text) = fields.get(name).and_then(Value::as_str) else { continue };
                    match text.strip_prefix('#') {
                        Some(anchor) => self.anchors.push((anchor, value)),
                        None if name.ends_with("id") => self.resources.push(value),
                        None => self.anchors.push((text, value)),
                    }
                }
                fields.values().for_each(|value| self.gather(value, enclosing, naming));
            }
            Value::Array(items) => items.iter().for_each(|value| self.gather(value, enclosing, outer)),
            _ => {}
        }
    }

    /// The number of a part.
    fn part(&mut self, schema: &'s Value) -> u32 {
        let queue = &mut self.queue;
        *self.known.entry(std::ptr::from_ref(schema)).or_insert_with(|| {
            queue.push(schema);
            queue.len() as u32 - 1
        })
    }

    fn read(&mut self, schema: &'s Value) -> Part {
        let Value::Object(fields) = schema else { return Part::default() };
        let mut part = Part { keywords: fields.len() as u64, ..Part::default() };
        for (keyword, value) in fields {
            let keyword = keyword.as_str();
            if HERE.contains(&keyword) {
                schemas(value, &mut |schema| part.here.push(self.part(schema)));
            } else if HERE_BY_KEY.contains(&keyword) {
                by_key(value).for_each(|(_, schema)| part.here.push(self.part(schema)));
            } else if BELOW.contains(&keyword) {
                schemas(value, &mut |schema| part.below.push(self.part(schema)));
            } else if keyword == "properties" {
                part.named = by_key(value).map(|(key, schema)| (key.clone(), self.part(schema))).collect();
            } else if keyword == "patternProperties" {
                part.matching = by_key(value).map(|(_, schema)| self.part(schema)).collect();
            } else if keyword == "additionalProperties" {
                part.others = Some(self.part(value));
            } else if let (true, Value::String(reference)) = (REFERENCES.contains(&keyword), value) {
                self.targets(schema, keyword, reference)
                    .into_iter()
                    .for_each(|schema| part.here.push(self.part(schema)));
            }
            part.looks_twice |= keyword.starts_with("unevaluated");
        }
        part
    }

    /// What a reference of a schema may lead to: all that it could, where it cannot be told. Schemas that everybody
    /// knows, as that of schemas, are not here, and lead to no more.
    fn targets(&self, schema: &Value, keyword: &str, reference: &str) -> Vec<&'s Value> {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        // A fragment alone is of the resource that it stands in.
        let resource_of = |schema: &Value| self.enclosing.get(&std::ptr::from_ref(schema)).copied();
        let own = resource_of(schema).filter(|_| address.is_empty());
        if !fragment.is_empty() && !fragment.starts_with('/') {
            let named = self.anchors.iter().filter(|(anchor, _)| *anchor == fragment).map(|(_, schema)| *schema);
            let (near, far): (Vec<&'s Value>, Vec<&'s Value>) = named.partition(|named| {
                own.is_some_and(|own| resource_of(named).is_some_and(|resource| std::ptr::eq(resource, own)))
            });
            // Which one a dynamic reference leads to depends on where its schema is referred to.
            let is_near = keyword == "$ref" && !near.is_empty();
            return if is_near { near } else { [near, far].concat() };
        }
        let fragment = decoded(fragment);
        if let Some(target) = own.and_then(|own| own.pointer(&fragment)) {
            return vec![target];
        }
        let is_meant = |resource: &&&'s Value| {
            let names = ["$id", "id"].into_iter().filter_map(|name| resource.get(name).and_then(Value::as_str));
            address.is_empty() || names.map(last_segment).any(|name| name == last_segment(address))
        };
        let mut targets: Vec<&'s Value> =
            self.resources.iter().filter(is_meant).filter_map(|resource| resource.pointer(&fragment)).collect();
        targets.dedup_by_key(|target| std::ptr::from_ref(*target));
        targets
    }
}

/// A schema, or every schema of a list.
fn schemas<'s>(value: &'s Value, visit: &mut dyn FnMut(&'s Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(visit),
        other => visit(other),
    }
}

fn by_key(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn last_segment(address: &str) -> &str {
    let address = address.split_once('#').map_or(address, |(address, _)| address);
    address.rsplit(['/', ':']).next().unwrap_or(address)
}

/// A fragment without its percent signs.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|code| *first == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
