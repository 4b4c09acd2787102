//! What asking a schema about an object may cost: a number of steps, counted before anything is asked.
//!
//! A validator follows a reference each time it meets it, and tells every error of every way that leads to one. Where
//! references fan out, that doubles with each of them, or with each level of the object, and takes longer than anybody
//! waits. So the steps are counted first, each part of the schema once for each value: that is never long.

use super::parts::{self, Part};
use serde_json::Value;
use std::collections::HashMap;

/// How many parts may ask each other about one and the same value, one after the other.
const LONGEST_CHAIN: usize = 64;

/// A schema as far as it says what is asked of what.
#[derive(Debug)]
pub(super) struct Cost {
    /// The first is the whole.
    parts: Vec<Part>,
}

impl Cost {
    /// How many steps an object may take, whatever its size.
    const STEPS: u64 = 1_000_000;

    /// How many for each of its values, where that is more.
    const STEPS_OF_VALUE: u64 = 100;

    /// Reads what a schema asks of what.
    ///
    /// # Errors
    /// It is too large, or asks itself about one value for ever: says why.
    pub(super) fn of(schema: &Value) -> Result<Cost, String> {
        let cost = Cost { parts: parts::of(schema)? };
        match cost.longest_chain() {
            None => Err("its references come back to themselves without a step into the object".to_owned()),
            Some(long) if long > LONGEST_CHAIN => {
                Err(format!("over {LONGEST_CHAIN} of its parts ask each other about the same value"))
            }
            Some(_) => Ok(cost),
        }
    }

    /// How many steps an object may take.
    pub(super) fn most(object: &Value) -> u64 {
        Cost::STEPS.max(size(object).saturating_mul(Cost::STEPS_OF_VALUE))
    }

    /// Whether an object takes more steps than it may.
    pub(super) fn is_too_much(&self, object: &Value) -> bool {
        let most = Cost::most(object);
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
        let Some(asked) = parts.get(part as usize) else { return 0 };
        let here = self.sum(&asked.here, value);
        let here = here.saturating_mul(if asked.looks_twice { 2 } else { 1 });
        let mut steps = here.saturating_add(1 + asked.keywords);
        match value {
            Value::Array(items) if !asked.below.is_empty() => {
                for item in items {
                    // Whoever is over the limit need not know by how much.
                    if steps > self.most {
                        break;
                    }
                    steps = steps.saturating_add(self.sum(&asked.below, item));
                }
            }
            // A schema that asks about few fields does not take longer where there are many.
            Value::Object(fields) if asked.asks_named_alone() => {
                for (name, part) in &asked.named {
                    if steps > self.most {
                        break;
                    }
                    steps = steps.saturating_add(fields.get(name).map_or(0, |field| self.steps(*part, field)));
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    if steps > self.most {
                        break;
                    }
                    steps = steps.saturating_add(self.field(asked, name, field));
                }
            }
            _ => {}
        }
        self.known.insert(key, steps);
        steps
    }

    /// The steps that what is asked about the fields of an object takes for one of them.
    fn field(&mut self, asked: &Part, name: &str, field: &Value) -> u64 {
        let within = self.sum(&asked.below, field);
        // A field that a pattern takes is none of the others: without trying the patterns, it costs the dearer of both.
        let matching = self.sum(&asked.matching, field);
        let of_name = match asked.named.get(name) {
            Some(named) => self.steps(*named, field).saturating_add(matching),
            None => asked.others.map_or(0, |others| self.steps(others, field)).max(matching),
        };
        within.saturating_add(of_name)
    }

    fn sum(&mut self, parts: &[u32], value: &Value) -> u64 {
        parts.iter().fold(0, |steps: u64, part| steps.saturating_add(self.steps(*part, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

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
    fn fields_that_have_a_name_are_not_among_the_others() {
        let object = (0..40).fold(json!(1), |inner, _| json!({"a": inner}));
        let recursive = json!({"$ref": "#"});
        let is_too_much = |schema: &Value| Cost::of(schema).expect("it is plain").is_too_much(&object);
        let with = |one: &str, other: &str| {
            let keyword = |keyword| match keyword {
                "properties" => json!({"a": recursive}),
                "patternProperties" => json!({"^a": recursive}),
                _ => recursive.clone(),
            };
            json!({one: keyword(one), other: keyword(other)})
        };
        assert!(!is_too_much(&with("properties", "additionalProperties")));
        assert!(!is_too_much(&with("patternProperties", "additionalProperties")));
        assert!(is_too_much(&with("properties", "patternProperties")), "both are asked about it");
    }

    #[test]
    fn a_fragment_is_of_the_schema_that_it_stands_in() {
        let within = |name: &str, from: &str, to: &str| {
            let definitions = json!({from: {"$ref": format!("#/$defs/{to}")}, to: {"type": "string"}});
            json!({"$id": name, "$defs": definitions, "$ref": format!("#/$defs/{from}")})
        };
        let bundled =
            json!({"$defs": {"a": within("a", "x", "y"), "b": within("b", "y", "x")}, "items": {"$ref": "a"}});
        assert!(Cost::of(&bundled).is_ok(), "in none is a cycle");
        let anchored = |name: &str, own: &str, asked: &str| {
            let definitions = json!({"asked": {"$anchor": asked, "type": "string"}});
            json!({"$id": name, "$anchor": own, "$defs": definitions, "$ref": format!("#{asked}")})
        };
        let bundled =
            json!({"$defs": {"a": anchored("a", "x", "y"), "b": anchored("b", "y", "x")}, "items": {"$ref": "a"}});
        assert!(Cost::of(&bundled).is_ok(), "nor by their anchors");
        // The name of a schema within counts before a fragment of the whole.
        let name = json!({"$id": "tree", "$defs": {"x": {"type": "string"}}, "allOf": [{"$ref": "#/$defs/x"}]});
        let clash = json!({"$defs": {"x": {"$ref": "tree"}, "t": name}, "items": {"$ref": "#/$defs/x"}});
        assert!(Cost::of(&clash).is_ok(), "what the whole calls `x` is another");
        let cycle = json!({"$id": "tree", "$defs": {"x": {"$ref": "#"}}, "allOf": [{"$ref": "#/$defs/x"}]});
        assert!(Cost::of(&json!({"$defs": {"t": cycle}, "items": {"$ref": "tree"}})).is_err(), "this is one");
        // Before 2019 a reference hides the name beside it.
        let hidden = json!({"$id": "n", "$ref": "#/definitions/t", "definitions": {"t": {"type": "string"}}});
        let old = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"t": {"allOf": [hidden]}},
            "items": {"$ref": "#/definitions/t"},
        });
        assert!(Cost::of(&old).is_err(), "it is the whole's `t` that asks itself");
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
