//! A decision as the contract writes it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What becomes of one request. Field order is the contract's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The router's outcome, for the destination drawn.
    pub outcome: Outcome,
    /// Who executed it.
    pub proxy: Option<crate::ProxyIdentity>,
    /// The listener that took the connection.
    pub listener: Option<ListenerName>,
    /// The domain of the virtual host that matched.
    pub host: Option<String>,
    /// The rule that took it; none for routes that no VirtualService made.
    pub rule: Option<Rule>,
    /// Where it may go.
    pub destinations: Vec<Destination>,
    /// What the upstream sees, where that differs from what was asked.
    pub rewrite: Option<Rewrite>,
    /// Set for `redirect` and `https-redirect`.
    pub redirect: Option<Redirect>,
    /// Set for `respond`.
    pub respond: Option<Respond>,
    /// The effective timeout, as `10s`.
    pub timeout: Option<String>,
    /// The effective retries.
    pub retries: Option<Retries>,
    /// Copies.
    pub mirrors: Vec<Mirror>,
    /// Injected faults.
    pub fault: Option<Fault>,
    /// The CORS policy in force.
    pub cors: Option<Cors>,
    /// Operations of the route.
    pub request_headers: HeaderOps,
    /// Operations of the route.
    pub response_headers: HeaderOps,
}

/// How a request ends, as far as the router decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the contract's, explained in docs/json.md")]
pub enum Outcome {
    Forward,
    Redirect,
    HttpsRedirect,
    Respond,
    #[default]
    NotFound,
    NoCluster,
    NoEndpoints,
    TcpForward,
    NoListener,
    ListenerRejected,
    Closed,
    Passthrough,
    Blackhole,
    BadRequest,
}

/// A listener, by port and protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerName {
    /// Its port.
    pub port: u32,
    /// As the Gateway's server or the service's port says it.
    pub protocol: String,
}

/// A rule of a VirtualService, by its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// `VirtualService`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `http`, `tls` or `tcp`.
    pub section: String,
    /// Index in the section.
    pub index: u32,
    /// Index in `match`, if the rule has one.
    #[serde(rename = "match")]
    pub match_index: Option<u32>,
    /// What the access log calls the route.
    pub route_name: Option<String>,
    /// Path of the file, relative to the root of the mesh.
    pub file: String,
    /// Line of the match, or of the rule.
    pub line: u32,
    /// The delegate's rule, where there is one.
    pub delegate: Option<Box<Rule>>,
}

/// One place a request may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Fully qualified.
    pub host: String,
    /// Service port.
    pub port: u32,
    /// Subset.
    pub subset: Option<String>,
    /// Share of the draws.
    pub weight: u32,
    /// Usable endpoints; null where there is no such cluster, or for original-destination clusters.
    pub endpoints: Option<u32>,
    /// There is no such cluster.
    pub missing: bool,
    /// Operations of the destination.
    pub request_headers: HeaderOps,
    /// Operations of the destination.
    pub response_headers: HeaderOps,
}

/// What the upstream sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// Path with query.
    pub path: String,
    /// Host.
    pub authority: String,
}

/// A redirect, as the client gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Status code.
    pub status: u16,
    /// The Location header.
    pub location: String,
}

/// A direct response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Respond {
    /// Status code.
    pub status: u16,
    /// Body, perhaps empty.
    pub body: String,
}

/// The effective retry policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Tries after the first.
    pub attempts: u32,
    /// As `2s`.
    pub per_try_timeout: Option<String>,
    /// Conditions and status codes.
    pub retry_on: Vec<String>,
}

/// A copy of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mirror {
    /// Fully qualified.
    pub host: String,
    /// Service port.
    pub port: u32,
    /// Subset.
    pub subset: Option<String>,
    /// 0 to 100.
    pub percentage: f64,
    /// There is no such cluster.
    pub missing: bool,
}

/// Injected faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// A delay before routing.
    pub delay: Option<Delay>,
    /// An answer instead of routing.
    pub abort: Option<Abort>,
}

/// An injected delay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// As `5s`.
    pub duration: String,
    /// 0 to 100.
    pub percentage: f64,
}

/// An injected answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Name of the gRPC status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<String>,
    /// 0 to 100.
    pub percentage: f64,
}

/// A CORS policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// Origins, as `exact:x`, `prefix:x`, `regex:x`.
    pub allow_origins: Vec<String>,
    /// Methods.
    pub allow_methods: Vec<String>,
    /// Headers.
    pub allow_headers: Vec<String>,
    /// Headers.
    pub expose_headers: Vec<String>,
    /// As `86400s`, in whole seconds.
    pub max_age: Option<String>,
    /// Whether credentials are allowed, where said.
    pub allow_credentials: Option<bool>,
    /// Whether a preflight of another origin is ignored instead of forwarded.
    pub ignore_unmatched_preflights: bool,
}

/// Header operations of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderOps {
    /// Replaced or created.
    pub set: BTreeMap<String, String>,
    /// Appended.
    pub add: BTreeMap<String, String>,
    /// Removed.
    pub remove: Vec<String>,
}
