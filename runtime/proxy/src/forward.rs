//! Sending a request upstream: choice of a destination, rewriting, tries (semantics C.1, C.2, C.5 to C.7).

use crate::{
    body::{Deadline, Received, Sent, limit_from_completion},
    breaker::{Held, Resource},
    choice::{self, Wanted},
    cluster::{ClusterState, EndpointState},
    counters::count,
    ends::Ends,
    exchange::Exchange,
    flags::Flags,
    grpc_timeout, header_ops,
    local_reply::LocalReply,
    message::{self, ATTEMPT_COUNT, EXPECTED_TIMEOUT},
    outgoing::Outgoing,
    outlier::Outcome,
    outside,
    pool::{Connection, EndpointAddress},
    retry::{Failure, Policy},
    running::Running,
    upstream::{self, InFlight},
    variables::Facts,
    view::RequestHead,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use malha_table::{
    RequestView,
    http::{Template, pick, replace_matched, rewrite_matches},
    view::{Action, Destination, Forward, PathRewrite, Route},
};
use std::{
    borrow::Cow,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

/// An upstream's answer. It is large, and handed on often: boxed from the first.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: Connection,
    pub(crate) in_flight: InFlight,
    pub(crate) flags: Flags,
    /// How long the upstream took, from the end of the request; none where that is still to come.
    pub(crate) service_time: Option<Duration>,
    /// Until when the whole answer must have come.
    pub(crate) deadline: Option<Deadline>,
}

impl Answered {
    /// What a try came to; the rest is known when it is the last.
    fn new(response: Response<Incoming>, connection: Connection, in_flight: InFlight) -> Self {
        Answered { response, connection, in_flight, flags: Flags::default(), service_time: None, deadline: None }
    }
}

/// Why there is no answer to pass on.
pub(crate) enum Unanswered {
    /// The proxy answers in its stead.
    Reply(LocalReply),
    /// The client broke off while it sent its body: nobody is there to answer.
    ClientGone,
}

/// What is known of the upstream, for the access log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempted {
    /// Of the connection that the last try went on.
    pub(crate) ends: Option<Rc<Ends>>,
    pub(crate) attempts: u32,
    /// Where the last try went.
    pub(crate) endpoint: Option<Arc<EndpointState>>,
    /// Why the last try had no connection (semantics D57).
    pub(crate) transport_failure: Option<Arc<str>>,
    /// Whether a try is under way there.
    is_trying: bool,
}

impl Attempted {
    /// Where the last try was connected to.
    pub(crate) fn upstream(&self) -> Option<SocketAddr> {
        self.ends.as_ref().and_then(|ends| ends.peer)
    }
}

/// The destination that this request goes to, for all its tries (semantics C6 to C9).
pub(crate) fn draw<'t>(forward: &Forward<'t>, random: u64) -> Option<Destination<'t>> {
    let destinations = forward.destinations();
    let index = if destinations.len() == 1 {
        0
    } else {
        pick(forward.destinations().map(|destination| destination.weight()), random)?
    };
    destinations.get(index)
}

/// What applies to all tries of a request.
pub(crate) struct Tries<'r> {
    /// When the request was ready to be sent.
    begun: Instant,
    timeout: Option<Duration>,
    policy: &'r Policy,
    /// The limit of each try.
    limit: Option<Duration>,
    /// What endpoints are chosen by, where the cluster hashes.
    pub(crate) hash: Option<u64>,
}

impl<'r> Tries<'r> {
    /// As the route says, and of gRPC the client; ready to be sent now.
    pub(crate) fn of(running: &'r Running, forward: &Forward<'_>, head: &RequestHead, now: Instant) -> Self {
        let of_route = forward.timeout().filter(|timeout| !timeout.is_zero());
        let timeout = if head.is_grpc { grpc_timeout::limit(&head.headers, of_route) } else { of_route };
        let policy = running.retries(forward);
        // A try's limit that the route's timeout cuts off anyway is passed over (semantics C55).
        let limit = policy.per_try_timeout.filter(|limit| timeout.is_none_or(|timeout| *limit < timeout));
        Tries { begun: now, timeout, policy, limit, hash: None }
    }

    /// One try, without a limit; ready to be sent now.
    pub(crate) fn once(now: Instant) -> Self {
        Tries { begun: now, timeout: None, policy: Policy::NONE, limit: None, hash: None }
    }

    /// How long after the end of the request it is now.
    fn elapsed(&self, received: &Received) -> Option<Duration> {
        received.completed_at().map(|completed| completed.max(self.begun).elapsed())
    }

    /// Milliseconds in which an answer to a try is expected, so long after the end of the request (C45): 1 where there
    /// are none left, since 0 means no limit.
    fn expected(&self, elapsed: Duration) -> Option<u64> {
        let left = self.timeout.map(|timeout| timeout.saturating_sub(elapsed));
        let limit = self.limit.into_iter().chain(left).min()?;
        Some(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// How much of a body to keep for another try.
    pub(crate) fn keep(&self, bound: usize) -> usize {
        if self.policy.attempts > 0 { bound } else { 0 }
    }
}

/// The request as it goes upstream, from the headers as they came: attempt count, header operations, Host, path, in this
/// order, so that operations see the original Host and path (semantics C36).
pub(crate) fn prepare<'e>(
    exchange: &'e Exchange<'_>,
    mut headers: HeaderMap,
    route: &Route<'_>,
    action: &Action<'_>,
    forward: &Forward<'e>,
    destination: &Destination<'e>,
    tries: &Tries<'_>,
) -> Outgoing<'e> {
    let head = &exchange.head;
    headers.insert(ATTEMPT_COUNT, HeaderValue::from_static("1"));
    if let Some(milliseconds) = tries.expected(Duration::ZERO) {
        headers.insert(EXPECTED_TIMEOUT, HeaderValue::from(milliseconds));
        if head.is_grpc {
            grpc_timeout::tell(&mut headers, milliseconds);
        }
    }
    let is_only = forward.destinations().len() == 1;
    let facts = exchange.facts();
    let expand = |template: &Template, headers: &HeaderMap| template.evaluate(&Facts { request: headers, ..facts });
    let (of_route, of_destination) = (action.request_headers(), destination.request_headers());
    header_ops::change(&mut headers, &of_route, Some(&of_destination), is_only, expand);
    let authority = rewrite_authority(&head.sent_authority, forward, destination, is_only, &mut headers);
    let path = match forward.path_rewrite() {
        None => Cow::Borrowed(&*head.path_and_query),
        Some(rewrite) => {
            if let Ok(original) = HeaderValue::from_str(&head.path_and_query) {
                headers.insert(ORIGINAL_PATH, original);
            }
            Cow::Owned(rewrite_path(head, route, &rewrite))
        }
    };
    Outgoing::new(authority, path, headers, head.host.as_ref())
}

/// The Host that the upstream sees (semantics C16). A single destination's is a rewrite like the route's, which beats
/// it; of several, the destination's is set first, and a route's rewrite finds it as the original.
fn rewrite_authority<'e>(
    sent: &'e str,
    forward: &Forward<'e>,
    destination: &Destination<'e>,
    is_only: bool,
    headers: &mut HeaderMap,
) -> Cow<'e, str> {
    let (before, rewrite) = if is_only {
        (sent, forward.authority().or(destination.authority()))
    } else {
        (destination.authority().unwrap_or(sent), forward.authority())
    };
    let Some(rewrite) = rewrite else { return before.into() };
    if let Ok(original) = HeaderValue::try_from(before) {
        headers.insert(ORIGINAL_HOST, original);
    }
    rewrite.into()
}

/// The rewritten path with the query as it was (semantics C.2).
fn rewrite_path(head: &impl RequestView, route: &Route<'_>, rewrite: &PathRewrite<'_>) -> String {
    let mut path = match rewrite {
        PathRewrite::Matched(replacement) => replace_matched(head.path(), route.matched(), replacement),
        PathRewrite::Regex { pattern: Some(pattern), substitution, .. } => {
            rewrite_matches(pattern, head.path(), substitution)
        }
        PathRewrite::Regex { pattern: None, .. } => head.path().to_owned(),
    };
    if let Some(query) = head.query() {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// Tries until there is an answer to pass on, or no more tries or time; the first try goes to the endpoint `first`.
pub(crate) async fn send(
    exchange: &Exchange<'_>,
    cluster: &ClusterState,
    outgoing: &Outgoing<'_>,
    received: &Rc<Received>,
    tries: &Tries<'_>,
    first: Arc<EndpointState>,
    attempted: &mut Attempted,
) -> Result<Box<Answered>, Unanswered> {
    if tries.timeout.is_none() && received.is_complete() {
        // Nothing is waited for but the upstream.
        return try_until_answered(exchange, cluster, outgoing, received, tries, first, attempted).await;
    }
    let answered = tokio::select! {
        biased;
        answered = try_until_answered(exchange, cluster, outgoing, received, tries, first, attempted) => Some(answered),
        () = limit_from_completion(received, tries.timeout) => None,
        () = received.lacking(exchange.local.shared.options.limits.stream_idle_timeout) => {
            return Err(Unanswered::Reply(LocalReply::stream_timeout()));
        }
    };
    let Some(answered) = answered else {
        count(&cluster.counters.timeouts);
        if attempted.is_trying
            && let Some(endpoint) = &attempted.endpoint
        {
            cluster.observe(endpoint, Outcome::Failure);
        }
        return Err(Unanswered::Reply(LocalReply::timeout("response_timeout")));
    };
    answered
}

async fn try_until_answered(
    exchange: &Exchange<'_>,
    cluster: &ClusterState,
    outgoing: &Outgoing<'_>,
    received: &Rc<Received>,
    tries: &Tries<'_>,
    first: Arc<EndpointState>,
    attempted: &mut Attempted,
) -> Result<Box<Answered>, Unanswered> {
    let policy = tries.policy;
    let mut previous = Vec::new();
    // Held from one retry to the next, and to the end of the last.
    let mut retrying: Option<Held> = None;
    let ahead = exchange.local.shared.options.limits.replay_bytes;
    let mut endpoint = first;
    loop {
        attempted.attempts += 1;
        count(&cluster.counters.tries);
        if let Some(trace) = &exchange.trace {
            trace.begin_try(&cluster.name);
        }
        attempted.endpoint = Some(Arc::clone(&endpoint));
        let outcome = try_once(exchange, cluster, &endpoint, outgoing, received, tries, attempted).await;
        attempted.is_trying = false;
        if let Some(trace) = &exchange.trace {
            trace.end_try(
                attempted.upstream(),
                outcome.as_ref().map_err(|failure| *failure).map(|it| it.response.status()),
            );
        }
        if let Err(failure) = &outcome {
            cluster.counters.failed(*failure);
        }
        match &outcome {
            Ok(answered) => {
                if let Some(outcome) = upstream::outcome(exchange.head.is_grpc, &answered.response) {
                    cluster.observe(&endpoint, outcome);
                }
            }
            // Not the endpoint's fault.
            Err(Failure::Overflow | Failure::OwnAddress | Failure::Unspeakable) => {}
            Err(_) if received.failed() => {}
            Err(_) => cluster.observe(&endpoint, Outcome::Failure),
        }
        let is_retriable = match &outcome {
            // What leads in a circle would do so again, and each of its proxies would try anew.
            Ok(answered) => {
                let headers = answered.response.headers();
                policy.retries_response(answered.response.status(), headers)
                    && exchange.local.shared.hops.said(headers).is_none()
            }
            Err(_) if received.failed() => return Err(Unanswered::ClientGone),
            Err(failure) => policy.retries_failure(*failure),
        };
        let retries = attempted.attempts - 1;
        let wants_retry = is_retriable && retries < policy.attempts && received.can_repeat();
        drop(retrying.take());
        if wants_retry {
            retrying = cluster.breaker.hold(Resource::Retries);
        }
        if retrying.is_some() {
            // With it goes the connection of the try, and its hold on the body.
            drop(outcome);
            exchange.local.metrics().retries.fetch_add(1, Ordering::Relaxed);
            count(&cluster.counters.retries);
            previous.push(endpoint.address.clone());
            let pause = tokio::time::sleep(policy.backoff(retries + 1, &exchange.local.random));
            received.reading_ahead(ahead, pause).await.ok_or(Unanswered::ClientGone)?;
            let again = choose(exchange, cluster, tries, &previous);
            endpoint = again.ok_or_else(|| Unanswered::Reply(LocalReply::no_healthy_upstream()))?;
            continue;
        }
        let is_exhausted = is_retriable && policy.attempts > 0 && retries >= policy.attempts;
        let flags = match (wants_retry, is_exhausted) {
            (true, _) => {
                count(&cluster.counters.retry_overflows);
                Flags::UPSTREAM_OVERFLOW
            }
            (false, true) => {
                count(&cluster.counters.retry_limits);
                Flags::RETRY_LIMIT
            }
            (false, false) => Flags::default(),
        };
        return match outcome {
            Ok(mut answered) => {
                received.forget();
                answered.flags = flags;
                answered.service_time = tries.elapsed(received);
                let begun = tries.begun;
                let deadline = |timeout| Deadline { received: Rc::clone(received), begun, timeout };
                answered.deadline = tries.timeout.map(deadline);
                Ok(answered)
            }
            Err(failure) => Err(Unanswered::Reply(failed(failure, &outgoing.authority, retries > 0, flags))),
        };
    }
}

/// An endpoint; on a retry one that was not tried yet, if five draws find one (semantics C57), and perhaps of another
/// priority (C58).
pub(crate) fn choose(
    exchange: &Exchange<'_>,
    cluster: &ClusterState,
    tries: &Tries<'_>,
    previous: &[EndpointAddress],
) -> Option<Arc<EndpointState>> {
    let wanted = Wanted {
        hash: tries.hash,
        tried: previous,
        avoids_tried: tries.policy.avoid_previous_hosts,
        leaves_levels: tries.policy.remote_localities,
    };
    choice::choose(cluster, &exchange.local.random, &wanted)
}

async fn try_once(
    exchange: &Exchange<'_>,
    cluster: &ClusterState,
    endpoint: &Arc<EndpointState>,
    outgoing: &Outgoing<'_>,
    received: &Rc<Received>,
    tries: &Tries<'_>,
    attempted: &mut Attempted,
) -> Result<Box<Answered>, Failure> {
    let ahead = exchange.local.shared.options.limits.replay_bytes;
    if cluster.is_http2(exchange.head.version) && !message::is_speakable(exchange, outgoing) {
        return Err(Failure::Unspeakable);
    }
    let mut now = if attempted.attempts > 1 { Instant::now() } else { tries.begun };
    loop {
        let admitted = upstream::admit(exchange.local, cluster, endpoint, exchange.asker(&outgoing.authority, now));
        let admitted = received.reading_ahead(ahead, admitted).await.ok_or(Failure::ResetBeforeRequest)?;
        let (mut connection, in_flight) = admitted.map_err(|not| {
            attempted.transport_failure = not.transport;
            not.failure
        })?;
        attempted.transport_failure = None;
        // Only now it is the endpoint's time that passes.
        attempted.is_trying = true;
        attempted.ends = Some(Rc::clone(connection.ends()));
        let body = Sent::new(Rc::clone(received));
        let mut request = message::message(exchange, outgoing, received.length(), body);
        let hops = &exchange.local.shared.hops;
        hops.tell(
            request.headers_mut(),
            exchange.head.hops,
            &exchange.running.own,
            &endpoint.address,
            connection.ends(),
        );
        if attempted.attempts > 1 {
            let expected = tries.expected(tries.elapsed(received).unwrap_or_default());
            message::tell_again(request.headers_mut(), attempted.attempts, expected);
        }
        if let Some(trace) = &exchange.trace {
            trace.write(request.headers_mut());
        }
        if connection.sender.is_http2() {
            message::as_http2(&mut request, exchange.head.scheme, &outgoing.authority).ok_or(Failure::Unspeakable)?;
        }
        let mut sending = pin!(connection.sender.try_send_request(request));
        let sent = if tries.limit.is_none() {
            sending.await
        } else {
            tokio::select! {
                biased;
                sent = sending.as_mut() => sent,
                () = limit_from_completion(received, tries.limit) => return Err(Failure::PerTryTimeout),
            }
        };
        match sent {
            // Nobody asked for another protocol.
            Ok(response) if is_change(&response) && !exchange.head.asks_for_upgrade => return Err(Failure::Protocol),
            Ok(response) => return Ok(Box::new(Answered::new(response, connection, in_flight))),
            // A kept connection that the upstream closed meanwhile, before it took anything: this was no try.
            Err(error) if error.message().is_some() && connection.reused && !received.is_touched() => {
                attempted.is_trying = false;
                now = Instant::now();
            }
            Err(error) if error.message().is_some() => return Err(Failure::ResetBeforeRequest),
            Err(error) if error.error().is_parse() => return Err(Failure::Protocol),
            // The connection goes on: it was this request's stream alone.
            Err(error) if connection.sender.is_http2() && !connection.sender.is_closed() => {
                return Err(if is_refused(error.error()) { Failure::Refused } else { Failure::RemoteReset });
            }
            Err(_) => return Err(Failure::Reset),
        }
    }
}

fn is_change<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// Whether an upstream refused a stream before it did anything with it. What hyper passes on of that is its text.
fn is_refused(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("refused stream"))
}

/// The answer where the last try failed (semantics C.12, corrected by the recordings).
fn failed(failure: Failure, authority: &str, is_retried: bool, flags: Flags) -> LocalReply {
    let (status, reason, flag, details) = match failure {
        Failure::OwnAddress => return outside::own_address(authority),
        Failure::PerTryTimeout => {
            let reply = LocalReply::timeout("upstream_per_try_timeout");
            return LocalReply { flags: reply.flags.with(flags), ..reply };
        }
        Failure::Overflow => (
            StatusCode::SERVICE_UNAVAILABLE,
            "overflow",
            Flags::UPSTREAM_OVERFLOW,
            "upstream_reset_before_response_started{overflow}",
        ),
        Failure::Connect => (
            StatusCode::SERVICE_UNAVAILABLE,
            "remote connection failure",
            Flags::UPSTREAM_CONNECTION_FAILURE,
            "upstream_reset_before_response_started{remote_connection_failure}",
        ),
        Failure::ConnectTimeout => (
            StatusCode::SERVICE_UNAVAILABLE,
            "connection timeout",
            Flags::UPSTREAM_CONNECTION_FAILURE,
            "upstream_reset_before_response_started{connection_timeout}",
        ),
        Failure::Reset | Failure::ResetBeforeRequest => (
            StatusCode::SERVICE_UNAVAILABLE,
            "connection termination",
            Flags::UPSTREAM_CONNECTION_TERMINATION,
            "upstream_reset_before_response_started{connection_termination}",
        ),
        Failure::RemoteReset | Failure::Refused => (
            StatusCode::SERVICE_UNAVAILABLE,
            "remote reset",
            Flags::UPSTREAM_REMOTE_RESET,
            "upstream_reset_before_response_started{remote_reset}",
        ),
        Failure::Protocol | Failure::Unspeakable => (
            StatusCode::BAD_GATEWAY,
            "protocol error",
            Flags::UPSTREAM_PROTOCOL_ERROR,
            "upstream_reset_before_response_started{protocol_error}",
        ),
    };
    let again = if is_retried { "retried and the latest " } else { "" };
    let body = format!("upstream connect error or disconnect/reset before headers. {again}reset reason: {reason}");
    let reply = LocalReply::new(status, Bytes::from(body), flag.with(flags), details);
    LocalReply { is_overload: failure == Failure::Overflow, ..reply }
}

/// The facts of a request as it went upstream.
pub(crate) fn facts_upstream<'a>(facts: Facts<'a>, outgoing: &'a Outgoing<'_>) -> Facts<'a> {
    Facts { authority: &outgoing.authority, path: &outgoing.path, request: outgoing.headers(), ..facts }
}
