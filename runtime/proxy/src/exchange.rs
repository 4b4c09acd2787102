//! One request and its answer (semantics F).

use crate::{
    answer::{Own, Passed, answer_own, answer_upgrade, answer_upstream},
    body::Received,
    connect,
    connection::{Client, Held},
    cors::CrossOrigin,
    fault,
    flags::Flags,
    forward::{self, Answered, Attempted, Tries, Unanswered},
    hashing::Hashed,
    header_ops, hygiene,
    local_reply::{LocalReply, is_grpc},
    location, message, mirror,
    outgoing::Outgoing,
    outside::{self, Named, Outside},
    plan::Place,
    pool::{Asker, EndpointAddress},
    record::Record,
    reply::{Ending, Reply},
    running::Running,
    select::{Selected, select},
    trace::RequestTrace,
    variables::Facts,
    view::{Arrival, RequestHead},
    worker::Local,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version, header::SET_COOKIE};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use malha_table::{
    RequestView, Role,
    http::{RedirectTo, Template, https_location, redirect_location, replace_matched},
    view::{Action, ActionKind, Destination, Forward, Redirect, Respond, Route},
};
use std::{fmt, net::SocketAddr, rc::Rc, sync::Arc, time::SystemTime};
use tokio::time::Instant;

const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// A request at work: its head, and the one table that it sees.
pub(crate) struct Exchange<'r> {
    pub(crate) local: &'r Rc<Local>,
    pub(crate) running: &'r Running,
    pub(crate) place: &'r Place,
    pub(crate) head: RequestHead,
    pub(crate) arrival: Arrival,
    pub(crate) trace: Option<Rc<RequestTrace>>,
    start: SystemTime,
}

/// So many proxies of this process a request may come through: routes that lead in a circle would take all its sockets.
const MOST_HOPS: u16 = 16;

/// The client broke off while it sent its body.
#[derive(Debug)]
pub(crate) struct ClientGone;

impl fmt::Display for ClientGone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the client broke off")
    }
}

impl std::error::Error for ClientGone {}

/// What became of a request.
enum Treated {
    /// Boxed, since most requests have none.
    Own(Box<Own>),
    Upstream(Passed),
    ClientGone,
}

impl From<Own> for Treated {
    fn from(own: Own) -> Self {
        Treated::Own(Box::new(own))
    }
}

/// Serves one request.
pub(crate) async fn exchange(
    local: Rc<Local>,
    share: Rc<Held>,
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, ClientGone> {
    let running = local.running();
    let (mut parts, body) = request.into_parts();
    let mut changes = parts.extensions.remove::<OnUpgrade>();
    let place = running.place(share.listener.id);
    // A tunnel is no request: what comes through it is counted.
    let mut refused = None;
    match place.and_then(|place| connect::asked(&local, &running, place, &client, &parts)) {
        Some(Ok(original)) => {
            if let Some(changes) = changes.take() {
                return Ok(connect::open(&local, &share, &client, original, &mut parts, changes));
            }
        }
        Some(Err(reply)) => refused = Some(reply),
        None => {}
    }
    let mut record = Record::new(&local, &share, &client, &parts);
    let received = Received::new(body, record.clock);
    record.received = Some(Rc::clone(&received));
    let Some(place) = place else {
        // The listener went with its table; this request came just before its connection closes.
        record.refused(&parts);
        let reply = LocalReply { close: true, ..LocalReply::not_found() };
        return Ok(answer_own(Own::plain(&reply, is_grpc(&parts.headers)), Role::Gateway, record));
    };
    if let Some(reply) = refused {
        record.refused(&parts);
        return Ok(answer_own(Own::plain(&reply, false), place.role, record));
    }
    // Whoever asks a forward proxy names the port of a service.
    let names_own_port = place.listener.is_some() && !place.is_egress();
    let original_port = if names_own_port { place.known_port } else { client.local.port() };
    let arrival = Arrival { client, original_port };
    let settings = running.table.http_settings(place.role);
    // Of HTTP/1 the codec has counted them.
    if parts.version == Version::HTTP_2 && parts.headers.len() > local.shared.options.limits.headers {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let reply = LocalReply::bad_request(status, "", "http2.too_many_headers");
        record.refused(&parts);
        return Ok(answer_own(Own::plain(&reply, false), place.role, record));
    }
    let head = match RequestHead::admit(&mut parts, settings, &arrival, &local.random, &local.shared.hops) {
        Ok(head) => head,
        Err(reply) => {
            record.refused(&parts);
            return Ok(answer_own(Own::plain(&reply, false), place.role, record));
        }
    };
    record.admitted(&head, &parts);
    if head.hops >= MOST_HOPS {
        let mut reply = Own::plain(&outside::circle(head.hops), head.is_grpc);
        local.shared.hops.say(reply.response.headers_mut(), head.hops);
        return Ok(answer_own(reply, place.role, record));
    }
    let start = record.entry.start;
    let trace = record.trace.clone();
    let mut exchange = Exchange { local: &local, running: &running, place, head, arrival, trace, start };
    match exchange.treat(&received, &mut record).await {
        Treated::Own(own) => Ok(answer_own(*own, place.role, record)),
        Treated::Upstream(passed) => match changes {
            Some(changes) if passed.answered.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Ok(answer_upgrade(passed, changes, place.role, record))
            }
            _ => Ok(answer_upstream(passed, place.role, record)),
        },
        Treated::ClientGone => {
            record.end(Ending::ClientGone, 0, Instant::now());
            Err(ClientGone)
        }
    }
}

impl Exchange<'_> {
    /// What header operations can refer to, before there is an answer.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            method: self.head.method.as_str(),
            scheme: self.head.scheme,
            authority: &self.head.sent_authority,
            path: &self.head.path_and_query,
            version: self.head.version,
            request: &self.head.headers,
            response: None,
            code: 0,
            flags: Flags::default(),
            start: self.start,
            local: self.arrival.client.destination(),
            remote: self.remote(),
            direct: &self.arrival.client,
            upstream: None,
            cluster: None,
            route_name: None,
        }
    }

    /// Who it is of: whom trusted proxies name, of whose port they say nothing, else the connection's client.
    fn remote(&self) -> SocketAddr {
        self.head.told.client.map_or(self.arrival.client.peer, |client| SocketAddr::new(client, 0))
    }

    /// Who asks for the connections that it goes on.
    pub(crate) fn asker<'a>(&'a self, authority: &'a str, now: Instant) -> Asker<'a> {
        Asker { authority, version: self.head.version, client: &self.arrival.client, now }
    }

    async fn treat(&mut self, received: &Rc<Received>, record: &mut Record) -> Treated {
        match select(self) {
            Selected::NotFound => self.plain(&LocalReply::not_found()),
            Selected::Refused(reply) => self.plain(&reply),
            Selected::HttpsRedirect => {
                let location = location::on_this_machine(self, https_location(&self.head));
                Own::direct(StatusCode::MOVED_PERMANENTLY, &location).into()
            }
            Selected::Outside => self.pass_outside(received, record, Outside::Passthrough).await,
            Selected::Blackhole => self.refuse_outside(record),
            Selected::Route(route) => match route.action() {
                Some(action) => self.take(&route, &action, received, record).await,
                None => self.plain(&LocalReply::not_found()),
            },
        }
    }

    async fn take(
        &mut self,
        route: &Route<'_>,
        action: &Action<'_>,
        received: &Rc<Received>,
        record: &mut Record,
    ) -> Treated {
        if let Some(rule) = route.rule() {
            self.running.hit(rule.index());
            record.taken(self.running, route);
        }
        match action.kind() {
            ActionKind::Forward(forward) => self.forward(route, action, &forward, received, record).await,
            ActionKind::Redirect(redirect) => self.redirect(route, action, &redirect),
            ActionKind::Respond(respond) => self.respond(route, action, &respond),
            ActionKind::Passthrough => self.pass_outside(received, record, Outside::Passthrough).await,
            ActionKind::ByHost => self.pass_outside(received, record, Outside::ByHost).await,
            ActionKind::Blackhole => self.refuse_outside(record),
        }
    }

    fn plain(&self, reply: &LocalReply) -> Treated {
        Own::plain(reply, self.head.is_grpc).into()
    }

    fn redirect(&self, route: &Route<'_>, action: &Action<'_>, redirect: &Redirect<'_>) -> Treated {
        let status = StatusCode::from_u16(redirect.status()).unwrap_or(StatusCode::MOVED_PERMANENTLY);
        let location = redirect_location(&redirect.to(), &self.head, route.matched());
        let mut own = Own::direct(status, &location::on_this_machine(self, location));
        // Operations see the path as a prefix rewrite leaves it, though nothing goes upstream.
        let path = redirect.to().prefix.map(|prefix| {
            let path = replace_matched(self.head.path(), route.matched(), prefix);
            [&path, &self.head.path_and_query[self.head.path().len()..]].concat()
        });
        self.change_own(&mut own, action, path.as_deref());
        own.into()
    }

    /// A direct response; with 201 and 3xx it names the request's own URL (semantics C29, sharpened by the recordings).
    fn respond(&self, route: &Route<'_>, action: &Action<'_>, respond: &Respond<'_>) -> Treated {
        let status = StatusCode::from_u16(respond.status()).unwrap_or(StatusCode::OK);
        let mut own = if status == StatusCode::CREATED || status.is_redirection() {
            let location = redirect_location(&RedirectTo::default(), &self.head, route.matched());
            Own::direct(status, &location::on_this_machine(self, location))
        } else {
            Own::direct(status, "")
        };
        self.change_own(&mut own, action, None);
        *own.response.body_mut() = Bytes::copy_from_slice(respond.body());
        own.into()
    }

    /// The route's response operations, on an answer that no destination had a part in; `path` is the rewritten one.
    fn change_own(&self, own: &mut Own, action: &Action<'_>, path: Option<&str>) {
        let facts = self.facts();
        let path = path.unwrap_or(facts.path);
        let expand = |template: &Template, headers: &HeaderMap| {
            template.evaluate(&Facts { path, response: Some(headers), ..facts })
        };
        header_ops::change(own.response.headers_mut(), &action.response_headers(), None, true, expand);
    }

    async fn forward(
        &mut self,
        route: &Route<'_>,
        action: &Action<'_>,
        forward: &Forward<'_>,
        received: &Rc<Received>,
        record: &mut Record,
    ) -> Treated {
        let Some(destination) = forward::draw(forward, self.local.random.next()) else {
            return self.plain(&LocalReply::no_cluster());
        };
        let state = destination.cluster().and_then(|cluster| self.running.cluster(cluster.index()));
        if let Some(cluster) = state {
            record.led_to(cluster);
        }
        let cross_origin = CrossOrigin::of(forward.cors(), &self.head.headers);
        let mut changes = Changes { action, forward, destination: &destination, cross_origin: None };
        // The clock is looked at again only where something has been waited for.
        let mut now = record.clock;
        if let Some(fault) = forward.fault() {
            let injected = fault::inject(&fault, &self.local.random).await;
            now = Instant::now();
            if injected.is_delayed {
                record.entry.flags = record.entry.flags.with(Flags::DELAY_INJECTED);
            }
            if let Some(abort) = injected.abort {
                return self.local_reply(&abort, &changes, None, &Attempted::default());
            }
        }
        if let Some(headers) =
            cross_origin.as_ref().and_then(|origin| origin.preflight(&self.head.method, &self.head.headers))
        {
            return Own::preflight(headers).into();
        }
        changes.cross_origin = cross_origin.as_ref();
        let Some(cluster) = state else {
            return self.local_reply(&LocalReply::no_cluster(), &changes, None, &Attempted::default());
        };
        record.chosen(cluster);
        // Where the client says where it goes, that is known only now.
        let chosen = if let Some(named) = cluster.named {
            let named = self.named_host(named).await;
            now = Instant::now();
            match named {
                Ok(address) => Arc::new(cluster.at(address)),
                Err(reply) => return self.local_reply(&reply, &changes, None, &Attempted::default()),
            }
        } else {
            Arc::clone(cluster)
        };
        let cluster = &chosen;
        let mut tries = Tries::of(self.running, forward, &self.head, now);
        let hashed = if cluster.is_hashed() {
            Hashed::of(forward.hash(), &self.head, &self.head.headers, self.remote(), self.arrival.client.destination())
        } else {
            Hashed::default()
        };
        tries.hash = hashed.hash;
        received.keep(tries.keep(self.local.shared.options.limits.replay_bytes));
        let headers = std::mem::take(&mut self.head.headers);
        let this = &*self;
        let outgoing = forward::prepare(this, headers, route, action, forward, &destination, &tries);
        record.goes_out(&outgoing);
        let Some(first) = forward::choose(self, cluster, &tries, &[]) else {
            let reply = LocalReply::no_healthy_upstream();
            return self.local_reply(&reply, &changes, Some(&outgoing), &Attempted::default());
        };
        mirror::send_copies(self, forward, &outgoing, received);
        let mut attempted = Attempted::default();
        let sent = forward::send(self, cluster, &outgoing, received, &tries, first, &mut attempted).await;
        record.attempted(&attempted);
        match sent {
            Ok(mut answered) => {
                take_answer(&mut answered, self.head.asks_for_upgrade, record);
                for cookie in hashed.cookies {
                    answered.response.headers_mut().append(SET_COOKIE, cookie);
                }
                let code = answered.response.status().as_u16();
                changes.apply(answered.response.headers_mut(), || Facts {
                    code,
                    upstream: attempted.upstream(),
                    cluster: Some(&cluster.name),
                    ..forward::facts_upstream(self.facts(), &outgoing)
                });
                Treated::Upstream(Passed { answered, cluster: chosen })
            }
            Err(Unanswered::Reply(reply)) => self.local_reply(&reply, &changes, Some(&outgoing), &attempted),
            Err(Unanswered::ClientGone) => Treated::ClientGone,
        }
    }

    /// An error of the proxy's own on a route: its response operations apply (semantics C39, corrected by the
    /// recordings).
    fn local_reply(
        &self,
        reply: &LocalReply,
        changes: &Changes<'_>,
        outgoing: Option<&Outgoing<'_>>,
        attempted: &Attempted,
    ) -> Treated {
        let mut own = Own::plain(reply, self.head.is_grpc);
        changes.apply(own.response.headers_mut(), || {
            let facts = match outgoing {
                Some(outgoing) => forward::facts_upstream(self.facts(), outgoing),
                None => self.facts(),
            };
            Facts { flags: reply.flags, upstream: attempted.upstream(), ..facts }
        });
        own.into()
    }

    /// Where the client meant to go, once it is known where that is.
    async fn named_host(&self, named: Named) -> Result<EndpointAddress, LocalReply> {
        let address = outside::endpoint(self, named)?;
        outside::found(self, &address).await?;
        Ok(address)
    }

    /// Under `REGISTRY_ONLY`.
    fn refuse_outside(&self, record: &mut Record) -> Treated {
        record.refused_outside();
        self.plain(&outside::blackhole())
    }

    /// To where the client meant it to go, or by its Host (semantics B39).
    async fn pass_outside(&mut self, received: &Rc<Received>, record: &mut Record, outside: Outside) -> Treated {
        if !self.head.is_routable() {
            // Only bytes could be passed on as they came; `*` and CONNECT have no path to ask for.
            return self.plain(&LocalReply::not_found());
        }
        let cluster = match self.named_host(outside.named()).await {
            Ok(address) => Arc::new(outside.cluster(self.local, address)),
            Err(reply) => return self.plain(&reply),
        };
        let headers = std::mem::take(&mut self.head.headers);
        let this = &*self;
        let outgoing = outside::as_it_came(this, headers);
        record.chosen(&cluster);
        record.goes_out(&outgoing);
        let tries = Tries::once(Instant::now());
        let Some(first) = forward::choose(self, &cluster, &tries, &[]) else {
            return self.plain(&LocalReply::no_healthy_upstream());
        };
        let mut attempted = Attempted::default();
        let sent = forward::send(self, &cluster, &outgoing, received, &tries, first, &mut attempted).await;
        record.attempted(&attempted);
        match sent {
            Ok(mut answered) => {
                take_answer(&mut answered, self.head.asks_for_upgrade, record);
                Treated::Upstream(Passed { answered, cluster })
            }
            Err(Unanswered::Reply(reply)) => self.plain(&reply),
            Err(Unanswered::ClientGone) => Treated::ClientGone,
        }
    }
}

/// What an upstream's answer loses and gains before operations see it.
fn take_answer(answered: &mut Answered, asked_for_upgrade: bool, record: &mut Record) {
    record.entry.upstream_time = answered.service_time;
    record.answered_by_upstream();
    let headers = answered.response.headers_mut();
    hygiene::drop_hop_by_hop_of_response(headers, asked_for_upgrade);
    if let Some(time) = answered.service_time {
        headers.insert(SERVICE_TIME, message::number(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    }
}

/// The response operations of a route and of the destination drawn, and what another origin is told.
struct Changes<'a> {
    action: &'a Action<'a>,
    forward: &'a Forward<'a>,
    destination: &'a Destination<'a>,
    cross_origin: Option<&'a CrossOrigin<'a>>,
}

impl Changes<'_> {
    fn apply<'f>(&self, headers: &mut HeaderMap, facts: impl FnOnce() -> Facts<'f>) {
        let (route, destination) = (self.action.response_headers(), self.destination.response_headers());
        if !route.is_empty() || !destination.is_empty() {
            let facts = facts();
            let expand = |template: &Template, headers: &HeaderMap| {
                template.evaluate(&Facts { response: Some(headers), ..facts })
            };
            let is_only = self.forward.destinations().len() == 1;
            header_ops::change(headers, &route, Some(&destination), is_only, expand);
        }
        if let Some(origin) = self.cross_origin {
            origin.allow(headers);
        }
    }
}
