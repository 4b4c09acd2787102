//! Which headers of a client survive, and how (semantics B13, C.11).

/// Headers that Envoy keeps as one line: several are joined by `,` when they are parsed, matched and forwarded so.
///
/// Cookie is not among them on HTTP/1. Sorted.
pub const INLINE_HEADERS: [&str; 26] = [
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "referer",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// Headers that only requests from inside may carry, so that no client's reaches matching or an upstream. Sorted.
pub const INTERNAL_HEADERS: [&str; 24] = [
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
];

/// Stands for the request id that a proxy makes up, where none is made up: when a decision is asked for.
pub const PLACEHOLDER_REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// The one value of `te` that reaches matching and upstreams.
pub const TE_TRAILERS: &str = "trailers";

/// Whether several lines of the header (in lower case) are joined.
pub fn is_inline(name: &str) -> bool {
    INLINE_HEADERS.binary_search(&name).is_ok()
}

/// Whether the header (in lower case) is taken from clients.
pub fn is_internal(name: &str) -> bool {
    name.starts_with("x-") && INTERNAL_HEADERS.binary_search(&name).is_ok()
}

/// The header names and options that a Connection header lists, in lower case.
pub fn connection_tokens(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(|token| token.trim_matches([' ', '\t']).to_ascii_lowercase()).filter(|token| !token.is_empty())
}

/// Whether a line of the `te` header asks for trailers. That is all that is kept of the header, as [`TE_TRAILERS`].
pub fn asks_for_trailers(te: &[u8]) -> bool {
    te.split(|byte| *byte == b',').any(|token| token.trim_ascii() == TE_TRAILERS.as_bytes())
}

/// Whether a Connection header may name this header; a request that names another such is refused with 400.
pub fn is_nominable(name: &str) -> bool {
    !name.starts_with(':') && !matches!(name, "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto")
}

/// Whether a Connection header of these tokens asks for the protocol that the Upgrade header names (semantics A65). HTTP/2
/// is not had so: Envoy passes over `h2c`.
pub fn asks_for_upgrade(connection: &[String], upgrade: &[u8]) -> bool {
    connection.iter().any(|token| token == "upgrade") && !upgrade.eq_ignore_ascii_case(b"h2c")
}

/// Whether a proxy changes to a protocol (semantics A65).
pub fn upgrade_is_allowed(upgrade: &[u8]) -> bool {
    upgrade.eq_ignore_ascii_case(b"websocket")
}

/// Appends a line to an inline header: by `,`, except that empty parts leave no trace.
pub fn join_lines(joined: &mut Vec<u8>, line: &[u8]) {
    if !joined.is_empty() && !line.is_empty() {
        joined.push(b',');
    }
    joined.extend_from_slice(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(INLINE_HEADERS.is_sorted() && INTERNAL_HEADERS.is_sorted());
    }

    #[test]
    fn trailers_are_asked_for_by_a_token() {
        for (te, asks) in [("trailers", true), ("gzip;q=0.5,\ttrailers ", true), ("trailers;q=1", false), ("", false)] {
            assert_eq!(asks_for_trailers(te.as_bytes()), asks, "{te}");
        }
    }
}
