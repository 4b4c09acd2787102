//! `http[].match[]`: conditions on a request.

use crate::{
    Entries, Spanned,
    limits::Limits,
    read::{Reader, Value, message},
};
use malha_syntax::Node;
use schemars::JsonSchema;
use serde::{Serialize, Serializer, ser::SerializeMap};
use smol_str::SmolStr;

message! {
    /// Conditions on a request; all that are given must hold.
    pub struct HttpMatchRequest {
        /// A name, shown in logs.
        name: Option<Spanned<SmolStr>> = "name",
        /// The path. A prefix is one of bytes, not of segments; an expression must match the path without its query.
        uri: Option<Spanned<StringMatch>> = "uri",
        /// Whether the case of letters is ignored in `exact` and `prefix` of `uri`.
        ignore_uri_case: Option<Spanned<bool>> = "ignoreUriCase",
        /// The scheme of the request.
        scheme: Option<Box<Spanned<StringMatch>>> = "scheme",
        /// The method.
        method: Option<Box<Spanned<StringMatch>>> = "method",
        /// The authority: the Host header.
        authority: Option<Box<Spanned<StringMatch>>> = "authority",
        /// Headers by name. `{}` asks for presence alone.
        headers: Entries<StringMatch> = "headers",
        /// Headers by name that must not match. `{}` asks for absence.
        without_headers: Entries<StringMatch> = "withoutHeaders",
        /// Parameters of the query by name. `{}` asks for presence alone.
        query_params: Entries<StringMatch> = "queryParams",
        /// Port of the listener.
        port: Option<Spanned<u32>> = "port",
        /// Labels of the client's workload.
        source_labels: Entries<SmolStr> = "sourceLabels",
        /// Namespace of the client's workload.
        source_namespace: Option<Box<Spanned<SmolStr>>> = "sourceNamespace",
        /// The gateways that this condition is for, in place of the VirtualService's own list.
        gateways: Vec<Spanned<SmolStr>> = "gateways",
        /// Prefix of the metrics of matched requests.
        stat_prefix: Option<Box<Spanned<SmolStr>>> = "statPrefix",
    }
}

/// A condition on a text: one of these, or none, which asks for presence alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "written::StringMatch")]
pub enum StringMatch {
    /// `{}`, no condition on the text: a header or a query parameter need only be there.
    Any,
    /// The whole text.
    Exact(Spanned<SmolStr>),
    /// The start of the text, byte by byte.
    Prefix(Spanned<SmolStr>),
    /// A regular expression (RE2) that must match the whole text.
    Regex(Spanned<SmolStr>),
}

impl StringMatch {
    /// The text or the expression, where there is one.
    pub fn text(&self) -> Option<&Spanned<SmolStr>> {
        match self {
            StringMatch::Any => None,
            StringMatch::Exact(text) | StringMatch::Prefix(text) | StringMatch::Regex(text) => Some(text),
        }
    }

    /// The field that holds the text: `exact`, `prefix` or `regex`.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            StringMatch::Any => None,
            StringMatch::Exact(_) => Some("exact"),
            StringMatch::Prefix(_) => Some("prefix"),
            StringMatch::Regex(_) => Some("regex"),
        }
    }
}

impl Serialize for StringMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let (Some(field), Some(text)) = (self.field(), self.text()) {
            map.serialize_entry(field, text)?;
        }
        map.end()
    }
}

/// The object that a [`StringMatch`] is written as.
mod written {
    use crate::{Spanned, read::message};
    use smol_str::SmolStr;

    message! {
        /// A condition on a text.
        pub(super) struct StringMatch {
            /// The whole text.
            exact: Option<Spanned<SmolStr>> = "exact",
            /// The start of the text.
            prefix: Option<Spanned<SmolStr>> = "prefix",
            /// A regular expression (RE2) that must match the whole text.
            regex: Option<Spanned<SmolStr>> = "regex" [regex],
        }
        one_of [exact, prefix, regex]
    }
}

impl Value for StringMatch {
    const FIELDS: &'static [&'static str] = written::StringMatch::FIELDS;

    fn read<'d>(node: Node<'d>, limits: &Limits, reader: &mut Reader<'d>) -> Option<Self> {
        let written::StringMatch { exact, prefix, regex } = written::StringMatch::read(node, limits, reader)?;
        let exact = exact.map(StringMatch::Exact);
        let prefix = prefix.map(StringMatch::Prefix);
        Some(exact.or(prefix).or(regex.map(StringMatch::Regex)).unwrap_or(StringMatch::Any))
    }
}
