//! A request as the contract writes it, and the view of it that the evaluator reads.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One request, in the form of the JSON contract. Every key is optional.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Request {
    /// `gateway`, `gateway/NS/NAME` or `mesh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Namespace and labels of the proxy that executes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyIdentity>,
    /// Port of the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    /// The client speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Where the client connects from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Address>,
    /// Where the client meant to connect to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Address>,
    /// What the bytes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// `GET` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `http`, or `https` over TLS, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The Host header; absent: none is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Path with query as sent; `/` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Headers by name, one or several lines each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Lines>,
    /// Index of the weighted destination to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<u32>,
}

/// Who executes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What a TLS client says in its hello.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Server name; none sent if absent.
    pub sni: Option<String>,
    /// Application protocols offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<String>,
}

/// One end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The IP address.
    pub ip: String,
}

/// What a connection carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP, over TLS where the request says so.
    #[default]
    Http,
    /// A bare TLS connection.
    Tls,
    /// Other bytes.
    Tcp,
}

/// The lines of one header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Lines {
    /// One line.
    One(String),
    /// Several, in order.
    Many(Vec<String>),
}

impl Lines {
    /// The lines in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Lines::One(line) => std::slice::from_ref(line).iter(),
            Lines::Many(lines) => lines.iter(),
        }
        .map(String::as_str)
    }
}

/// What routing reads of an HTTP request, after normalisation (semantics F, steps 3 and 4).
///
/// The proxy implements it over its own request; [`Head`](crate::http::Head) over a [`Request`].
pub trait RequestView {
    /// `:method`.
    fn method(&self) -> &str;
    /// `:scheme`.
    fn scheme(&self) -> &str;
    /// `:authority`, as sent.
    fn authority(&self) -> &str;
    /// The normalised path, without query or fragment.
    fn path(&self) -> &str;
    /// What follows the first `?`, if there is one.
    fn query(&self) -> Option<&str>;
    /// Whether `test` holds for some line of the header; `name` is in lower case. Headers that Envoy keeps as one
    /// line are seen joined (see `http::INLINE_HEADERS`).
    fn any_line(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// The first occurrence of a query parameter, not decoded (semantics B.3); a key without `=` is empty.
    fn query_parameter(&self, name: &str) -> Option<&str> {
        self.query()?.split('&').find_map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (pair == name).then_some(""),
        })
    }
}
