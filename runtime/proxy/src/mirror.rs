//! Copies of requests for other clusters (semantics C.9): sent and forgotten.

use crate::{
    body::Sent,
    cluster::{ClusterState, EndpointState},
    exchange::Exchange,
    fault::is_drawn,
    forward::{self, Outgoing},
    outside, upstream,
    worker::Local,
};
use http::Request;
use http_body_util::BodyExt as _;
use malha_table::view::Forward;
use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Copies that one worker has under way; past them none is sent.
const MOST: u64 = 1024;

/// A copy ends with the route's timeout, and in any case then: nobody waits for it.
const LONGEST: Duration = Duration::from_mins(5);

/// Sends the copies that a route asks for, of the request as it goes upstream (C73). What cannot be sent is passed over
/// (C75).
pub(crate) fn send_copies(
    exchange: &Exchange<'_>,
    forward: &Forward<'_>,
    outgoing: &Outgoing,
    received: &Rc<crate::body::Received>,
) {
    for mirror in forward.mirrors().filter(|mirror| is_drawn(mirror.per_million(), &exchange.local.random)) {
        let destination = mirror.destination();
        let cluster = destination.cluster().and_then(|cluster| exchange.running.cluster(cluster.index()));
        let Some(cluster) = cluster.filter(|cluster| !outside::is_clients_choice(cluster.discovery)) else { continue };
        let metrics = exchange.local.metrics();
        let Some(endpoint) = forward::draw_endpoint(exchange, cluster) else { continue };
        let Some(under_way) = UnderWay::new(exchange.local) else {
            metrics.copies_left_out.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        metrics.copies.fetch_add(1, Ordering::Relaxed);
        let bound = exchange.local.shared.options.limits.replay_bytes;
        let request = forward::message(exchange, outgoing, received.length(), 1, Sent::copy(received, bound));
        let limit = forward.timeout().filter(|limit| !limit.is_zero()).map_or(LONGEST, |limit| limit.min(LONGEST));
        let (local, cluster) = (Rc::clone(exchange.local), Arc::clone(cluster));
        tokio::task::spawn_local(async move {
            let _under_way = under_way;
            // How it ends is nobody's concern (C72).
            let _ = tokio::time::timeout(limit, send(&local, &cluster, &endpoint, request)).await;
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

/// None where it failed.
async fn send(
    local: &Local,
    cluster: &ClusterState,
    endpoint: &Arc<EndpointState>,
    request: Request<Sent>,
) -> Option<()> {
    let (mut connection, _in_flight) = upstream::admit(local, cluster, endpoint).await.ok()?;
    let mut body = connection.sender.send_request(request).await.ok()?.into_body();
    while let Some(frame) = body.frame().await {
        frame.ok()?;
    }
    connection.put_back();
    Some(())
}
