//! Which rule takes a request, asked of the running table.

use crate::proxy::Handle;
use malha_table::{Lines, Protocol, Request, Tls};
use serde_json::Value;

/// The running table's decision, or why there is none.
pub(super) fn decide(handle: &Handle, request: &Request) -> Result<Value, String> {
    let shared = handle.shared();
    let decision = shared.running().table.decide(request, shared.seed).map_err(|error| error.to_string())?;
    serde_json::to_value(decision).map_err(|error| error.to_string())
}

/// The request that `url=...&method=...&via=...&header=name:value` asks about.
pub(super) fn from_query(query: &str) -> Result<Request, String> {
    let mut request = Request::default();
    let mut has_url = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value).ok_or_else(|| format!("`{value}` is not percent-encoded UTF-8"))?;
        match key {
            "url" => {
                set_url(&mut request, &value)?;
                has_url = true;
            }
            "method" => request.method = Some(value),
            "via" => request.via = Some(value),
            "header" => {
                let (name, line) =
                    value.split_once(':').ok_or_else(|| format!("`{value}` is no header: write NAME:VALUE"))?;
                add_line(&mut request, name, line.trim());
            }
            _ => return Err(format!("`{key}` is not a parameter; url, method, via and header are")),
        }
    }
    if has_url { Ok(request) } else { Err("there is no url; ask for /route?url=http://host/path".to_owned()) }
}

fn set_url(request: &mut Request, url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("`{url}` is no URL: it begins with http://"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let port = malha_table::http::port_start(authority).and_then(|colon| authority[colon + 1..].parse().ok());
    let is_tls = match scheme {
        "http" => false,
        "https" => true,
        _ => return Err(format!("`{scheme}` is not a scheme that is routed; http and https are")),
    };
    request.port = Some(port.unwrap_or(if is_tls { 443 } else { 80 }));
    request.authority = Some(authority.to_owned());
    request.path = Some(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") });
    request.protocol = Some(Protocol::Http);
    if is_tls {
        let host = malha_table::http::host_key(authority).into_owned();
        request.tls = Some(Tls { sni: Some(host), alpn: Vec::new() });
    }
    Ok(())
}

fn add_line(request: &mut Request, name: &str, line: &str) {
    let lines = request.headers.entry(name.to_ascii_lowercase()).or_insert(Lines::Many(Vec::new()));
    match lines {
        Lines::Many(lines) => lines.push(line.to_owned()),
        Lines::One(first) => *lines = Lines::Many(vec![std::mem::take(first), line.to_owned()]),
    }
}

/// Percent-decodes a query value; `+` is a space.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_a_request() {
        let request = from_query("url=http%3A%2F%2Fx.com:8080/a%3Fb%3D1&method=POST&header=k:v&header=k:%20w").unwrap();
        assert_eq!(request.port, Some(8080));
        assert_eq!(request.authority.as_deref(), Some("x.com:8080"));
        assert_eq!(request.path.as_deref(), Some("/a?b=1"));
        assert_eq!(request.method.as_deref(), Some("POST"));
        assert_eq!(request.headers["k"], Lines::Many(vec!["v".into(), "w".into()]));
        let request = from_query("url=https://x.com?q").unwrap();
        assert_eq!((request.port, request.path.as_deref()), (Some(443), Some("/?q")));
        assert_eq!(request.tls.unwrap().sni.as_deref(), Some("x.com"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (query, word) in [
            ("", "no url"),
            ("url=x.com", "no URL"),
            ("url=ftp://x", "`ftp`"),
            ("url=http://x&header=a", "no header"),
            ("url=%zz", "percent"),
            ("color=red", "`color`"),
        ] {
            let error = from_query(query).unwrap_err();
            assert!(error.contains(word), "{query}: {error}");
        }
    }
}
