//! What goes back to the client: an answer of the proxy's own, an upstream's, or a change of protocol.

use crate::{
    body::Deadline,
    cluster::ClusterState,
    flags::Flags,
    forward::Answered,
    local_reply::{GRPC_STATUS, LocalReply},
    outlier::Outcome,
    pool::Connection,
    record::Record,
    reply::{End, Ending, Expiry, Reply},
    upgrade,
    upstream::{self, InFlight},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_TYPE, LOCATION, SERVER},
};
use hyper::upgrade::OnUpgrade;
use malha_table::Role;
use std::{cell::Cell, rc::Rc, sync::Arc};
use tokio::task::JoinHandle;

const EXPLAIN: HeaderName = HeaderName::from_static("x-malha-rule");
const ISTIO_ENVOY: HeaderValue = HeaderValue::from_static("istio-envoy");
const ENVOY: HeaderValue = HeaderValue::from_static("envoy");

/// An answer of the proxy's own, operations applied.
pub(crate) struct Own {
    pub(crate) response: Response<Bytes>,
    pub(crate) flags: Flags,
    pub(crate) details: &'static str,
    pub(crate) close: bool,
}

/// An upstream's answer, operations applied.
pub(crate) struct Passed {
    pub(crate) answered: Box<Answered>,
    pub(crate) cluster: Arc<ClusterState>,
}

impl Own {
    /// What a route answers itself: a redirect or a direct response, still empty, with a Location if there is one.
    pub(crate) fn direct(status: StatusCode, location: &str) -> Own {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        if !location.is_empty()
            && let Ok(location) = HeaderValue::try_from(location)
        {
            response.headers_mut().insert(LOCATION, location);
        }
        Own { response, flags: Flags::default(), details: "direct_response", close: false }
    }

    /// The answer to a preflight.
    pub(crate) fn preflight(headers: HeaderMap) -> Own {
        let mut response = Response::new(Bytes::new());
        *response.headers_mut() = headers;
        Own { response, flags: Flags::default(), details: "cors_response", close: false }
    }

    /// An error of the proxy's own.
    pub(crate) fn plain(reply: &LocalReply, is_grpc: bool) -> Own {
        Own { response: reply.response(is_grpc), flags: reply.flags, details: reply.details, close: reply.close }
    }
}

/// What an answer holds of its upstream until its end.
enum Taken {
    Alone((Connection, InFlight)),
    /// Also a timer has it, and takes it when time is over.
    Timed(Rc<Cell<Option<(Connection, InFlight)>>>, JoinHandle<()>),
}

impl Taken {
    /// Apart from the answer's way to the client: one who does not read it must not hold the upstream longer.
    fn until(deadline: Deadline, taken: (Connection, InFlight), cluster: Arc<ClusterState>) -> (Rc<Expiry>, Taken) {
        let (expiry, taken) = (Rc::<Expiry>::default(), Rc::new(Cell::new(Some(taken))));
        let (expires, held) = (Rc::clone(&expiry), Rc::clone(&taken));
        let timer = tokio::task::spawn_local(async move {
            deadline.passed().await;
            expires.pass();
            if let Some((_, in_flight)) = held.take() {
                cluster.observe(in_flight.endpoint(), Outcome::Failure);
            }
        });
        (expiry, Taken::Timed(taken, timer))
    }

    /// None: its time was over before.
    fn give(self) -> Option<(Connection, InFlight)> {
        match self {
            Taken::Alone(taken) => Some(taken),
            Taken::Timed(taken, timer) => {
                timer.abort();
                taken.take()
            }
        }
    }
}

/// What every answer carries.
fn finish(headers: &mut HeaderMap, role: Role, record: &mut Record) {
    headers.insert(
        SERVER,
        match role {
            Role::Gateway => ISTIO_ENVOY,
            Role::Sidecar => ENVOY,
        },
    );
    if record.explains()
        && let Some(rule) = &record.entry.rule
        && let Ok(rule) = HeaderValue::try_from(&**rule)
    {
        headers.insert(EXPLAIN, rule);
    }
    record.answers_with(headers);
}

/// Text, if nobody said otherwise, and nothing at all without a body: whatever operations say.
fn settle_content_type(headers: &mut HeaderMap, is_empty: bool) {
    if is_empty {
        if !headers.contains_key(GRPC_STATUS) {
            headers.remove(CONTENT_TYPE);
        }
    } else if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
}

/// Sends an answer of the proxy's own.
pub(crate) fn answer_own(own: Own, role: Role, mut record: Box<Record>) -> Response<Reply> {
    let Own { response, flags, details, close } = own;
    let (mut parts, body) = response.into_parts();
    record.answered(parts.status, &parts.headers);
    record.entry.flags = record.entry.flags.with(flags);
    record.entry.details = details;
    settle_content_type(&mut parts.headers, body.is_empty());
    finish(&mut parts.headers, role, &mut record);
    if close {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Response::from_parts(parts, Reply::own(body, move |end| record.end(end.ending, end.sent, end.time)))
}

/// The upstream agreed to another protocol: its 101 goes to the client, and then bytes go both ways.
pub(crate) fn answer_upgrade(
    passed: Passed,
    client: OnUpgrade,
    role: Role,
    mut record: Box<Record>,
) -> Response<Reply> {
    let Answered { mut response, connection, in_flight, flags, .. } = *passed.answered;
    let upstream = hyper::upgrade::on(&mut response);
    let (mut parts, _) = response.into_parts();
    record.answered(parts.status, &parts.headers);
    record.entry.flags = record.entry.flags.with(flags);
    record.entry.details = "via_upstream";
    finish(&mut parts.headers, role, &mut record);
    upgrade::tunnel(client, upstream, (connection, in_flight), record);
    Response::from_parts(parts, Reply::own(Bytes::new(), |_| {}))
}

/// Passes an upstream's answer on, and gives its connection back at the end.
pub(crate) fn answer_upstream(passed: Passed, role: Role, mut record: Box<Record>) -> Response<Reply> {
    let Passed { answered, cluster } = passed;
    let Answered { response, connection, in_flight, flags, deadline, .. } = *answered;
    let (mut parts, body) = response.into_parts();
    record.answered(parts.status, &parts.headers);
    record.entry.flags = record.entry.flags.with(flags);
    record.entry.details = "via_upstream";
    finish(&mut parts.headers, role, &mut record);
    let (expiry, taken) = match deadline {
        None => (None, Taken::Alone((connection, in_flight))),
        Some(deadline) => {
            let (expiry, taken) = Taken::until(deadline, (connection, in_flight), Arc::clone(&cluster));
            (Some(expiry), taken)
        }
    };
    let has_trailers = record.entry.version == Some(Version::HTTP_2);
    let end = move |End { ending, sent, trailers, time }: End<'_>| {
        if let Some((connection, in_flight)) = taken.give() {
            // A client that is still sending keeps the upstream's connection busy, which then is of no use to others.
            let is_sent = record.received.as_ref().is_some_and(|received| received.is_complete());
            if let Some(outcome) = trailers.filter(|_| ending == Ending::Whole).and_then(upstream::grpc_outcome) {
                cluster.observe(in_flight.endpoint(), outcome);
            }
            if let Some(trailers) = trailers {
                record.has_trailers(trailers);
            }
            match ending {
                Ending::Whole if is_sent => connection.put_back(time),
                Ending::UpstreamBroke => cluster.observe(in_flight.endpoint(), Outcome::Failure),
                _ => {}
            }
        }
        record.end(ending, sent, time);
    };
    Response::from_parts(parts, Reply::upstream(body, has_trailers, expiry, end))
}
