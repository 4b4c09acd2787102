//! Reads documents into the model: how a message is declared, and what that yields.

macro_rules! message {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident $(($mode:ident))? {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident : $type:ty = $yaml:literal $([$($limit:ident $(($limit_argument:expr))?),*])?,
            )*
        }
        $(one_of [$($one:ident),*])*
        $(any_of [$($any:ident),*])*
        $(exclusive [$($exclusive:ident),*])*
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                #[serde(rename = $yaml)]
                pub $field: $type,
            )*
        }
    };
}

macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $yaml:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum $name {
            $($(#[doc = $variant_doc])* #[serde(rename = $yaml)] $variant,)*
        }
    };
}

pub(crate) use {choice, message};
