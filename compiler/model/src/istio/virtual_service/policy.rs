//! What a rule adds on the way: retries, faults, cross-origin answers.

use super::StringMatch;
use crate::{
    Duration, Spanned,
    read::{choice, message},
};
use smol_str::SmolStr;

message! {
    /// How failed requests are tried again.
    pub struct HttpRetry {
        /// How many times after the first; 0 switches retries off.
        attempts: Option<Spanned<i32>> = "attempts",
        /// Time allowed for each try; by default that of the whole request.
        per_try_timeout: Option<Spanned<Duration>> = "perTryTimeout" [positive],
        /// What counts as failure: names of Envoy's conditions and status codes, separated by commas.
        retry_on: Option<Spanned<SmolStr>> = "retryOn",
        /// Whether a retry may go to another locality.
        retry_remote_localities: Option<Spanned<bool>> = "retryRemoteLocalities" [nullable],
        /// Whether a retry avoids the endpoints that failed before; true by default.
        retry_ignore_previous_hosts: Option<Spanned<bool>> = "retryIgnorePreviousHosts" [nullable],
        /// Shortest pause between two tries.
        backoff: Option<Spanned<Duration>> = "backoff" [positive],
    }
}

message! {
    /// Faults that are put in on purpose.
    pub struct HttpFaultInjection {
        /// Delays before forwarding.
        delay: Option<Spanned<HttpFaultDelay>> = "delay",
        /// Errors instead of forwarding.
        abort: Option<Spanned<HttpFaultAbort>> = "abort",
    }
}

message! {
    /// A delay before forwarding.
    pub struct HttpFaultDelay {
        /// How long.
        fixed_delay: Option<Spanned<Duration>> = "fixedDelay" [positive],
        /// Not implemented by Istio.
        exponential_delay: Option<Spanned<Duration>> = "exponentialDelay" [positive],
        /// Share of the requests that are delayed.
        percentage: Option<Spanned<Percent>> = "percentage",
        /// Share of the requests that are delayed, in whole percent. Deprecated: use `percentage`.
        percent: Option<Spanned<i32>> = "percent",
    }
    one_of [fixed_delay, exponential_delay]
}

message! {
    /// An error instead of forwarding.
    pub struct HttpFaultAbort {
        /// The HTTP status code to answer with.
        http_status: Option<Spanned<i32>> = "httpStatus",
        /// The name of the gRPC status to answer with, as `UNAVAILABLE`.
        grpc_status: Option<Spanned<SmolStr>> = "grpcStatus",
        /// Not implemented by Istio.
        http2_error: Option<Spanned<SmolStr>> = "http2Error",
        /// Share of the requests that are aborted.
        percentage: Option<Spanned<Percent>> = "percentage",
    }
    one_of [http_status, grpc_status, http2_error]
}

message! {
    /// A share of requests.
    pub struct Percent {
        /// From 0.0 to 100.0.
        value: Option<Spanned<f64>> = "value",
    }
}

message! {
    /// Cross-origin policy.
    pub struct CorsPolicy {
        /// The origins that may ask, literally. Deprecated: use `allowOrigins`.
        allow_origin: Vec<Spanned<SmolStr>> = "allowOrigin",
        /// The origins that may ask.
        allow_origins: Vec<Spanned<StringMatch>> = "allowOrigins",
        /// The methods that they may use.
        allow_methods: Vec<Spanned<SmolStr>> = "allowMethods",
        /// The request headers that they may send.
        allow_headers: Vec<Spanned<SmolStr>> = "allowHeaders",
        /// The response headers that they may read.
        expose_headers: Vec<Spanned<SmolStr>> = "exposeHeaders",
        /// How long the answer to a preflight may be kept.
        max_age: Option<Spanned<Duration>> = "maxAge" [positive],
        /// Whether credentials may be sent along.
        allow_credentials: Option<Spanned<bool>> = "allowCredentials" [nullable],
        /// What happens to preflights of other origins.
        unmatched_preflights: Option<Spanned<UnmatchedPreflights>> = "unmatchedPreflights",
    }
}

choice! {
    /// What happens to preflights of origins that may not ask.
    pub enum UnmatchedPreflights {
        /// The default, which is to forward.
        Unspecified = "UNSPECIFIED",
        /// They are forwarded to the service.
        Forward = "FORWARD",
        /// They are answered without permission.
        Ignore = "IGNORE",
    }
}
