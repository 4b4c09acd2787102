//! What a request needs before it goes to an endpoint, tries and copies alike: a connection, and a share of what the
//! cluster may do at once.

use crate::{
    breaker::{Held, Resource},
    cluster::{ClusterState, EndpointState},
    local_reply::GRPC_STATUS,
    outlier::Outcome,
    outside,
    pool::{Asker, Connection, NoConnection},
    retry::Failure,
    worker::Local,
};
use http::{HeaderMap, Response, Version};
use hyper::body::Body;
use std::sync::{Arc, atomic::Ordering};

/// Counts a request in flight at an endpoint, for least request, and at its cluster, for its limit.
#[derive(Debug)]
pub(crate) struct InFlight {
    endpoint: Arc<EndpointState>,
    held: Option<Held>,
}

impl InFlight {
    pub(crate) fn new(endpoint: &Arc<EndpointState>) -> Self {
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        InFlight { endpoint: Arc::clone(endpoint), held: None }
    }

    /// Where it is in flight.
    pub(crate) fn endpoint(&self) -> &EndpointState {
        &self.endpoint
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the head of an answer counts as: one to gRPC as the code that its status stands for. None: its trailers say.
pub(crate) fn outcome<B: Body>(is_grpc: bool, response: &Response<B>) -> Option<Outcome> {
    let by_status = Some(response.headers()).filter(|_| is_grpc).and_then(grpc_outcome);
    let is_open = is_grpc && response.version() == Version::HTTP_2 && !response.body().is_end_stream();
    by_status.or_else(|| (!is_open).then(|| Outcome::Answer(response.status().as_u16())))
}

/// What a gRPC status counts as, in headers or trailers.
pub(crate) fn grpc_outcome(headers: &HeaderMap) -> Option<Outcome> {
    let status = headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()?;
    Some(Outcome::Answer(http_code_of_grpc(status)))
}

/// The code that a gRPC status stands for, as Envoy has it.
fn http_code_of_grpc(status: u32) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// Why a request is not sent to an endpoint.
#[derive(Debug)]
pub(crate) struct NotAdmitted {
    pub(crate) failure: Failure,
    /// Why there is no connection (semantics D57).
    pub(crate) transport: Option<Arc<str>>,
}

impl From<Failure> for NotAdmitted {
    fn from(failure: Failure) -> Self {
        NotAdmitted { failure, transport: None }
    }
}

impl From<NoConnection> for NotAdmitted {
    fn from(reason: NoConnection) -> Self {
        match reason {
            NoConnection::Overflow => Failure::Overflow.into(),
            NoConnection::Failed(reason) => NotAdmitted { failure: Failure::Connect, transport: Some(reason) },
            NoConnection::TimedOut => Failure::ConnectTimeout.into(),
        }
    }
}

/// Waits for a connection to an endpoint that a request may be sent on.
pub(crate) async fn admit(
    local: &Local,
    cluster: &ClusterState,
    endpoint: &Arc<EndpointState>,
    asker: Asker<'_>,
) -> Result<(Connection, InFlight), NotAdmitted> {
    let mut in_flight = InFlight::new(endpoint);
    let connection = local.pool.acquire(cluster, &endpoint.address, asker).await?;
    // Where a name leads is known only now.
    if endpoint.is_named && outside::is_own(local, connection.ends().peer) {
        return Err(Failure::OwnAddress.into());
    }
    cluster.observe(endpoint, Outcome::Connected);
    in_flight.held = cluster.breaker.hold(Resource::Requests);
    if in_flight.held.is_none() {
        connection.put_back_unused();
        return Err(Failure::Overflow.into());
    }
    Ok((connection, in_flight))
}
