//! Bytes that are passed on as they come (semantics A57 to A61).

use crate::{
    breaker::Resource,
    choice::{self, Wanted},
    cluster::{ClusterState, EndpointState},
    outlier::Outcome,
    running::Running,
    tls,
    upstream::InFlight,
    worker::Local,
};
use malha_table::{http::pick, view::TcpRoute};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Connects a client to a destination drawn by weight, and passes bytes both ways until both sides have ended. A client
/// whose destination cannot be reached is closed.
pub(crate) async fn pass(
    local: &Rc<Local>,
    running: &Running,
    route: &TcpRoute<'_>,
    mut client: impl AsyncRead + AsyncWrite + Unpin,
) {
    let destinations = route.destinations();
    let index = if destinations.len() == 1 {
        Some(0)
    } else {
        pick(route.destinations().map(|destination| destination.weight()), local.random.next())
    };
    let destination = index.and_then(|index| destinations.get(index));
    let Some(cluster) = destination.and_then(|to| to.cluster()).and_then(|to| running.cluster(to.index())) else {
        return;
    };
    if let Some(rule) = route.rule() {
        running.hit(rule.index());
    }
    let Some(_held) = cluster.breaker.hold(Resource::Connections) else { return };
    let Some(endpoint) = choice::choose(cluster, &local.random, &Wanted::default()) else { return };
    let _in_flight = InFlight::new(&endpoint);
    let Some(upstream) = connect(cluster, &endpoint).await else { return };
    let mut upstream: Box<dyn Duplex> = match &cluster.tls {
        None => Box::new(upstream),
        Some(Err(_)) => return,
        Some(Ok(tls)) => {
            // Nobody has named a host.
            let name = tls::server_name(&tls.name(""));
            let shaking = TlsConnector::from(tls.config(false)).connect(name, upstream);
            let Ok(Ok(stream)) = tokio::time::timeout(cluster.connect_timeout, shaking).await else {
                return cluster.observe(&endpoint, Outcome::Failure);
            };
            Box::new(stream)
        }
    };
    // How it ends is the two sides' own matter; nobody is left to be told.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
}

/// Bytes both ways.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

async fn connect(cluster: &ClusterState, endpoint: &Arc<EndpointState>) -> Option<TcpStream> {
    let address = &endpoint.address;
    let limit: Duration = cluster.connect_timeout;
    let connected = tokio::time::timeout(limit, TcpStream::connect((&*address.host, address.port))).await;
    let Ok(Ok(stream)) = connected else {
        cluster.observe(endpoint, Outcome::Failure);
        return None;
    };
    cluster.observe(endpoint, Outcome::Connected);
    // Only a hint to the kernel.
    let _ = stream.set_nodelay(true);
    Some(stream)
}
