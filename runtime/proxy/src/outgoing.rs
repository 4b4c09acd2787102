//! A request as it goes upstream: what its tries send, and what response operations can refer to.

use crate::hygiene;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LENGTH, EXPECT, HOST},
};
use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
};

/// A request as it goes upstream. Its first try sends the headers themselves; what may be needed later are their lines,
/// which take less to keep than a copy of the map, and for most requests nobody asks for them.
pub(crate) struct Outgoing<'e> {
    pub(crate) authority: Cow<'e, str>,
    /// With its query.
    pub(crate) path: Cow<'e, str>,
    /// Until a try has them.
    headers: Cell<Option<HeaderMap>>,
    /// All of them, in order.
    lines: Vec<(HeaderName, HeaderValue)>,
    /// Whether they say how the client framed its body, or that it waits to send it.
    has_framing: bool,
    /// The headers again, once somebody asks.
    again: OnceCell<HeaderMap>,
}

impl<'e> Outgoing<'e> {
    /// With the one Host that the upstream sees: the client's line, where it says the same.
    pub(crate) fn new(
        authority: Cow<'e, str>,
        path: Cow<'e, str>,
        mut headers: HeaderMap,
        line: Option<&HeaderValue>,
    ) -> Self {
        let same = line.filter(|line| line.as_bytes() == authority.as_bytes()).cloned();
        if let Some(host) = same.or_else(|| HeaderValue::from_str(&authority).ok()) {
            headers.insert(HOST, host);
        }
        let mut lines = Vec::with_capacity(headers.len());
        let mut has_framing = false;
        for (name, value) in &headers {
            has_framing |= matches!(*name, CONTENT_LENGTH | EXPECT);
            lines.push((name.clone(), value.clone()));
        }
        Outgoing { authority, path, headers: Cell::new(Some(headers)), lines, has_framing, again: OnceCell::new() }
    }

    /// Whether its path is another than the request's: that one is borrowed, what is made of it is owned.
    pub(crate) fn is_rewritten(&self) -> bool {
        matches!(self.path, Cow::Owned(_))
    }

    /// With the Host.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.again.get_or_init(|| self.collected())
    }

    /// For a message, without what is said of the client's body.
    pub(crate) fn for_message(&self) -> HeaderMap {
        let mut headers = self.headers.take().unwrap_or_else(|| self.collected());
        if self.has_framing {
            hygiene::drop_framing(&mut headers);
        }
        headers
    }

    fn collected(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.lines.len());
        for (name, value) in &self.lines {
            headers.append(name, value.clone());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_the_same_headers() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("a", "1"), ("content-length", "3"), ("b", "2"), ("a", "3"), ("expect", "100-continue")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let host = HeaderValue::from_static("x.com");
        let outgoing = Outgoing::new("x.com".into(), "/".into(), headers.clone(), Some(&host));
        headers.insert(HOST, host.clone());
        assert_eq!(*outgoing.headers(), headers);
        hygiene::drop_framing(&mut headers);
        for _ in 0..3 {
            assert_eq!(outgoing.for_message(), headers);
        }
        let other = Outgoing::new("y.com".into(), "/".into(), HeaderMap::new(), Some(&host));
        assert_eq!(other.headers()[HOST], "y.com");
    }
}
