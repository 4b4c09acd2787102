//! Header operations on hyper's header maps (semantics C31 to C38).

use crate::variables::Facts;
use http::{HeaderMap, HeaderName, HeaderValue};
use malha_table::{
    http::{HeaderLines, HeaderOperations, is_inline},
    view::{HeaderOperation, HeaderOps, Views},
};
use std::borrow::Cow;

/// The operations of one level with their values, which are computed before anything changes; those that come out empty
/// are left out (C37).
pub(crate) fn evaluate<'t>(operations: &HeaderOps<'t>, facts: &Facts<'_>) -> HeaderOperations<'t> {
    let values = |operations: Views<'t, HeaderOperation<'t>>| {
        let value = |operation: &HeaderOperation<'t>| match operation.template() {
            Some(template) => Cow::Owned(template.evaluate(facts)),
            None => Cow::Borrowed(operation.text()),
        };
        let pairs = operations.map(|operation| (operation.name(), value(&operation)));
        pairs.filter(|(_, value)| !value.is_empty()).collect()
    };
    HeaderOperations {
        set: values(operations.set()),
        add: values(operations.add()),
        remove: operations.remove().collect(),
    }
}

/// A header map as operations may change it.
///
/// `host` is not touched (its change is an authority rewrite, C16), and neither is what frames a message or belongs to
/// its connection: whatever a file says, one message goes out with one length.
pub(crate) struct Changeable<'h>(pub(crate) &'h mut HeaderMap);

impl HeaderLines for Changeable<'_> {
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
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
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
