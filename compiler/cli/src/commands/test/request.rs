//! Requests as tests write them: the JSON form, a URL, or both.

use super::{
    case::Entry,
    shape::{Reader, Shape},
};
use crate::{commands::route::parse_url, failure::Failure};
use malha_syntax::{Node, NodeKind};
use malha_table::{Lines, Request};
use serde_json::Value;
use std::fmt::Write as _;

/// The keys of a request: those of the JSON contract, and `url`.
const KEYS: &[(&str, Shape)] = &[
    ("url", Shape::Text),
    ("via", Shape::Text),
    ("proxy", Shape::Object(&[("namespace", Shape::Text), ("labels", Shape::Entries(&Shape::Text))])),
    ("port", Shape::Integer),
    (
        "tls",
        Shape::OrNull(&Shape::Object(&[("sni", Shape::OrNull(&Shape::Text)), ("alpn", Shape::List(&Shape::Text))])),
    ),
    ("source", Shape::Object(&[("ip", Shape::Text)])),
    ("destination", Shape::Object(&[("ip", Shape::Text)])),
    ("protocol", Shape::Choice(&["http", "tls", "tcp"])),
    ("method", Shape::Text),
    ("scheme", Shape::Text),
    ("authority", Shape::Text),
    ("path", Shape::Text),
    ("headers", Shape::Entries(&Shape::Some(&Shape::Text))),
    ("draw", Shape::Integer),
];

/// The request that a node describes.
pub(super) fn request(node: Node<'_>, reader: &mut Reader) -> Option<(Request, Entry)> {
    if node.kind() == NodeKind::Scalar && !node.is_null() {
        return Some((url(node, node.text(), reader)?, Entry::Url));
    }
    let mut said = reader.object(node, KEYS, "a request")?;
    let url = match (said.shift_remove("url"), node.get("url")) {
        (Some(Value::String(text)), Some(place)) => Some(url(place, &text, reader)?),
        _ => None,
    };
    let entry = if url.is_some() && !said.contains_key("via") { Entry::Url } else { Entry::Said };
    // What is said beside the URL has the last word.
    let mut whole = url.and_then(|url| serde_json::to_value(url).ok()).unwrap_or_else(|| Value::Object(said.clone()));
    if let Value::Object(whole) = &mut whole {
        whole.extend(said);
    }
    match serde_json::from_value(whole) {
        Ok(request) => Some((tidy(request), entry)),
        Err(error) => {
            reader.report(node, format!("this is no request: {error}"), None);
            None
        }
    }
}

/// Reads `GET http://shop.example.com/login?x=1`; the method may be left out.
///
/// # Errors
/// The URL is not understood.
pub(super) fn from_url(text: &str) -> Result<Request, Failure> {
    let (method, url) = match text.trim().split_once(char::is_whitespace) {
        Some((method, url)) => (Some(method.to_owned()), url.trim_start()),
        None => (None, text.trim()),
    };
    Ok(Request { method, ..parse_url(url)? })
}

fn url(node: Node<'_>, text: &str, reader: &mut Reader) -> Option<Request> {
    match from_url(text) {
        Ok(request) => Some(request),
        Err(failure) => {
            let help = "write it as `GET http://shop.example.com/login`".to_owned();
            reader.report(node, failure.message(), Some(help));
            None
        }
    }
}

/// Names of headers have no case, and a `Host` among them is the authority.
pub(super) fn tidy(mut request: Request) -> Request {
    let headers = std::mem::take(&mut request.headers);
    for (name, lines) in headers {
        let name = name.to_ascii_lowercase();
        // A list of one is the one line: so it is written back.
        let lines = match lines {
            Lines::Many(mut all) if all.len() == 1 => all.pop().map_or(Lines::Many(all), Lines::One),
            lines => lines,
        };
        if name == "host" {
            request.authority = lines.iter().next().map(str::to_owned);
        } else {
            request.headers.insert(name, lines);
        }
    }
    request
}

/// A request in one line.
pub(super) fn describe(request: &Request) -> String {
    let secure = request.tls.is_some() || request.scheme.as_deref() == Some("https");
    let scheme = request.scheme.as_deref().unwrap_or(if secure { "https" } else { "http" });
    let authority = request.authority.as_deref().unwrap_or_default();
    let port = request.port.map(|port| format!(" to port {port}")).unwrap_or_default();
    let mut text = match request.protocol.unwrap_or_default() {
        malha_table::Protocol::Http => {
            let method = request.method.as_deref().unwrap_or("GET");
            format!("{method} {scheme}://{authority}{}", request.path.as_deref().unwrap_or("/"))
        }
        malha_table::Protocol::Tls => {
            let name = request.tls.as_ref().and_then(|tls| tls.sni.as_deref()).unwrap_or("no server name");
            format!("TLS for {name}{port}")
        }
        malha_table::Protocol::Tcp => format!("bytes{port}"),
    };
    for (name, lines) in &request.headers {
        for line in lines.iter() {
            let _ = write!(text, ", {name}: {line}");
        }
    }
    if let Some(draw) = request.draw {
        let _ = write!(text, ", draw {draw}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::{Document, SourceId, read};

    fn reading(text: &str) -> Result<(Request, Entry), String> {
        let documents = read(SourceId(0), text).documents;
        let mut reader = Reader::default();
        let node = documents.first().and_then(Document::root).expect("a document");
        request(node, &mut reader)
            .ok_or_else(|| reader.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn a_url_is_a_request() {
        let (request, entry) = reading("POST https://shop.example:8443/login?x=1").expect("it is one");
        assert_eq!((request.method.as_deref(), request.port, entry), (Some("POST"), Some(8443), Entry::Url));
        assert_eq!(request.path.as_deref(), Some("/login?x=1"));
        assert_eq!(request.tls.as_ref().and_then(|tls| tls.sni.as_deref()), Some("shop.example"));
        assert_eq!(describe(&request), "POST https://shop.example:8443/login?x=1");
        assert_eq!(reading("shop.example/").map(|(request, _)| request.method), Ok(None));
        assert!(reading("GET ftp://shop.example/").is_err_and(|told| told.contains("`ftp` is not a scheme")));
    }

    #[test]
    fn what_is_said_beside_the_url_has_the_last_word() {
        let text =
            "{url: 'http://shop.example/', via: mesh, port: 8000, headers: {Host: cart, X-User: [a, b]}, draw: 1}";
        let (request, entry) = reading(text).expect("it is one");
        assert_eq!((request.port, entry, request.authority.as_deref()), (Some(8000), Entry::Said, Some("cart")));
        assert_eq!(describe(&request), "GET http://cart/, x-user: a, x-user: b, draw 1");
        assert!(reading("{url: [a]}").is_err());
        assert_eq!(reading("{pth: /}").unwrap_err(), "`pth` is not a key of a request");
    }
}
