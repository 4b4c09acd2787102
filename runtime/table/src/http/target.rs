//! The request line: which methods Envoy's codec knows, and what a request target may be.

use super::BadRequest;
use std::borrow::Cow;

/// Every method that Envoy's HTTP/1 codec takes; others, and lower-case ones, end with 400.
pub const METHODS: [&str; 34] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// Whether the codec takes the method.
pub fn method_is_known(method: &str) -> bool {
    // Nearly all are one of these.
    matches!(method, "GET" | "POST") || METHODS.binary_search(&method).is_ok()
}

/// What a request target says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A path with query, as sent; not normalised.
    Path(&'a str),
    /// An absolute URL: its authority wins over the Host header, its path is what is routed (semantics B10).
    Absolute {
        /// `http` or `https`, in lower case.
        scheme: &'static str,
        /// Host, perhaps with a port.
        authority: &'a str,
        /// Path with query, `/` if there is none.
        path: Cow<'a, str>,
    },
    /// `*` of OPTIONS: no route takes it (semantics B10).
    Asterisk,
    /// The authority of CONNECT: no route takes it (semantics B10).
    Authority(&'a str),
}

/// Reads a request target as Envoy's codec does.
pub fn read_target<'a>(method: &str, target: &'a str) -> Result<Target<'a>, BadRequest> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.is_empty() {
        return Err(BadRequest::TARGET);
    }
    if method == "CONNECT" {
        return Ok(Target::Authority(target));
    }
    if target.starts_with('/') {
        return Ok(Target::Path(target));
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(Target::Asterisk);
    }
    let (scheme, rest) = target.split_once("://").ok_or(BadRequest::TARGET)?;
    let scheme = ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
    let scheme = scheme.ok_or(BadRequest::TARGET)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.is_empty() {
        return Err(BadRequest::TARGET);
    }
    let path = if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) };
    Ok(Target::Absolute { scheme, authority, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_sorted_and_known_by_case() {
        assert!(METHODS.is_sorted());
        assert!(["GET", "PROPFIND", "TRACE", "UNLINK", "UNSUBSCRIBE"].into_iter().all(method_is_known));
        assert!(!["get", "FOO", ""].into_iter().any(method_is_known));
    }

    #[test]
    fn recorded_targets() {
        let absolute = |scheme, authority, path| Target::Absolute { scheme, authority, path: Cow::Borrowed(path) };
        for (method, target, seen) in [
            ("GET", "/a?b", Ok(Target::Path("/a?b"))),
            ("OPTIONS", "*", Ok(Target::Asterisk)),
            ("GET", "*", Err(BadRequest::TARGET)),
            ("GET", "http://x.com/abs?q", Ok(absolute("http", "x.com", "/abs?q"))),
            ("GET", "HTTPS://x.com", Ok(absolute("https", "x.com", "/"))),
            ("GET", "http://x.com?q", Ok(absolute("http", "x.com", "/?q"))),
            ("GET", "ftp://x.com/", Err(BadRequest::TARGET)),
            ("GET", "http:///a", Err(BadRequest::TARGET)),
            ("CONNECT", "x.com:443", Ok(Target::Authority("x.com:443"))),
            ("GET", "noslash", Err(BadRequest::TARGET)),
            ("GET", "?q=1", Err(BadRequest::TARGET)),
            ("GET", "\\a", Err(BadRequest::TARGET)),
            ("GET", "/z\u{e9}", Err(BadRequest::TARGET)),
            ("GET", "/a b", Err(BadRequest::TARGET)),
            ("GET", "", Err(BadRequest::TARGET)),
        ] {
            assert_eq!(read_target(method, target), seen, "{method} {target}");
        }
    }
}
