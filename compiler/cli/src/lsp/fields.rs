//! What the schemas of the kinds say of a field.

use super::cursor::Step;
use malha_model::SCHEMA_KINDS;
use serde_json::Value as Json;
use std::{cell::OnceCell, collections::BTreeMap};

/// The schemas of the kinds, each made when it is first asked for.
pub(super) struct Schemas {
    kinds: BTreeMap<&'static str, OnceCell<Option<Json>>>,
}

impl Default for Schemas {
    fn default() -> Self {
        Schemas { kinds: SCHEMA_KINDS.into_iter().map(|kind| (kind, OnceCell::new())).collect() }
    }
}

/// A place in a schema: what the values there may be.
#[derive(Clone, Copy)]
pub(super) struct Field<'s> {
    root: &'s Json,
    /// As the field has it: its description is the field's.
    own: &'s Json,
}

/// A value that a field may have.
pub(super) struct Choice<'s> {
    pub(super) value: &'s str,
    pub(super) description: Option<&'s str>,
}

impl Schemas {
    /// The field at a path of an object of some kind; none if there is no such field, or no schema.
    pub(super) fn field<'p>(&self, kind: &str, steps: impl IntoIterator<Item = &'p Step<'p>>) -> Option<Field<'_>> {
        let (name, schema) = self.kinds.get_key_value(kind)?;
        let root = schema.get_or_init(|| malha_model::schema(name)).as_ref()?;
        steps.into_iter().try_fold(Field { root, own: root }, |field, step| match step {
            Step::Key(key) => field.member(key),
            Step::Item(_) => field.item(),
        })
    }
}

impl<'s> Field<'s> {
    /// The schema itself, where the field refers to one.
    fn schema(self) -> &'s Json {
        // One that refers in a circle would not be a schema; ours have a step or two.
        const STEPS: usize = 8;
        let mut schema = self.own;
        for _ in 0..STEPS {
            let reference = schema.get("$ref").or_else(|| schema.get("allOf")?.get(0)?.get("$ref"));
            let path = reference.and_then(Json::as_str).and_then(|text| text.strip_prefix('#'));
            match path.and_then(|path| self.root.pointer(path)) {
                Some(found) => schema = found,
                None => break,
            }
        }
        schema
    }

    fn member(self, key: &str) -> Option<Field<'s>> {
        let schema = self.schema();
        let named = schema.get("properties").and_then(|members| members.get(key));
        let own = named.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))?;
        Some(Field { root: self.root, own })
    }

    /// What the items of a list are.
    pub(super) fn item(self) -> Option<Field<'s>> {
        Some(Field { root: self.root, own: self.schema().get("items")? })
    }

    /// What it is for.
    pub(super) fn description(self) -> Option<&'s str> {
        let text = |schema: &'s Json| schema.get("description").and_then(Json::as_str);
        text(self.own).or_else(|| text(self.schema()))
    }

    /// Its members by name.
    pub(super) fn members(self) -> impl Iterator<Item = (&'s str, Field<'s>)> {
        let members = self.schema().get("properties").and_then(Json::as_object).into_iter().flatten();
        members.map(move |(name, own)| (name.as_str(), Field { root: self.root, own }))
    }

    fn is(self, wanted: &str) -> bool {
        match self.schema().get("type") {
            Some(Json::String(one)) => one == wanted,
            Some(Json::Array(several)) => several.iter().any(|one| one == wanted),
            _ => false,
        }
    }

    pub(super) fn is_mapping(self) -> bool {
        self.is("object")
    }

    pub(super) fn is_list(self) -> bool {
        self.is("array")
    }

    /// What kind of value it has, in a word or two.
    pub(super) fn shape(self) -> String {
        let schema = self.schema();
        if let Some(item) = self.item() {
            return format!("list of {}", item.shape());
        }
        match schema.get("type") {
            _ if schema.get("enum").is_some() => "one of several words".to_owned(),
            Some(Json::String(one)) => one.clone(),
            Some(Json::Array(several)) => several.iter().find_map(Json::as_str).unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }

    /// The values it may have, if these are few.
    pub(super) fn choices(self) -> Vec<Choice<'s>> {
        let schema = self.schema();
        if self.is("boolean") {
            return ["true", "false"].map(|value| Choice { value, description: None }).into();
        }
        let values = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
        let described = |at: usize| schema.get("enumDescriptions")?.get(at)?.as_str();
        let choice =
            |(at, value): (usize, &'s Json)| Some(Choice { value: value.as_str()?, description: described(at) });
        values.enumerate().filter_map(choice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_through_references() {
        let schemas = Schemas::default();
        let path = [Step::Key("spec"), Step::Key("http"), Step::Item(3), Step::Key("timeout")];
        let timeout = schemas.field("VirtualService", &path).expect("a field");
        assert_eq!(timeout.description(), Some("Time allowed for the whole request; without it there is no limit."));
        assert_eq!(timeout.shape(), "string");
        let rule = schemas.field("VirtualService", &path[..3]).expect("a field");
        assert!(rule.is_mapping() && rule.members().any(|(name, _)| name == "corsPolicy"));
        assert!(schemas.field("VirtualService", &[Step::Key("nothing")]).is_none());
        assert!(schemas.field("Deployment", &[]).is_none());
    }

    #[test]
    fn choices_are_described() {
        let schemas = Schemas::default();
        let path = ["spec", "trafficPolicy", "tls", "mode"].map(Step::Key);
        let mode = schemas.field("DestinationRule", &path).expect("a field");
        let choices = mode.choices();
        assert!(choices.iter().any(|choice| choice.value == "ISTIO_MUTUAL" && choice.description.is_some()));
    }
}
