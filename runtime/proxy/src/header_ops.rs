//! Header operations on hyper's header maps (semantics C31 to C38).

use http::{HeaderMap, HeaderName, HeaderValue};
use malha_table::{
    http::{Template, is_inline},
    view::{HeaderOperation, HeaderOps},
};

/// The operations of a route and of the destination drawn, on a message's headers (C31 to C35). `expand` gives the
/// values of variables, for the headers as they are then.
///
/// A single destination's operations are part of the route's own run. Of several, the destination's run comes first, so
/// that the route has the last word.
pub(crate) fn change(
    headers: &mut HeaderMap,
    route: &HeaderOps<'_>,
    destination: Option<&HeaderOps<'_>>,
    is_only: bool,
    expand: impl Fn(&Template, &HeaderMap) -> String,
) {
    if route.is_empty() && destination.is_none_or(HeaderOps::is_empty) {
        return;
    }
    match destination {
        Some(destination) if is_only => run(headers, &[route, destination], expand),
        Some(destination) => {
            run(headers, &[destination], &expand);
            run(headers, &[route], expand);
        }
        None => run(headers, &[route], expand),
    }
}

/// One run: every removal; then the values, computed before any of them is written; then every `set`, then every `add`.
/// An entry whose value comes out empty does nothing (C37).
fn run(headers: &mut HeaderMap, levels: &[&HeaderOps<'_>], expand: impl Fn(&Template, &HeaderMap) -> String) {
    for name in levels.iter().flat_map(|level| level.remove()) {
        Changeable(headers).remove(name);
    }
    let value = |operation: HeaderOperation<'_>| match operation.template() {
        Some(template) => expand(template, headers),
        None => operation.text().to_owned(),
    };
    let set: Vec<_> = levels.iter().flat_map(|level| level.set()).map(|set| (set.name(), value(set))).collect();
    let add: Vec<_> = levels.iter().flat_map(|level| level.add()).map(|add| (add.name(), value(add))).collect();
    for (name, value) in set.iter().filter(|(_, value)| !value.is_empty()) {
        Changeable(headers).set(name, value);
    }
    for (name, value) in add.iter().filter(|(_, value)| !value.is_empty()) {
        Changeable(headers).append(name, value);
    }
}

/// A header map as operations may change it.
///
/// `host` is not touched (its change is an authority rewrite, C16), and neither is what frames a message or belongs to
/// its connection: whatever a file says, one message goes out with one length.
struct Changeable<'h>(&'h mut HeaderMap);

impl Changeable<'_> {
    fn remove(&mut self, name: &str) {
        if let Some(name) = changeable(name) {
            self.0.remove(name);
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        if let (Some(name), Ok(value)) = (changeable(name), HeaderValue::from_bytes(value.as_bytes())) {
            self.0.insert(name, value);
        }
    }

    fn append(&mut self, name: &str, value: &str) {
        if let (Some(name), Ok(value)) = (changeable(name), HeaderValue::from_bytes(value.as_bytes())) {
            append(self.0, name, value);
        }
    }
}

/// Adds a line, or joins it to the line there is where Envoy keeps only one.
fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if is_inline(name.as_str())
        && let Some(old) = headers.get(&name)
        && let Ok(joined) = HeaderValue::from_bytes(&[old.as_bytes(), b",", value.as_bytes()].concat())
    {
        headers.insert(name, joined);
        return;
    }
    headers.append(name, value);
}

fn changeable(name: &str) -> Option<HeaderName> {
    let name = HeaderName::try_from(name).ok()?;
    let fixed = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];
    (!fixed.contains(&name.as_str())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_and_host_are_not_touched() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("a"));
        headers.insert("content-length", HeaderValue::from_static("0"));
        let before = headers.clone();
        let mut changeable = Changeable(&mut headers);
        for name in ["host", "Host", "content-length", "transfer-encoding", ":path", "connection", "a b"] {
            changeable.remove(name);
            changeable.set(name, "5");
            changeable.append(name, "6");
        }
        changeable.set("x", "line\r\nbreak: 1");
        assert_eq!(headers, before);
    }

    #[test]
    fn inline_headers_stay_one_line() {
        let mut headers = HeaderMap::new();
        let mut changeable = Changeable(&mut headers);
        for name in ["user-agent", "x-own"] {
            changeable.append(name, "a");
            changeable.append(name, "b");
        }
        assert_eq!(headers["user-agent"], "a,b");
        assert_eq!(headers.get_all("x-own").iter().count(), 2);
    }
}
