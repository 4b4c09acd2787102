//! Copies of requests for other clusters (semantics C.9): sent and forgotten.

use crate::{
    body::Sent,
    cluster::{ClusterState, EndpointState},
    connection::Client,
    exchange::Exchange,
    forward::{self, Tries},
    local_reply::is_grpc,
    message,
    outgoing::Outgoing,
    outlier::Outcome,
    pool::Asker,
    retry::Failure,
    upstream,
    worker::Local,
};
use http::{Request, Version};
use http_body_util::BodyExt as _;
use malha_table::view::Forward;
use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// Copies that one worker has under way; past them none is sent.
const MOST: u64 = 1024;

/// A copy ends with the route's timeout, counted from the end of its body, and in any case then: nobody waits for it.
const LONGEST: Duration = Duration::from_mins(5);

/// Sends the copies that a route asks for, of the request as it goes upstream (C73). What cannot be sent is passed over
/// (C75).
pub(crate) fn send_copies(
    exchange: &Exchange<'_>,
    forward: &Forward<'_>,
    outgoing: &Outgoing<'_>,
    received: &Rc<crate::body::Received>,
) {
    for mirror in forward.mirrors().filter(|mirror| exchange.local.random.is_drawn(mirror.per_million())) {
        let destination = mirror.destination();
        let cluster = destination.cluster().and_then(|cluster| exchange.running.cluster(cluster.index()));
        let Some(cluster) = cluster.filter(|cluster| cluster.named.is_none()) else { continue };
        let metrics = exchange.local.metrics();
        let Some(endpoint) = forward::choose(exchange, cluster, &Tries::once(Instant::now()), &[]) else { continue };
        let Some(under_way) = UnderWay::new(exchange.local) else {
            metrics.copies_left_out.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        metrics.copies.fetch_add(1, Ordering::Relaxed);
        let bound = exchange.local.shared.options.limits.replay_bytes;
        let body = Sent::copy(received, bound);
        let tap = body.tap();
        let mut request = message::message(exchange, outgoing, received.length(), body);
        if let Some(trace) = &exchange.trace {
            trace.write_to_copy(request.headers_mut());
        }
        if cluster.is_http2(exchange.head.version)
            && message::as_http2(&mut request, exchange.head.scheme, &outgoing.authority).is_none()
        {
            continue;
        }
        let limit = forward.timeout().filter(|limit| !limit.is_zero()).unwrap_or(LONGEST);
        let copy = Copy {
            local: Rc::clone(exchange.local),
            cluster: Arc::clone(cluster),
            endpoint,
            authority: outgoing.authority.clone().into_owned(),
            version: exchange.head.version,
            client: Rc::clone(&exchange.arrival.client),
            hops: exchange.head.hops,
            _under_way: under_way,
        };
        tokio::task::spawn_local(async move {
            let is_sent = Cell::new(false);
            let too_late = async {
                if let Some(tap) = tap {
                    tap.closed().await;
                }
                tokio::time::sleep(limit).await;
            };
            // How it ends is nobody's concern (C72), but for the endpoint's health.
            tokio::select! {
                () = copy.send(request, &is_sent) => {}
                () = too_late => if is_sent.get() { copy.observe(Outcome::Failure) },
                () = tokio::time::sleep(LONGEST) => {}
            }
        });
    }
}

/// Counts a copy of this worker.
struct UnderWay(Rc<Local>);

impl UnderWay {
    fn new(local: &Rc<Local>) -> Option<Self> {
        let count = local.copies.get();
        (count < MOST).then(|| {
            local.copies.set(count + 1);
            UnderWay(Rc::clone(local))
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get().saturating_sub(1));
    }
}

/// A copy and where it goes.
struct Copy {
    local: Rc<Local>,
    cluster: Arc<ClusterState>,
    endpoint: Arc<EndpointState>,
    authority: String,
    /// What the client speaks, and who it is.
    version: Version,
    client: Rc<Client>,
    hops: u16,
    _under_way: UnderWay,
}

impl Copy {
    fn observe(&self, outcome: Outcome) {
        self.cluster.observe(&self.endpoint, outcome);
    }

    /// Sends it, and reads the answer to its end; `is_sent` while that is up to the endpoint.
    async fn send(&self, mut request: Request<Sent>, is_sent: &Cell<bool>) {
        let is_grpc = is_grpc(request.headers());
        let asker =
            Asker { authority: &self.authority, version: self.version, client: &self.client, now: Instant::now() };
        let admitted = upstream::admit(&self.local, &self.cluster, &self.endpoint, asker).await;
        let (mut connection, _in_flight) = match admitted.map_err(|not| not.failure) {
            Ok(admitted) => admitted,
            Err(Failure::Connect | Failure::ConnectTimeout) => return self.observe(Outcome::Failure),
            Err(_) => return,
        };
        let (hops, running) = (&self.local.shared.hops, self.local.running());
        hops.tell(request.headers_mut(), self.hops, &running.own, &self.endpoint.address, connection.ends());
        is_sent.set(true);
        let mut body = match connection.sender.try_send_request(request).await {
            Ok(response) => {
                if let Some(outcome) = upstream::outcome(is_grpc, &response) {
                    self.observe(outcome);
                }
                response.into_body()
            }
            // Not the endpoint's fault: it had closed the connection before, or the copy fell behind.
            Err(error) if error.message().is_some() || error.error().is_user() => return,
            Err(_) => return self.observe(Outcome::Failure),
        };
        while let Some(frame) = body.frame().await {
            let trailers = frame.as_ref().ok().and_then(|frame| frame.trailers_ref());
            if let Some(outcome) = trailers.filter(|_| is_grpc).and_then(upstream::grpc_outcome) {
                self.observe(outcome);
            }
            if frame.is_err() {
                return self.observe(Outcome::Failure);
            }
        }
        connection.put_back(Instant::now());
    }
}
