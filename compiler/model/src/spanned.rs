//! Values that remember where they were written.

use malha_syntax::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer, ser::SerializeMap};
use smol_str::SmolStr;
use std::{borrow::Cow, collections::BTreeMap, hash, ops};

/// A value with its place in the source.
///
/// Equality and hashing look at the value alone, so that two resources that say the same at different lines are equal.
/// It serializes as the bare value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where the value was written.
    pub span: Span,
    /// Where the key of its field was written; empty for an item of a list.
    pub key: Span,
}

impl<T> Spanned<T> {
    /// `value` as found at `span`, under the key at `key`.
    pub fn new(value: T, key: Span, span: Span) -> Self {
        Spanned { value, span, key }
    }

    /// Key and value together: the whole field, or the value alone for an item of a list.
    pub fn whole(&self) -> Span {
        if self.key.is_empty() { self.span } else { self.key.to(self.span) }
    }
}

impl<T> ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: hash::Hash> hash::Hash for Spanned<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// A stand-in for the value in schemas, as in text.
impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// A map in the order of the file, as `labels` or `headers.set`.
///
/// Keys are unique, except in a resource that is refused because they are not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entries<T> {
    list: Vec<(Spanned<SmolStr>, Spanned<T>)>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Entries { list: Vec::new() }
    }
}

impl<T> Entries<T> {
    /// No entries, with room for so many.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Entries { list: Vec::with_capacity(count) }
    }

    /// The value under `key`. A linear search: these maps are small.
    pub fn get(&self, key: &str) -> Option<&Spanned<T>> {
        self.list.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// Whether there is an entry for `key`.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The entries in the order of the file.
    pub fn iter(&self) -> EntriesIter<'_, T> {
        EntriesIter(self.list.iter())
    }

    /// The keys in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = &Spanned<SmolStr>> {
        self.list.iter().map(|(key, _)| key)
    }

    /// The values in the order of the file.
    pub fn values(&self) -> impl Iterator<Item = &Spanned<T>> {
        self.list.iter().map(|(_, value)| value)
    }

    /// Adds an entry. The caller sees to it that the key is new.
    pub fn push(&mut self, key: Spanned<SmolStr>, value: Spanned<T>) {
        self.list.push((key, value));
    }
}

/// Iterates over [`Entries`] in the order of the file.
#[derive(Clone, Debug)]
pub struct EntriesIter<'a, T>(std::slice::Iter<'a, (Spanned<SmolStr>, Spanned<T>)>);

impl<'a, T> Iterator for EntriesIter<'a, T> {
    type Item = (&'a Spanned<SmolStr>, &'a Spanned<T>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> ExactSizeIterator for EntriesIter<'_, T> {}

impl<'a, T> IntoIterator for &'a Entries<T> {
    type Item = (&'a Spanned<SmolStr>, &'a Spanned<T>);
    type IntoIter = EntriesIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> FromIterator<(Spanned<SmolStr>, Spanned<T>)> for Entries<T> {
    fn from_iter<I: IntoIterator<Item = (Spanned<SmolStr>, Spanned<T>)>>(entries: I) -> Self {
        Entries { list: entries.into_iter().collect() }
    }
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// Whether a field says nothing, so that it is left out when a message is written.
pub(crate) trait Absent {
    fn is_absent(&self) -> bool;
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Absent for Entries<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
