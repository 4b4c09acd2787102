//! Names that clusters have.

use super::Addresses;
use crate::{
    cluster::ClusterState,
    counters::{ClusterCounters, count},
    metrics::lock,
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

/// Each with its clusters.
#[derive(Debug, Default)]
pub(super) struct Watched {
    names: Mutex<HashMap<Arc<str>, Name>>,
    /// Told when a name was looked up.
    heard: Condvar,
}

#[derive(Debug, Default)]
struct Name {
    /// The newest answer; none: there was none yet.
    newest: Option<Addresses>,
    /// The newest that had addresses.
    filled: Option<Addresses>,
    /// Whether it was looked up, whatever came of it.
    is_heard: bool,
    clusters: Vec<Weak<ClusterState>>,
}

impl Name {
    /// The addresses that a cluster goes by: no address at all is an answer, too, and hosts of theirs are gone then. But
    /// one host that is wherever its name leads to stays where it was (semantics E5, E6).
    fn of(&self, is_logical: bool) -> Option<Addresses> {
        if is_logical { self.filled.clone() } else { self.newest.clone() }
    }
}

/// One cluster for each that is counted, the newest: those of tables before go on in connections that are open.
fn counted(clusters: &[Arc<ClusterState>]) -> impl Iterator<Item = &Arc<ClusterState>> {
    let mut seen: HashSet<*const ClusterCounters> = HashSet::new();
    clusters.iter().rev().filter(move |cluster| seen.insert(Arc::as_ptr(&cluster.counters)))
}

impl Watched {
    /// Adds a cluster to its names and makes its members of what is known of them. Gives the names that nobody looks up
    /// yet.
    pub(super) fn add(&self, cluster: &Arc<ClusterState>) -> Vec<Arc<str>> {
        let mut names = lock(&self.names);
        let mut new = Vec::new();
        for name in cluster.names() {
            let known = names.entry(Arc::clone(&name)).or_insert_with(|| {
                new.push(name);
                Name::default()
            });
            known.clusters.retain(|cluster| cluster.strong_count() > 0);
            known.clusters.push(Arc::downgrade(cluster));
        }
        cluster.resolve(|name| names.get(name)?.of(cluster.is_logical()));
        new
    }

    /// What a cluster that is yet to be added would be told of a name.
    pub(super) fn known(&self, name: &str, is_logical: bool) -> Option<Addresses> {
        lock(&self.names).get(name)?.of(is_logical)
    }

    /// The newest addresses of a name.
    pub(super) fn newest(&self, name: &str) -> Option<Addresses> {
        lock(&self.names).get(name)?.filled.clone()
    }

    /// Counts that a name is looked up now; false where no cluster has it any more, and it is forgotten.
    pub(super) fn begin(&self, name: &str) -> bool {
        let mut names = lock(&self.names);
        let Some(known) = names.get_mut(name) else { return false };
        known.clusters.retain(|cluster| cluster.strong_count() > 0);
        if known.clusters.is_empty() {
            names.remove(name);
            return false;
        }
        let clusters: Vec<Arc<ClusterState>> = known.clusters.iter().filter_map(Weak::upgrade).collect();
        for cluster in counted(&clusters) {
            count(&cluster.counters.updates.attempts);
        }
        true
    }

    /// A name has been looked up; none: that failed, and what was known stays.
    pub(super) fn heard(&self, name: &str, addresses: Option<&Addresses>) {
        let mut names = lock(&self.names);
        let Some(known) = names.get_mut(name) else { return };
        known.is_heard = true;
        let clusters: Vec<Arc<ClusterState>> = known.clusters.iter().filter_map(Weak::upgrade).collect();
        let before = known.newest.take();
        let is_changed = addresses.is_some_and(|now| before.as_deref().map(set) != Some(set(now)));
        known.newest = addresses.cloned().or(before);
        if let Some(addresses) = addresses.filter(|addresses| !addresses.is_empty()) {
            known.filled = Some(Arc::clone(addresses));
        }
        if is_changed {
            for cluster in &clusters {
                cluster.resolve(|name| names.get(name)?.of(cluster.is_logical()));
            }
        }
        for cluster in counted(&clusters) {
            let updates = &cluster.counters.updates;
            if addresses.is_none_or(|addresses| addresses.is_empty() && cluster.is_logical()) {
                count(&updates.failures);
                continue;
            }
            count(&updates.successes);
            if !is_changed {
                count(&updates.unchanged);
            }
        }
        drop(names);
        self.heard.notify_all();
    }

    /// Waits until one name of each cluster was looked up, or the time is over.
    pub(super) fn wait_for(&self, clusters: &[Arc<ClusterState>], limit: Duration) {
        let until = Instant::now() + limit;
        let mut names = lock(&self.names);
        let is_ready = |names: &HashMap<Arc<str>, Name>, cluster: &Arc<ClusterState>| {
            let mut own = cluster.names().into_iter().peekable();
            own.peek().is_none() || own.any(|name| names.get(&name).is_none_or(|name| name.is_heard))
        };
        while !clusters.iter().all(|cluster| is_ready(&names, cluster)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            names = self.heard.wait_timeout(names, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn set(addresses: &[IpAddr]) -> HashSet<IpAddr> {
    addresses.iter().copied().collect()
}
