//! Several name servers, asked as c-ares asks them for Envoy: in the order given, the next where one fails or is silent,
//! and all of them again. A server that is merely slow is heard when it answers at last.

use super::connected::Connecting;
use crate::metrics::lock;
use hickory_resolver::{
    Resolver,
    config::{NameServerConfig, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::NetError,
    proto::rr::{Name, RecordType},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// How often each server is asked: Envoy's own count.
const ROUNDS: usize = 4;

/// A server that failed is asked whether it is back after so long: c-ares's own time.
const PROBED_AFTER: Duration = Duration::from_secs(5);

/// What a server says of a name: records, or that there are none.
type Answer = Result<Lookup, NetError>;

/// The servers of one configuration.
#[derive(Clone)]
pub(super) struct Failover {
    servers: Arc<[Arc<Server>]>,
    /// How long one is waited for before the next is asked.
    patience: Duration,
}

struct Server {
    /// One for each round: of one resolver's equal questions only the first is sent.
    rounds: Vec<Resolver<Connecting>>,
    /// How often it has failed since its last answer: those that fail are asked last, as c-ares does.
    failures: AtomicU32,
    /// When it failed last, or was asked whether it is back.
    tried: Mutex<Option<Instant>>,
}

impl Failover {
    pub(super) fn new(
        servers: &[NameServerConfig],
        mut options: ResolverOpts,
        patience: Duration,
    ) -> Result<Self, String> {
        let tries = u32::try_from(servers.len().max(1) * ROUNDS).unwrap_or(u32::MAX);
        // However late, an answer counts while others are asked.
        options.timeout = patience.saturating_mul(tries);
        options.attempts = 0;
        let server = |config: &NameServerConfig| {
            let resolver = || {
                let config = ResolverConfig::from_name_servers(vec![config.clone()]);
                let builder = Resolver::builder_with_config(config, Connecting::default());
                builder.with_options(options.clone()).build().map_err(|error| error.to_string())
            };
            let rounds = (0..ROUNDS).map(|_| resolver()).collect::<Result<_, String>>()?;
            Ok(Arc::new(Server { rounds, failures: AtomicU32::new(0), tried: Mutex::default() }))
        };
        Ok(Failover { servers: servers.iter().map(server).collect::<Result<_, String>>()?, patience })
    }

    /// What the first server says that says anything; an error where none did. That there is no such name is an answer.
    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> Answer {
        let order = self.order();
        self.probe(&order, name, kind);
        let tries: Vec<(&Arc<Server>, &Resolver<Connecting>)> = (0..ROUNDS)
            .flat_map(|round| order.iter().filter_map(move |server| Some((server, server.rounds.get(round)?))))
            .collect();
        let mut problem = NetError::Timeout;
        let mut asked = JoinSet::new();
        for (index, (server, resolver)) in tries.iter().enumerate() {
            let (resolver, name) = (Resolver::clone(resolver), name.clone());
            asked.spawn(async move { (index, resolver.lookup(name, kind).await) });
            // A time beyond all times is an hour.
            let until = Instant::now().checked_add(self.patience);
            let until = until.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            loop {
                let Ok(heard) = timeout_at(until, asked.join_next()).await else {
                    server.failed();
                    break;
                };
                // None can end otherwise than by an answer or a failure: they neither panic nor are they stopped.
                let Some(Ok((of, answer))) = heard else { break };
                let Some((server, _)) = tries.get(of) else { break };
                if is_answer(&answer) {
                    server.answered();
                    return answer;
                }
                problem = answer.err().unwrap_or(problem);
                // Of one that was waited for before, it is known.
                if of == index {
                    server.failed();
                    break;
                }
            }
        }
        Err(problem)
    }

    /// Those that failed last go behind the others.
    fn order(&self) -> Vec<Arc<Server>> {
        let mut order = self.servers.to_vec();
        order.sort_by_cached_key(|server| server.failures.load(Ordering::Relaxed));
        order
    }

    /// Asks those that failed a while ago whether they are back, for the look-ups to come.
    fn probe(&self, order: &[Arc<Server>], name: &Name, kind: RecordType) {
        for server in order.iter().skip(1).filter(|server| server.is_to_be_probed()) {
            let Some(resolver) = server.rounds.first().cloned() else { continue };
            let (server, name, patience) = (Arc::clone(server), name.clone(), self.patience);
            tokio::spawn(async move {
                let asked = tokio::time::timeout(patience, resolver.lookup(name, kind)).await;
                if asked.is_ok_and(|answer| is_answer(&answer)) {
                    server.answered();
                }
            });
        }
    }
}

/// Whether a server has said something of the name.
fn is_answer(answer: &Answer) -> bool {
    answer.as_ref().map_or_else(NetError::is_no_records_found, |_| true)
}

impl Server {
    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *lock(&self.tried) = Some(Instant::now());
    }

    fn answered(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// True once for each while that it goes on failing.
    fn is_to_be_probed(&self) -> bool {
        let mut tried = lock(&self.tried);
        let is_due = self.failures.load(Ordering::Relaxed) > 0 && tried.is_some_and(|at| at.elapsed() >= PROBED_AFTER);
        if is_due {
            *tried = Some(Instant::now());
        }
        is_due
    }
}
