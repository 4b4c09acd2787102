//! The trace of one request while it is under way: its own span, and one for each try.

use super::{
    context::Context,
    span::{Attributes, Kind, Span},
};
use crate::{
    access_log::{Entry, text},
    random::Random,
    retry::Failure,
    text_line::version,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::{cell::RefCell, net::SocketAddr, sync::Arc, time::SystemTime};

/// One request's trace.
#[derive(Debug)]
pub(crate) struct RequestTrace {
    context: Context,
    /// Its own span.
    id: u64,
    pub(crate) is_sampled: bool,
    scheme: &'static str,
    /// Where the identifiers of tries come from.
    random: Random,
    tries: RefCell<Vec<Try>>,
}

/// A try.
#[derive(Debug)]
struct Try {
    id: u64,
    cluster: Arc<str>,
    upstream: Option<SocketAddr>,
    start: SystemTime,
    /// When it was known what it came to.
    known: Option<SystemTime>,
    /// 0 where there was no answer.
    code: u16,
}

impl RequestTrace {
    /// As the request's headers say; so many in a million are sampled where they leave it open.
    pub(super) fn new(headers: &HeaderMap, per_million: u32, scheme: &'static str, random: &Random) -> Self {
        let context = Context::of(headers, random);
        // By the trace, so that whoever else goes by it decides alike.
        let drawn = (context.trace % 1_000_000) < u128::from(per_million);
        // Of its own, so that its tries are named alike whatever other requests draw meanwhile.
        let random = Random::new(random.next(), 0);
        RequestTrace {
            is_sampled: context.sampled.unwrap_or(drawn),
            id: random.next().max(1),
            context,
            scheme,
            random,
            tries: RefCell::default(),
        }
    }

    /// A try begins.
    pub(crate) fn begin_try(&self, cluster: &Arc<str>) {
        let (id, cluster) = (self.random.next().max(1), Arc::clone(cluster));
        let one = Try { id, cluster, upstream: None, start: SystemTime::now(), known: None, code: 0 };
        let mut tries = self.tries.borrow_mut();
        if !self.is_sampled {
            // Nobody is told of it.
            tries.clear();
        }
        tries.push(one);
    }

    /// What the try at hand came to.
    pub(crate) fn end_try(&self, upstream: Option<SocketAddr>, outcome: Result<StatusCode, Failure>) {
        if let Some(one) = self.tries.borrow_mut().last_mut() {
            one.upstream = upstream;
            one.known = Some(SystemTime::now());
            one.code = outcome.map_or(0, |status| status.as_u16());
        }
    }

    /// Tells the upstream of the try at hand.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let id = self.tries.borrow().last().map_or(self.id, |one| one.id);
        self.context.write(headers, id, self.id, self.is_sampled);
    }

    /// Tells whoever gets a copy.
    pub(crate) fn write_to_copy(&self, headers: &mut HeaderMap) {
        self.context.write(headers, self.id, self.context.parent.unwrap_or(self.id), self.is_sampled);
    }

    /// The spans of a request that has ended.
    pub(super) fn spans(&self, entry: &Entry, end: SystemTime) -> Vec<Span> {
        let tries = self.tries.take();
        let last = tries.len().saturating_sub(1);
        let mut spans = vec![self.server_span(entry, end)];
        spans.extend(tries.into_iter().enumerate().map(|(index, one)| {
            let is_last = index == last;
            let mut attributes = Attributes::default();
            attributes.add("component", "proxy");
            attributes.add("upstream_cluster", &*one.cluster);
            attributes.add("upstream_cluster.name", &*one.cluster);
            attributes.add_some("upstream_address", one.upstream);
            attributes.add_some("peer.address", one.upstream);
            attributes.add_some("http.method", entry.method.as_ref().map(|method| cut(method.as_str())));
            if one.code != 0 {
                attributes.add("http.status_code", one.code);
            }
            if index > 0 {
                attributes.add("retry.count", index);
            }
            if is_last {
                attributes.add("response_flags", entry.flags);
            }
            let is_error = one.code == 0 || one.code >= 400;
            if is_error {
                attributes.add("error", "true");
            }
            Span {
                trace: self.context.trace,
                id: one.id,
                parent: Some(self.id),
                name: format!("router {} egress", one.cluster),
                kind: Kind::Client,
                start: one.start,
                // The last goes on until its answer has been passed on, unless there was none.
                end: one.known.filter(|_| !is_last || one.code == 0).unwrap_or(end).max(one.start),
                attributes,
                is_error,
            }
        }));
        spans
    }

    fn server_span(&self, entry: &Entry, end: SystemTime) -> Span {
        let mut attributes = Attributes::default();
        let authority = cut(entry.authority.as_deref().unwrap_or_default());
        let path = cut(entry.path.as_deref().unwrap_or_default());
        let header = |value: &Option<HeaderValue>| value.as_ref().map(|value| cut(&text(value)).to_owned());
        attributes.add("component", "proxy");
        attributes.add_some("http.method", entry.method.as_ref().map(|method| cut(method.as_str())));
        attributes.add("http.url", format_args!("{}://{authority}{path}", self.scheme));
        attributes.add_some("http.protocol", entry.version.map(version));
        attributes.add("http.status_code", entry.code);
        attributes.add_some("guid:x-request-id", header(&entry.request_id));
        attributes.add_some("user_agent", header(&entry.user_agent));
        attributes.add("peer.address", entry.client.direct.ip());
        attributes.add("request_size", entry.received);
        attributes.add("response_size", entry.sent);
        attributes.add("response_flags", entry.flags);
        attributes.add_some("upstream_cluster", entry.cluster.as_deref());
        attributes.add_some("upstream_cluster.name", entry.cluster.as_deref());
        attributes.add_some("malha.rule", entry.rule.as_deref());
        let is_error = entry.code == 0 || entry.code >= 500;
        if is_error {
            attributes.add("error", "true");
        }
        Span {
            trace: self.context.trace,
            id: self.id,
            parent: self.context.parent,
            name: entry.cluster.as_deref().map_or_else(|| "egress".to_owned(), operation),
            kind: Kind::Server,
            start: entry.start,
            end,
            attributes,
            is_error,
        }
    }
}

/// Bytes that a span keeps of each text of a client's, as Envoy does of paths (`max_path_tag_length`): spans wait while
/// their collector is away, and a client must not say how much memory that takes.
const KEPT: usize = 256;

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(KEPT)]
}

/// What Istio calls a request to a cluster: `host:port/*`.
fn operation(cluster: &str) -> String {
    let parts: Vec<&str> = cluster.split('|').collect();
    match parts[..] {
        [_, port, _, host] => format!("{host}:{port}/*"),
        _ => cluster.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let (short, long) = ("é".repeat(128), "x".to_owned() + &"é".repeat(200));
        assert_eq!(cut(&short), short);
        assert_eq!(cut(&long), "x".to_owned() + &"é".repeat(127));
    }
}
