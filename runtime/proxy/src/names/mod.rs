//! Names of hosts and the addresses they stand for, for all workers (semantics E5 to E8).
//!
//! Names that clusters have are watched: looked up again and again, as their answers' lifetimes say, and the clusters
//! told. Names that only requests know are looked up when they are asked for, and kept for a while. One thread looks up.

mod asked;
mod connected;
mod failover;
mod lookup;
mod servers;
mod thread;
mod watched;

use crate::{cluster::ClusterState, metrics::lock, options::Dns};
use asked::{Asked, Standing};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use thread::Thread;
use tokio::sync::oneshot;
use watched::Watched;

/// Addresses of a name, in the order of the answer.
pub(crate) type Addresses = Arc<[IpAddr]>;

/// Which kind of address is asked for: that of this proxy, as Istio has it (semantics E5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv6() { Family::V6 } else { Family::V4 }
    }

    pub(crate) fn loopback(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    fn other(self) -> Self {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }
}

/// Whether a name is this machine's own, whatever anybody answers: `localhost`, and names below it.
pub(crate) fn is_loopback(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let (rest, last) = name.rsplit_once('.').unwrap_or(("", name));
    last.eq_ignore_ascii_case("localhost") && (!rest.is_empty() || !name.starts_with('.'))
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAddress {
    /// There is none, or nobody could say; in words.
    Failed(Arc<str>),
    /// So many names are asked for that this one is not.
    Overflow,
}

impl NoAddress {
    /// In Envoy's form.
    pub(crate) fn reason(&self) -> Arc<str> {
        match self {
            NoAddress::Failed(why) => format!("dns_resolution_failure{{{}}}", why.replace(' ', "_")).into(),
            NoAddress::Overflow => "dns_cache_overflow".into(),
        }
    }
}

/// What is known of names.
#[derive(Debug)]
pub(crate) struct Names {
    family: Family,
    known: Arc<Known>,
    thread: Thread,
}

/// What the thread that looks up shares with those who ask.
#[derive(Debug)]
struct Known {
    family: Family,
    refresh: Refresh,
    watched: Watched,
    asked: Mutex<Asked>,
}

/// A name is not asked for more often: Envoy takes no shorter rate.
const SHORTEST_REFRESH: Duration = Duration::from_millis(1);

/// How long until a name is asked for again whose answer does not say how long it holds, or that failed.
#[derive(Debug)]
struct Refresh {
    /// Where no table says.
    usual: Duration,
    /// Nanoseconds.
    now: AtomicU64,
}

impl Refresh {
    fn new(usual: Duration) -> Self {
        let refresh = Refresh { usual, now: AtomicU64::default() };
        refresh.set(None);
        refresh
    }

    fn set(&self, rate: Option<Duration>) {
        let rate = rate.unwrap_or(self.usual).max(SHORTEST_REFRESH);
        let rate = u64::try_from(rate.as_nanos()).unwrap_or(u64::MAX);
        self.now.store(rate, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.now.load(Ordering::Relaxed))
    }
}

impl Names {
    pub(crate) fn new(dns: &Dns, family: Family) -> Self {
        let refresh = Refresh::new(dns.refresh);
        let known = Known { family, refresh, watched: Watched::default(), asked: Mutex::default() };
        Names { family, known: Arc::new(known), thread: Thread::new(dns.clone()) }
    }

    /// As a table says, from the next answer on; none: as the options say.
    pub(crate) fn refresh_every(&self, rate: Option<Duration>) {
        self.known.refresh.set(rate);
    }

    /// What is known of a name for a cluster that is yet to be watched.
    pub(crate) fn known(&self, name: &str, is_logical: bool) -> Option<Addresses> {
        self.known.watched.known(name, is_logical)
    }

    /// Keeps a cluster's members as the names of its endpoints say, as long as the cluster is there.
    pub(crate) fn watch(&self, cluster: &Arc<ClusterState>) {
        for name in self.known.watched.add(cluster) {
            if !self.thread.keep(&self.known, &name) {
                self.known.watched.heard(&name, None);
            }
        }
    }

    /// Waits until of each of these clusters some name was looked up, whatever came of it, as Envoy does before it puts
    /// clusters in force; no longer than `limit`.
    pub(crate) fn wait_for(&self, clusters: &[Arc<ClusterState>], limit: Duration) {
        self.known.watched.wait_for(clusters, limit);
    }

    /// The newest addresses of a name that clusters have; of another, what it is looked up for now or was a while ago.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Addresses, NoAddress> {
        if is_loopback(name) {
            return Ok(Arc::new([self.family.loopback()]));
        }
        if let Some(addresses) = self.known.watched.newest(name) {
            return Ok(addresses);
        }
        let name: Arc<str> = name.to_ascii_lowercase().into();
        let waiting = {
            let mut asked = lock(&self.known.asked);
            match asked.standing(&name, Instant::now()) {
                Standing::Known(outcome) => return outcome,
                Standing::Overflow => return Err(NoAddress::Overflow),
                Standing::Wait(waiting) => waiting,
                Standing::LookUp(waiting) => {
                    if !self.thread.ask(&self.known, &name) {
                        asked.give_up(&name);
                    }
                    waiting
                }
            }
        };
        wait(waiting).await
    }

    /// Looks nothing up any more.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }
}

async fn wait(waiting: oneshot::Receiver<Result<Addresses, NoAddress>>) -> Result<Addresses, NoAddress> {
    waiting.await.unwrap_or_else(|_| Err(NoAddress::Failed("nothing is looked up any more".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_say_how_soon_a_name_is_asked_for_again() {
        let refresh = Refresh::new(Duration::from_mins(1));
        for (said, held) in [(Some(5000), 5000), (Some(0), 1), (None, 60_000)] {
            refresh.set(said.map(Duration::from_millis));
            assert_eq!(refresh.get(), Duration::from_millis(held), "{said:?}");
        }
    }

    #[test]
    fn names_of_this_machine_need_no_answer() {
        for name in ["localhost", "LocalHost", "localhost.", "a.localhost", "a.b.localhost."] {
            assert!(is_loopback(name), "{name}");
        }
        for name in ["", "localhost.org", "notlocalhost", ".localhost", "localhost.evil.org", "a.localhostx"] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}
