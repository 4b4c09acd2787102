//! What is kept of a request until its end: for the access log and the counters.

use crate::{
    access_log::{Entry, text},
    body::Received,
    cluster::ClusterState,
    connection::{Client, Held},
    flags::Flags,
    forward::Attempted,
    line_format::Wanted,
    local_reply::GRPC_STATUS,
    logged::{Kept, Target},
    metrics::{Measures, Protocol, RequestKey, lock},
    outgoing::Outgoing,
    parties,
    reply::Ending,
    running::Running,
    trace::{RequestTrace, Tracing},
    view::RequestHead,
    worker::Local,
};
use http::{
    HeaderMap, Method, StatusCode,
    header::{HOST, USER_AGENT},
    request::Parts,
};
use malha_table::view::Route;
use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};
use tokio::time::Instant;

/// One request's record. One that is dropped before its [`Record::end`] is of a client that left before its answer
/// began, or of a panic. It is handed on often, and so boxed.
pub(crate) struct Record {
    pub(crate) entry: Entry,
    pub(crate) clock: Instant,
    pub(crate) received: Option<Rc<Received>>,
    /// Of its connection.
    share: Rc<Held>,
    /// The number of where it went.
    destination: u32,
    /// The number of its cluster.
    cluster: u32,
    protocol: Protocol,
    local: Rc<Local>,
    /// Whether somebody wants to know it in words.
    is_told: bool,
    /// None where nothing is traced.
    pub(crate) trace: Option<Rc<RequestTrace>>,
    is_ended: bool,
}

impl Record {
    /// From a head as it came, before anything is known to be right with it.
    pub(crate) fn new(local: &Rc<Local>, share: &Rc<Held>, client: &Rc<Client>, parts: &Parts) -> Box<Self> {
        share.listener.requests.fetch_add(1, Ordering::Relaxed);
        let options = &local.shared.options;
        let begin = |tracing: &Tracing| Rc::new(tracing.begin(client, &parts.headers, &local.random));
        let trace = options.tracing.as_ref().map(begin);
        let is_told = local.log.is_some() || trace.as_ref().is_some_and(|trace| trace.is_sampled);
        let mut entry = Entry::new(Rc::clone(client));
        entry.version = Some(parts.version);
        entry.kept = local.log.as_ref().and_then(|log| log.lines()).map(|_| Box::default());
        // Made where it stays.
        let place = Box::new_uninit();
        let record = Record {
            entry,
            clock: Instant::now(),
            received: None,
            share: Rc::clone(share),
            destination: parties::UNKNOWN,
            cluster: parties::UNKNOWN,
            protocol: Protocol::Http,
            local: Rc::clone(local),
            is_told,
            trace,
            is_ended: false,
        };
        Box::write(place, record)
    }

    /// What a head says that is not admitted.
    pub(crate) fn refused(&mut self, parts: &Parts) {
        if self.is_told {
            self.told(&parts.method, &parts.headers);
            self.entry.path = path_of(parts);
            self.entry.authority = parts.headers.get(HOST).map(|host| text(host).into());
            self.keep(|kept, wanted| kept.request(wanted, &parts.headers));
        }
    }

    /// What admission made of the head.
    pub(crate) fn admitted(&mut self, head: &RequestHead, parts: &Parts) {
        if self.is_told {
            self.told(&head.method, &head.headers);
            self.entry.path = if head.is_routable() { Some(Rc::clone(&head.path_and_query)) } else { path_of(parts) };
            self.entry.authority = Some(Rc::clone(&head.sent_authority));
            self.entry.forwarded_for.clone_from(&head.told.forwarded_for);
            self.entry.request_id.clone_from(&head.told.request_id);
            self.entry.told_client = head.told.client;
            if self.entry.kept.is_some() {
                let path = self.entry.path.clone();
                self.keep(|kept, wanted| {
                    let authority = Rc::clone(&head.sent_authority);
                    kept.target = path.map(|path| Target { path, authority, scheme: head.scheme });
                    kept.request(wanted, &head.headers);
                });
            }
        }
        if head.is_grpc {
            self.protocol = Protocol::Grpc(None);
        }
    }

    fn told(&mut self, method: &Method, headers: &HeaderMap) {
        self.entry.method = Some(method.clone());
        self.entry.user_agent = headers.get(USER_AGENT).cloned();
    }

    /// What lines tell of its messages, where their format asks for any of it.
    fn keep(&mut self, keep: impl FnOnce(&mut Kept, &Wanted)) {
        if let Some(kept) = &mut self.entry.kept
            && let Some(format) = self.local.log.as_ref().and_then(|log| log.lines())
        {
            keep(kept, format.wanted());
        }
    }

    /// How it goes upstream.
    pub(crate) fn goes_out(&mut self, outgoing: &Outgoing<'_>) {
        self.keep(|kept, wanted| {
            if let Some(target) = &mut kept.target {
                (target.path, target.authority) = ((*outgoing.path).into(), (*outgoing.authority).into());
            }
            kept.request(wanted, outgoing.headers());
        });
    }

    /// The head of an upstream's answer has come.
    pub(crate) fn answered_by_upstream(&mut self) {
        let clock = self.clock;
        self.keep(|kept, _| kept.response_time = Some(clock.elapsed()));
    }

    /// The headers of the answer, as they go to the client.
    pub(crate) fn answers_with(&mut self, headers: &HeaderMap) {
        self.keep(|kept, wanted| kept.response(wanted, headers));
    }

    /// The trailers of an upstream's answer.
    pub(crate) fn has_trailers(&mut self, trailers: &HeaderMap) {
        self.keep(|kept, wanted| kept.trailers(wanted, trailers));
    }

    /// The rule that took it.
    pub(crate) fn taken(&mut self, running: &Running, route: &Route<'_>) {
        if self.is_told || self.explains() {
            self.entry.rule = Some(running.rule_name(route));
        }
        if self.is_told {
            let source = route.rule().and_then(|rule| rule.source());
            self.entry.route_name = source.and_then(|source| source.route_name()).map(str::to_owned);
        }
    }

    /// The cluster that the route leads to, whether or not the request comes so far.
    pub(crate) fn led_to(&mut self, cluster: &ClusterState) {
        self.entry.cluster = Some(Arc::clone(&cluster.name));
        self.destination = cluster.destination;
    }

    /// The cluster that was chosen, which counts the answer.
    pub(crate) fn chosen(&mut self, cluster: &ClusterState) {
        self.led_to(cluster);
        self.cluster = cluster.number;
    }

    /// Refused, since the mesh does not know its host.
    pub(crate) fn refused_outside(&mut self) {
        self.destination = parties::BLACK_HOLE;
    }

    pub(crate) fn attempted(&mut self, attempted: &Attempted) {
        self.entry.upstream.clone_from(&attempted.ends);
        self.entry.transport_failure.clone_from(&attempted.transport_failure);
        self.keep(|kept, _| kept.attempts = attempted.attempts);
        let endpoint = attempted.endpoint.as_ref().map(|endpoint| endpoint.destination.load(Ordering::Relaxed));
        if let Some(destination) = endpoint.filter(|&destination| destination != parties::UNKNOWN) {
            self.destination = destination;
        }
    }

    /// The head of an answer.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.entry.code = status.as_u16();
        self.ends_with(headers);
    }

    /// What an answer's headers or trailers say of how it ended.
    pub(crate) fn ends_with(&mut self, headers: &HeaderMap) {
        if let Protocol::Grpc(status) = &mut self.protocol
            && let Some(value) = headers.get(GRPC_STATUS)
        {
            // What is no status of gRPC's must not become a label.
            *status = value.to_str().ok().and_then(|value| value.parse().ok()).filter(|status| *status <= 16);
        }
    }

    /// Bytes that came from a client after its connection had changed its protocol.
    pub(crate) fn received_in_tunnel(&mut self, bytes: u64) {
        self.received = None;
        self.entry.received = bytes;
    }

    /// Of its worker.
    pub(crate) fn local(&self) -> &Rc<Local> {
        &self.local
    }

    /// Whether answers name their rule.
    pub(crate) fn explains(&self) -> bool {
        self.local.shared.options.explain
    }

    /// The answer has been sent, or broken off, after so many bytes.
    pub(crate) fn end(mut self: Box<Self>, ending: Ending, sent: u64, time: Instant) {
        self.finish(ending, sent, time);
    }

    fn finish(&mut self, ending: Ending, sent: u64, time: Instant) {
        self.is_ended = true;
        let entry = &mut self.entry;
        match ending {
            Ending::Whole => {}
            Ending::ClientGone => {
                entry.flags = entry.flags.with(Flags::DOWNSTREAM_TERMINATION);
                entry.details = "downstream_remote_disconnect";
            }
            Ending::UpstreamBroke => {
                entry.flags = entry.flags.with(Flags::UPSTREAM_CONNECTION_TERMINATION);
                entry.details = "upstream_reset_after_response_started{connection_termination}";
            }
            Ending::TimedOut => {
                entry.flags = entry.flags.with(Flags::UPSTREAM_TIMEOUT);
                entry.details = "response_timeout";
            }
        }
        entry.sent = sent;
        if let Some(received) = &self.received {
            entry.received = received.bytes();
            if let Some(kept) = &mut entry.kept {
                kept.request_time = received.completed_at().map(|time| time.saturating_duration_since(self.clock));
            }
        }
        entry.duration = time.saturating_duration_since(self.clock);
        let key = RequestKey {
            listener: self.share.listener.id,
            source: self.share.listener.source.load(Ordering::Relaxed),
            destination: self.destination,
            cluster: self.cluster,
            code: entry.code,
            flags: entry.flags,
            protocol: self.protocol,
        };
        let measures = Measures { duration: entry.duration, received: entry.received, sent };
        self.local.metrics().count(self.local.index, key, measures);
        if let Some(log) = &self.local.log {
            log.write(entry);
        }
        if let Some((tracing, trace)) = self.local.shared.options.tracing.as_ref().zip(self.trace.as_ref()) {
            tracing.end(trace, entry, Arc::clone(&lock(&self.share.listener.service)));
        }
    }
}

fn path_of(parts: &Parts) -> Option<Rc<str>> {
    parts.uri.path_and_query().map(|path| path.as_str().into())
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.is_ended {
            return;
        }
        if std::thread::panicking() {
            self.entry.code = 500;
            self.entry.details = "panic";
            self.finish(Ending::Whole, 0, Instant::now());
        } else {
            self.finish(Ending::ClientGone, 0, Instant::now());
        }
    }
}
