//! What asking a schema about an object may cost: a number of steps, counted before anything is asked.
//!
//! A validator follows a reference each time it meets it, and tells every error of every way that leads to one. Where
//! references fan out, that doubles with each of them, or with each level of the object, and takes longer than anybody
//! waits. So the steps are counted first, each part of the schema once for each value: that is never long.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// How many parts a schema may have.
const MOST_PARTS: usize = 20_000;

/// How many parts may ask each other about one and the same value, one after the other.
const LONGEST_CHAIN: usize = 64;

/// A schema as far as it says what is asked of what.
#[derive(Debug)]
pub(super) struct Cost {
    /// The first is the whole.
    parts: Vec<Part>,
}

/// A schema within the schema.
#[derive(Debug, Default)]
struct Part {
    /// How many keywords it has.
    keywords: u64,
    /// The parts that are asked about the same value.
    here: Vec<u32>,
    /// The parts that are asked about values within it: of one key, or of all of them.
    below: Vec<(Option<String>, u32)>,
    /// Whether it has to know what the others looked at, which takes them as long again.
    looks_twice: bool,
}

impl Cost {
    /// How many steps an object may take, whatever its size.
    pub(super) const STEPS: u64 = 1_000_000;

    /// As many more for each of its values.
    const STEPS_OF_VALUE: u64 = 100;

    /// Reads what a schema asks of what.
    ///
    /// # Errors
    /// It is too large, or asks itself about one value for ever: says why.
    pub(super) fn of(schema: &Value) -> Result<Cost, String> {
        let mut reader =
            Reader { resources: vec![schema], anchors: Vec::new(), known: HashMap::new(), queue: Vec::new() };
        reader.gather(schema);
        reader.part(schema);
        let mut parts = Vec::new();
        while let Some(&next) = reader.queue.get(parts.len()) {
            parts.push(reader.read(next));
            if parts.len() > MOST_PARTS {
                return Err(format!("it has over {MOST_PARTS} parts"));
            }
        }
        let cost = Cost { parts };
        match cost.longest_chain() {
            None => Err("its references come back to themselves without a step into the object".to_owned()),
            Some(long) if long > LONGEST_CHAIN => {
                Err(format!("over {LONGEST_CHAIN} of its parts ask each other about the same value"))
            }
            Some(_) => Ok(cost),
        }
    }

    /// Whether an object takes more steps than there are.
    pub(super) fn is_too_much(&self, object: &Value) -> bool {
        let most = Cost::STEPS.max(size(object).saturating_mul(Cost::STEPS_OF_VALUE));
        Count { parts: &self.parts, known: HashMap::new(), most }.steps(0, object) > most
    }

    /// How many parts ask each other about one value; none if that has no end.
    fn longest_chain(&self) -> Option<usize> {
        let mut askers = vec![0_usize; self.parts.len()];
        let asked = || self.parts.iter().flat_map(|part| &part.here);
        for &part in asked() {
            *askers.get_mut(part as usize)? += 1;
        }
        let mut ready: Vec<usize> = (0..askers.len()).filter(|part| askers.get(*part) == Some(&0)).collect();
        let mut length = vec![1_usize; askers.len()];
        let mut done = 0;
        while let Some(part) = ready.pop() {
            done += 1;
            let so_far = *length.get(part)?;
            for &next in &self.parts.get(part)?.here {
                let next = next as usize;
                let (left, longest) = (askers.get_mut(next)?, length.get_mut(next)?);
                *left -= 1;
                *longest = (*longest).max(so_far + 1);
                if *left == 0 {
                    ready.push(next);
                }
            }
        }
        (done == askers.len()).then(|| length.into_iter().max().unwrap_or_default())
    }
}

/// How many values there are in a value.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<u64>(),
        _ => 1,
    }
}

/// Counts steps for one object.
struct Count<'c> {
    parts: &'c [Part],
    /// By part, and by where the value is kept.
    known: HashMap<(u32, *const Value), u64>,
    most: u64,
}

impl Count<'_> {
    /// The steps that a part takes for a value; not exact beyond the most.
    fn steps(&mut self, part: u32, value: &Value) -> u64 {
        let key = (part, std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let parts = self.parts;
        let Some(Part { keywords, here, below, looks_twice }) = parts.get(part as usize) else { return 0 };
        let mut steps = 0_u64;
        for &part in here {
            steps = steps.saturating_add(self.steps(part, value));
        }
        steps = steps.saturating_mul(if *looks_twice { 2 } else { 1 }).saturating_add(1 + keywords);
        for (key, part) in below {
            // Whoever is over the limit need not know by how much.
            if steps > self.most {
                break;
            }
            let asked: Vec<&Value> = match (key, value) {
                (Some(key), Value::Object(fields)) => fields.get(key).into_iter().collect(),
                (None, Value::Object(fields)) => fields.values().collect(),
                (None, Value::Array(items)) => items.iter().collect(),
                _ => Vec::new(),
            };
            for value in asked {
                steps = steps.saturating_add(self.steps(*part, value));
            }
        }
        self.known.insert(key, steps);
        steps
    }
}

/// Reads the parts of a schema.
struct Reader<'s> {
    /// The schema, and those within it that have a name of their own.
    resources: Vec<&'s Value>,
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
const BELOW: [&str; 9] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
];

/// Keywords that refer.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

impl<'s> Reader<'s> {
    /// Finds what references may lead to.
    fn gather(&mut self, value: &'s Value) {
        match value {
            Value::Object(fields) => {
                for name in ["$anchor", "$dynamicAnchor", "$id", "id"] {
                    let Some(text) = fields.get(name).and_then(Value::as_str) else { continue };
                    match text.strip_prefix('#') {
                        Some(anchor) => self.anchors.push((anchor, value)),
                        None if name.ends_with("id") => self.resources.push(value),
                        None => self.anchors.push((text, value)),
                    }
                }
                fields.values().for_each(|value| self.gather(value));
            }
            Value::Array(items) => items.iter().for_each(|value| self.gather(value)),
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
                schemas(value, &mut |schema| part.below.push((None, self.part(schema))));
            } else if keyword == "properties" {
                by_key(value).for_each(|(key, schema)| part.below.push((Some(key.clone()), self.part(schema))));
            } else if keyword == "patternProperties" {
                by_key(value).for_each(|(_, schema)| part.below.push((None, self.part(schema))));
            } else if let (true, Value::String(reference)) = (REFERENCES.contains(&keyword), value) {
                self.targets(reference).into_iter().for_each(|schema| part.here.push(self.part(schema)));
            }
            part.looks_twice |= keyword.starts_with("unevaluated");
        }
        part
    }

    /// What a reference may lead to: all that it could, whichever it does. Schemas that everybody knows, as that of
    /// schemas, are not here, and lead to no more.
    fn targets(&self, reference: &str) -> Vec<&'s Value> {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return self.anchors.iter().filter(|(anchor, _)| *anchor == fragment).map(|(_, schema)| *schema).collect();
        }
        let is_meant = |resource: &&&'s Value| {
            let names = ["$id", "id"].into_iter().filter_map(|name| resource.get(name).and_then(Value::as_str));
            address.is_empty() || names.map(last_segment).any(|name| name == last_segment(address))
        };
        let fragment = decoded(fragment);
        // A fragment alone is of the resource that it stands in. Few schemas hold several.
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `depth` arrays in each other, around nothing.
    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!([inner]))
    }

    /// Definitions each of which asks the next one twice.
    fn doubling(count: usize) -> Value {
        let definition = |at: usize| {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            (format!("d{at}"), json!({"allOf": [next.clone(), next]}))
        };
        let mut definitions: Map<String, Value> = (0..count).map(definition).collect();
        definitions.insert(format!("d{count}"), json!({"type": "string"}));
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    }

    #[test]
    fn references_that_double_are_counted() {
        let cost = |schema: &Value| Cost::of(schema).expect("it is not too deep");
        assert!(!cost(&doubling(10)).is_too_much(&json!(1)));
        assert!(cost(&doubling(25)).is_too_much(&json!(1)));
        // By the depth of the object.
        let twice = json!({"items": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}});
        assert!(!cost(&twice).is_too_much(&nested(8)));
        assert!(cost(&twice).is_too_much(&nested(40)));
        let once = json!({"$id": "tree", "items": {"$ref": "tree"}});
        assert!(!cost(&once).is_too_much(&nested(100)));
        let twice = json!({"oneOf": [{"$dynamicRef": "#node"}, {"$ref": "#"}]});
        let by_anchor = json!({"$dynamicAnchor": "node", "additionalProperties": twice});
        let object = (0..40).fold(json!(1), |inner, _| json!({"a": inner}));
        assert!(cost(&by_anchor).is_too_much(&object));
    }

    #[test]
    fn a_large_object_may_take_longer() {
        let schema = json!({"items": {"properties": {"a": {"type": "number"}}, "required": ["a"], "maxProperties": 3}});
        let objects: Vec<Value> = (0..300_000).map(|at| json!({"a": at})).collect();
        assert!(!Cost::of(&schema).expect("it is plain").is_too_much(&Value::Array(objects)));
    }

    #[test]
    fn what_never_ends_is_refused() {
        let refused = |schema: &Value| Cost::of(schema).expect_err("it has no end");
        assert!(refused(&json!({"allOf": [{"$ref": "#"}]})).starts_with("its references come back to themselves"));
        let two = json!({"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b%20c"}}, "b c": {"$ref": "#/$defs/a"}}});
        assert!(refused(&two).starts_with("its references come back to themselves"));
        assert!(refused(&doubling(70)).starts_with("over 64 of its parts"));
        let ends = json!({"properties": {"a": {"$ref": "#"}}, "$defs": {"never": {"$ref": "#/$defs/never"}}});
        assert!(Cost::of(&ends).is_ok(), "what nothing refers to is not asked");
    }
}
