//! Reads documents into the model: how a message is declared, and what that yields.

mod field;
mod reader;
mod regex;
mod scalar;

pub(crate) use field::Field;
pub(crate) use reader::{Manner, Reader, Seen, Step, list, push_key, shorten};
pub(crate) use scalar::read_choice;

use crate::limits::Limits;
use malha_syntax::Node;
use serde_json::Value as Json;

/// A type that a value of a document can be read into.
pub(crate) trait Value: Sized {
    /// The names of its fields, if it is a message.
    const FIELDS: &'static [&'static str] = &[];

    /// Reads `node`, which is not null. `None` where it cannot be read; there is a finding then. A finding does not
    /// have to mean `None`.
    fn read<'d>(node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> Option<Self>;
}

/// What the reader knows of a message, to guess what an unknown field was meant to be.
pub(crate) struct Message {
    /// Its name in Rust; see [`api_name`].
    pub(crate) name: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [&'static str],
    /// The fields of its fields.
    pub(crate) inner: &'static [(&'static str, &'static [&'static str])],
}

/// A demand on a message that the declarations of its fields do not express.
pub(crate) struct Rule<T> {
    /// Checks the message and its node.
    pub(crate) check: for<'d> fn(&T, Node<'d>, &mut Reader<'d>),
    /// The same as JSON Schema.
    pub(crate) schema: fn() -> Json,
}

/// The name that Istio's API gives a message: `HTTPRoute` for `HttpRoute`.
pub(crate) fn api_name(name: &str) -> String {
    let mut name = name.to_owned();
    for (ours, theirs) in [("Http", "HTTP"), ("Tls", "TLS"), ("Tcp", "TCP"), ("Lb", "LB")] {
        name = name.replace(ours, theirs);
    }
    name
}

/// Declares a message: an object with known fields.
///
/// Each field is `name: Type = "yamlName" [limits]`; the limits are functions of [`Limits`]. After the fields, each
/// `one_of` and `exclusive` names fields of which at most one may be there, `any_of` fields of which one must be there,
/// and `rules` names further [`Rule`]s. From this come the type, how to read it, and its JSON Schema.
macro_rules! message {
    (
        $(#[doc = $doc:literal])*
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident : $type:ty = $yaml:literal $([$($limit:ident $(($limit_argument:expr))?),*])?,
            )*
        }
        $(one_of [$($one:ident),*])*
        $(any_of [$($any:ident),*])*
        $(exclusive [$($exclusive:ident),*])*
        $(rules [$($rule:path),*])?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields, transform = Self::constrain)]
        $visibility struct $name {
            $(
                $(#[doc = $field_doc])*
                #[serde(rename = $yaml, skip_serializing_if = "crate::spanned::Absent::is_absent")]
                // Not that it must be there, but that it must not be null.
                #[schemars(required)]
                pub $field: $type,
            )*
        }

        #[allow(unused_variables, unused_assignments, reason = "most fields are in no demand")]
        impl crate::read::Value for $name {
            const FIELDS: &'static [&'static str] = &[$($yaml),*];

            fn read<'d>(
                node: malha_syntax::Node<'d>,
                _: &crate::limits::Limits,
                reader: &mut crate::read::Reader<'d>,
            ) -> Option<Self> {
                const MESSAGE: crate::read::Message = crate::read::Message {
                    name: stringify!($name),
                    fields: $name::FIELDS,
                    inner: &[$(($yaml, <$type as crate::read::Field>::FIELDS)),*],
                };
                let owner = MESSAGE.name;
                if !reader.expect_mapping(node, owner) {
                    return None;
                }
                #[allow(unused_mut, reason = "a message may have no fields")]
                let mut message = $name::default();
                $(let mut $field = crate::read::Seen::not_yet($yaml);)*
                reader.open(&MESSAGE);
                for (key, value) in node.entries() {
                    match key.text() {
                        $($yaml => {
                            const LIMITS: crate::limits::Limits =
                                crate::limits::Limits::NONE $($(.$limit($($limit_argument)?))*)?;
                            $field.key = Some(key.span());
                            reader.within(crate::read::Step::Key($yaml), |reader| {
                                crate::read::Field::read(&mut message.$field, key.span(), value, &LIMITS, reader);
                            });
                        })*
                        _ => reader.unknown_field(key, &MESSAGE),
                    }
                }
                reader.close();
                $($($(crate::read::required!($limit $field, node, owner, reader);)*)?)*
                $(reader.at_most_one(&[$($one),*]);)*
                $(reader.at_least_one(node, owner, &[$($any),*]);)*
                $(reader.at_most_one(&[$($exclusive),*]);)*
                $($(($rule.check)(&message, node, reader);)*)?
                Some(message)
            }
        }

        impl $name {
            /// Adds to the schema what the types of the fields do not say.
            #[allow(unused_variables, reason = "most fields are in no demand")]
            fn constrain(schema: &mut schemars::Schema) {
                $({
                    const LIMITS: crate::limits::Limits =
                        crate::limits::Limits::NONE $($(.$limit($($limit_argument)?))*)?;
                    crate::schema::limit(schema, $yaml, &LIMITS);
                })*
                $(let $field = $yaml;)*
                $(crate::schema::demand(schema, crate::schema::one_of(&[$($one),*]));)*
                $(crate::schema::demand(schema, crate::schema::any_of(&[$($any),*]));)*
                $(crate::schema::demand(schema, crate::schema::exclusive(&[$($exclusive),*]));)*
                $($(crate::schema::demand(schema, ($rule.schema)());)*)?
            }
        }
    };
}

/// Reports a field that is missing and was declared `required`.
macro_rules! required {
    (required $field:ident, $node:ident, $owner:ident, $reader:ident) => {
        if $field.key.is_none() {
            $reader.missing_field($node, $owner, $field.name);
        }
    };
    ($other:ident $field:ident, $node:ident, $owner:ident, $reader:ident) => {};
}

/// Declares an enum: a text out of a few.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $yaml:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
        #[schemars(inline, transform = crate::schema::choice)]
        pub enum $name {
            $($(#[doc = $variant_doc])* #[serde(rename = $yaml)] $variant,)*
        }

        impl $name {
            /// As the API has it.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $yaml,)*
                }
            }
        }

        impl crate::read::Value for $name {
            fn read<'d>(
                node: malha_syntax::Node<'d>,
                _: &crate::limits::Limits,
                reader: &mut crate::read::Reader<'d>,
            ) -> Option<Self> {
                crate::read::read_choice(node, reader, &[$($yaml),*], &[$($name::$variant),*])
            }
        }
    };
}

pub(crate) use {choice, message, required};
