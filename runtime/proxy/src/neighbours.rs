//! Hosts that a sidecar does not know, and a cluster's DNS does: what a workload that calls one of them would reach.

use arc_swap::ArcSwap;
use std::{collections::HashMap, net::SocketAddr, sync::Arc};

/// Where such hosts are on this machine: services that are hidden from a sidecar, as by `exportTo`. Requests to them go as
/// those to any unknown host do (`PassthroughCluster`), but need not leave the machine. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Neighbours(Arc<ArcSwap<HashMap<String, HashMap<u16, SocketAddr>>>>);

impl Neighbours {
    /// Puts others in the place of those that were known: by host in lower case, then port.
    pub fn set(&self, known: HashMap<String, HashMap<u16, SocketAddr>>) {
        self.0.store(Arc::new(known));
    }

    /// Where a host's port is.
    pub(crate) fn find(&self, host: &str, port: u16) -> Option<SocketAddr> {
        self.0.load().get(host)?.get(&port).copied()
    }
}
