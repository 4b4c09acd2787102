//! What `%COMMANDS%` in lines of the access log can speak of (semantics C85).

use crate::{
    access_log::{Entry, NO_DETAILS, text},
    line_format::{Name, Wanted},
    text_line::version,
    time, time_format,
};
use http::HeaderMap;
use malha_table::http::Variables;
use std::{
    borrow::Cow,
    collections::BTreeSet,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, SystemTime},
};

/// What is kept of a request's messages, where the format of lines asks for any of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Path with its query and authority, as they were last, and the scheme.
    pub(crate) target: Option<Target>,
    /// Of the headers, those that are asked for: as they went upstream, where they did.
    request: HeaderMap,
    response: HeaderMap,
    trailers: HeaderMap,
    /// From the request's head until the client had sent all of it.
    pub(crate) request_time: Option<Duration>,
    /// From the request's head until that of the upstream's answer.
    pub(crate) response_time: Option<Duration>,
    /// Tries.
    pub(crate) attempts: u32,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: Rc<str>,
    pub(crate) authority: Rc<str>,
    pub(crate) scheme: &'static str,
}

impl Kept {
    pub(crate) fn request(&mut self, wanted: &Wanted, headers: &HeaderMap) {
        self.request = those(&wanted.request, headers);
    }

    pub(crate) fn response(&mut self, wanted: &Wanted, headers: &HeaderMap) {
        self.response = those(&wanted.response, headers);
    }

    pub(crate) fn trailers(&mut self, wanted: &Wanted, headers: &HeaderMap) {
        self.trailers = those(&wanted.trailers, headers);
    }
}

/// The first lines of these headers, which are all that is told of them.
fn those(wanted: &BTreeSet<Name>, headers: &HeaderMap) -> HeaderMap {
    wanted.iter().filter_map(|Name(name)| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

/// One entry, as formats ask for it.
pub(crate) struct Logged<'e>(pub(crate) &'e Entry);

/// Commands that there is an answer to, sorted. To some it is always that there is nothing to say.
const TOLD: [&str; 38] = [
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DURATION",
    "EMIT_TIME",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "START_TIME",
    "STREAM_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_HOST",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
];

impl Logged<'_> {
    /// Whether there is an answer to a command.
    pub(crate) fn tells(command: &str) -> bool {
        TOLD.binary_search(&command).is_ok()
    }

    fn kept(&self) -> Option<&Kept> {
        self.0.kept.as_deref()
    }

    /// What a command says of an end of a connection; the rest of its name says which part.
    fn end(part: &str, end: Option<SocketAddr>) -> Option<Cow<'static, str>> {
        let end = end?;
        let text = match part {
            "ADDRESS" => end.to_string(),
            "ADDRESS_WITHOUT_PORT" => end.ip().to_string(),
            "PORT" => end.port().to_string(),
            _ => return None,
        };
        Some(Cow::Owned(text))
    }
}

fn milliseconds(time: Duration) -> Cow<'static, str> {
    Cow::Owned(time.as_millis().to_string())
}

/// A time in the format of a command's argument; without one, as Envoy writes it.
pub(crate) fn moment(time: SystemTime, format: Option<&str>) -> String {
    match format.filter(|format| !format.is_empty()) {
        Some(format) => time_format::formatted(time, format),
        None => time::Iso(time).to_string(),
    }
}

impl Variables for Logged<'_> {
    fn request_header(&self, name: &str) -> Option<Cow<'_, str>> {
        let entry = self.0;
        let kept = self.kept();
        let target = kept.and_then(|kept| kept.target.as_ref());
        Some(match name {
            ":method" => Cow::Borrowed(entry.method.as_ref()?.as_str()),
            ":path" => Cow::Borrowed(target.map(|target| &target.path).or(entry.path.as_ref())?),
            ":authority" | "host" => {
                Cow::Borrowed(target.map(|target| &target.authority).or(entry.authority.as_ref())?)
            }
            ":scheme" => Cow::Borrowed(target?.scheme),
            _ => text(kept?.request.get(name)?),
        })
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        if name == ":status" {
            return Some(self.0.code).filter(|code| *code != 0).map(|code| Cow::Owned(code.to_string()));
        }
        Some(text(self.kept()?.response.get(name)?))
    }

    fn response_trailer(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(text(self.kept()?.trailers.get(name)?))
    }

    fn command(&self, name: &str, argument: Option<&str>) -> Option<Cow<'_, str>> {
        let entry = self.0;
        let (client, upstream) = (&entry.client, entry.upstream.as_deref());
        let ends = [
            ("DOWNSTREAM_DIRECT_LOCAL_", Some(client.local)),
            ("DOWNSTREAM_DIRECT_REMOTE_", Some(client.direct)),
            ("DOWNSTREAM_LOCAL_", Some(client.destination())),
            ("DOWNSTREAM_REMOTE_", Some(entry.remote())),
            ("UPSTREAM_LOCAL_", upstream.and_then(|ends| ends.local)),
            ("UPSTREAM_REMOTE_", upstream.and_then(|ends| ends.peer)),
        ];
        if let Some((part, end)) = ends.iter().find_map(|(whose, end)| Some((name.strip_prefix(whose)?, *end))) {
            return Self::end(part, end);
        }
        let kept = self.kept();
        let text = match name {
            "START_TIME" => moment(entry.start, argument),
            "EMIT_TIME" => moment(SystemTime::now(), argument),
            "PROTOCOL" => return entry.version.map(|known| Cow::Borrowed(version(known))),
            "RESPONSE_CODE" => entry.code.to_string(),
            "RESPONSE_CODE_DETAILS" => {
                return Some(entry.details).filter(|details| *details != NO_DETAILS).map(Cow::Borrowed);
            }
            "RESPONSE_FLAGS" => entry.flags.to_string(),
            "BYTES_RECEIVED" => entry.received.to_string(),
            "BYTES_SENT" => entry.sent.to_string(),
            "DURATION" => return Some(milliseconds(entry.duration)),
            "REQUEST_DURATION" => return kept?.request_time.map(milliseconds),
            "RESPONSE_DURATION" => return kept?.response_time.map(milliseconds),
            "RESPONSE_TX_DURATION" => {
                return kept?.response_time.map(|time| milliseconds(entry.duration.saturating_sub(time)));
            }
            "UPSTREAM_REQUEST_ATTEMPT_COUNT" => kept?.attempts.to_string(),
            "UPSTREAM_HOST" => upstream?.peer?.to_string(),
            "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => return entry.cluster.as_deref().map(Cow::Borrowed),
            "UPSTREAM_TRANSPORT_FAILURE_REASON" => return entry.transport_failure.as_deref().map(Cow::Borrowed),
            "ROUTE_NAME" => return entry.route_name.as_deref().map(Cow::Borrowed),
            "REQUESTED_SERVER_NAME" => return entry.server_name().map(Cow::Borrowed),
            "STREAM_ID" => return entry.request_id.as_ref().map(self::text),
            _ => return None,
        };
        Some(Cow::Owned(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted() {
        assert!(TOLD.is_sorted());
    }
}
