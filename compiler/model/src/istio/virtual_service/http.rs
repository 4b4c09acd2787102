//! `http[]`: one rule, what it does with a request, and where it sends it.

use super::{CorsPolicy, HttpFaultInjection, HttpMatchRequest, HttpRetry, Percent};
use crate::{
    Bytes, Duration, Entries, Spanned,
    istio::Destination,
    read::{choice, message},
};
use smol_str::SmolStr;

message! {
    /// One rule for HTTP: what it matches and what it does.
    pub struct HttpRoute {
        /// A name, shown in logs.
        name: Option<Spanned<SmolStr>> = "name",
        /// Any of these must hold; none at all matches every request.
        matches: Vec<Spanned<HttpMatchRequest>> = "match",
        /// Where the requests go, by weight.
        route: Vec<Spanned<HttpRouteDestination>> = "route",
        /// Answers with a redirect instead of forwarding.
        redirect: Option<Box<Spanned<HttpRedirect>>> = "redirect",
        /// Answers with a fixed response instead of forwarding.
        direct_response: Option<Box<Spanned<HttpDirectResponse>>> = "directResponse",
        /// Another VirtualService whose rules refine this one.
        delegate: Option<Box<Spanned<Delegate>>> = "delegate",
        /// Changes path or authority before forwarding.
        rewrite: Option<Box<Spanned<HttpRewrite>>> = "rewrite",
        /// Time allowed for the whole request; without it there is no limit.
        timeout: Option<Spanned<Duration>> = "timeout" [positive],
        /// How failed requests are tried again.
        retries: Option<Box<Spanned<HttpRetry>>> = "retries",
        /// Delays or aborts that are put in on purpose.
        fault: Option<Box<Spanned<HttpFaultInjection>>> = "fault",
        /// Where a copy of each request goes; its answer is thrown away.
        mirror: Option<Box<Spanned<Destination>>> = "mirror",
        /// Where copies of each request go; their answers are thrown away.
        mirrors: Vec<Spanned<HttpMirrorPolicy>> = "mirrors",
        /// Share of the requests that `mirror` copies, in percent. Deprecated: use `mirrorPercentage`.
        mirror_percent: Option<Box<Spanned<u32>>> = "mirrorPercent" [nullable],
        /// The older spelling of `mirrorPercent`. Deprecated: use `mirrorPercentage`.
        mirror_percent_snake_case: Option<Box<Spanned<u32>>> = "mirror_percent" [nullable],
        /// Share of the requests that `mirror` copies; all by default.
        mirror_percentage: Option<Box<Spanned<Percent>>> = "mirrorPercentage",
        /// Cross-origin policy.
        cors_policy: Option<Box<Spanned<CorsPolicy>>> = "corsPolicy",
        /// Changes to the headers of requests and responses.
        headers: Option<Box<Spanned<Headers>>> = "headers",
    }
}

message! {
    /// Where a share of the requests goes.
    pub struct HttpRouteDestination {
        /// The service that takes the requests.
        destination: Option<Spanned<Destination>> = "destination" [required],
        /// Share relative to the sum of all weights. A lone destination takes everything.
        weight: Option<Spanned<i32>> = "weight",
        /// Changes to the headers of requests and responses, after those of the rule.
        headers: Option<Box<Spanned<Headers>>> = "headers",
    }
}

message! {
    /// Where copies of requests go.
    pub struct HttpMirrorPolicy {
        /// The service that takes the copies.
        destination: Option<Spanned<Destination>> = "destination" [required],
        /// Share of the requests to copy; all by default.
        percentage: Option<Spanned<Percent>> = "percentage",
    }
}

message! {
    /// Another VirtualService that refines a rule.
    pub struct Delegate {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
        /// Its namespace; by default that of the VirtualService that delegates.
        namespace: Option<Spanned<SmolStr>> = "namespace",
    }
}

message! {
    /// A redirect to answer with.
    pub struct HttpRedirect {
        /// The new path, whole.
        uri: Option<Spanned<SmolStr>> = "uri",
        /// What to put in place of the matched prefix of the path.
        prefix_rewrite: Option<Spanned<SmolStr>> = "prefixRewrite",
        /// The new authority (host, or host and port).
        authority: Option<Spanned<SmolStr>> = "authority",
        /// The new port.
        port: Option<Spanned<u32>> = "port",
        /// How to find the new port.
        derive_port: Option<Spanned<RedirectPortSelection>> = "derivePort",
        /// The new scheme, `http` or `https`.
        scheme: Option<Spanned<SmolStr>> = "scheme",
        /// Status code of the redirect; 301 by default.
        redirect_code: Option<Spanned<u32>> = "redirectCode",
    }
    one_of [port, derive_port]
}

choice! {
    /// How a redirect finds its port.
    pub enum RedirectPortSelection {
        /// 80 for http and 443 for https.
        FromProtocolDefault = "FROM_PROTOCOL_DEFAULT",
        /// The port on which the request came.
        FromRequestPort = "FROM_REQUEST_PORT",
    }
}

message! {
    /// A fixed response to answer with.
    pub struct HttpDirectResponse {
        /// Its status code.
        status: Option<Spanned<u32>> = "status" [required],
        /// Its body; empty by default.
        body: Option<Spanned<HttpBody>> = "body",
    }
}

message! {
    /// The body of a fixed response.
    pub struct HttpBody {
        /// As text.
        string: Option<Spanned<SmolStr>> = "string",
        /// As base64.
        bytes: Option<Spanned<Bytes>> = "bytes",
    }
    one_of [string, bytes]
}

message! {
    /// Changes to what is forwarded.
    pub struct HttpRewrite {
        /// Replaces the path, or the part of it that a prefix matched.
        uri: Option<Spanned<SmolStr>> = "uri",
        /// Replaces the authority.
        authority: Option<Spanned<SmolStr>> = "authority",
        /// Replaces what a regular expression finds in the path.
        uri_regex_rewrite: Option<Spanned<RegexRewrite>> = "uriRegexRewrite",
    }
}

message! {
    /// A rewrite by regular expression.
    pub struct RegexRewrite {
        /// The expression (RE2) to look for.
        matches: Option<Spanned<SmolStr>> = "match" [regex],
        /// What to put in place of each find; `\1` is its first group.
        rewrite: Option<Spanned<SmolStr>> = "rewrite",
    }
}

message! {
    /// Changes to headers.
    pub struct Headers {
        /// Of the request, before it is forwarded.
        request: Option<Spanned<HeaderOperations>> = "request",
        /// Of the response, before it is returned.
        response: Option<Spanned<HeaderOperations>> = "response",
    }
}

message! {
    /// Changes to the headers of a request or a response.
    pub struct HeaderOperations {
        /// Headers to overwrite.
        set: Entries<SmolStr> = "set",
        /// Headers to append.
        add: Entries<SmolStr> = "add",
        /// Headers to remove.
        remove: Vec<Spanned<SmolStr>> = "remove",
    }
}
