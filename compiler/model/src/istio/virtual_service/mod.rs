//! `VirtualService`: which requests go where.

mod http;
mod layer4;
mod matching;
mod policy;

pub use http::{
    Delegate, HeaderOperations, Headers, HttpBody, HttpDirectResponse, HttpMirrorPolicy, HttpRedirect, HttpRewrite,
    HttpRoute, HttpRouteDestination, RedirectPortSelection, RegexRewrite,
};
pub use layer4::{L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute};
pub use matching::{HttpMatchRequest, StringMatch};
pub use policy::{
    CorsPolicy, HttpFaultAbort, HttpFaultDelay, HttpFaultInjection, HttpRetry, Percent, UnmatchedPreflights,
};

use crate::{Spanned, read::message};
use smol_str::SmolStr;

message! {
    /// Which requests go where, for some hosts.
    pub struct VirtualService {
        /// The hosts that this concerns: names, wildcards, or addresses. None: a delegate.
        hosts: Vec<Spanned<SmolStr>> = "hosts",
        /// The gateways that this applies to, as `name` or `namespace/name`; `mesh` is all sidecars, and the default.
        gateways: Vec<Spanned<SmolStr>> = "gateways",
        /// The rules for HTTP, tried in this order.
        http: Vec<Spanned<HttpRoute>> = "http",
        /// The rules for TLS that is passed through undecrypted, tried in this order.
        tls: Vec<Spanned<TlsRoute>> = "tls",
        /// The rules for other TCP connections, tried in this order.
        tcp: Vec<Spanned<TcpRoute>> = "tcp",
        /// The namespaces that see this: `*` for all, `.` for its own. Everybody by default.
        export_to: Vec<Spanned<SmolStr>> = "exportTo",
    }
}
