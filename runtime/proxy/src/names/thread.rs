//! The thread that looks names up, begun when there is a first one.

use super::{Addresses, Known, NoAddress, lookup::Lookup};
use crate::{
    metrics::lock,
    random::{self, Random},
};
use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::LocalSet,
};

/// Names that are looked up at one time.
const AT_ONCE: usize = 32;

/// Added to how long an answer holds, by chance, so that names do not all come together: what Istio sets.
const JITTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Thread {
    servers: Vec<SocketAddr>,
    line: Mutex<Line>,
}

#[derive(Debug)]
enum Line {
    New,
    Open(UnboundedSender<Order>),
    Stopped,
}

/// What it is told. It ends with whoever tells it.
#[derive(Debug)]
enum Order {
    /// Look it up again and again, while clusters have it.
    Keep(Arc<str>),
    /// Look it up once.
    Ask(Arc<str>),
}

impl Thread {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Thread { servers, line: Mutex::new(Line::New) }
    }

    /// Whether it will be.
    pub(super) fn keep(&self, known: &Arc<Known>, name: &Arc<str>) -> bool {
        self.tell(known, Order::Keep(Arc::clone(name)))
    }

    /// Whether it will be.
    pub(super) fn ask(&self, known: &Arc<Known>, name: &Arc<str>) -> bool {
        self.tell(known, Order::Ask(Arc::clone(name)))
    }

    pub(super) fn stop(&self) {
        *lock(&self.line) = Line::Stopped;
    }

    fn tell(&self, known: &Arc<Known>, order: Order) -> bool {
        let mut line = lock(&self.line);
        if matches!(*line, Line::New) {
            let (sender, receiver) = unbounded_channel();
            let (known, lookup) = (Arc::clone(known), Lookup::new(self.servers.clone()));
            let work = move || work(known, lookup, receiver);
            // Without a thread names have no addresses.
            let is_begun = std::thread::Builder::new().name("malha-names".to_owned()).spawn(work).is_ok();
            *line = if is_begun { Line::Open(sender) } else { Line::Stopped };
        }
        matches!(&*line, Line::Open(sender) if sender.send(order).is_ok())
    }
}

fn work(known: Arc<Known>, lookup: Lookup, mut orders: UnboundedReceiver<Order>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let work =
        Rc::new(Work { known, lookup, turns: Semaphore::new(AT_ONCE), random: Random::new(random::system_seed(), 0) });
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        while let Some(order) = orders.recv().await {
            let work = Rc::clone(&work);
            match order {
                Order::Keep(name) => tokio::task::spawn_local(async move { work.keep(&name).await }),
                Order::Ask(name) => tokio::task::spawn_local(async move { work.ask(&name).await }),
            };
        }
    });
}

struct Work {
    known: Arc<Known>,
    lookup: Lookup,
    turns: Semaphore,
    random: Random,
}

impl Work {
    async fn keep(&self, name: &str) {
        while self.known.watched.begin(name) {
            let found = {
                let _turn = self.turns.acquire().await;
                self.lookup.addresses(name, self.known.family).await
            };
            let pause = match &found {
                // Without a lifetime, and without an address, as often as ever.
                Ok(found) => found.lifetime.unwrap_or(self.known.refresh) + JITTER.mul_f64(self.random.part()),
                Err(_) => self.known.refresh,
            };
            self.known.watched.heard(name, found.ok().map(|found| found.addresses).as_ref());
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(&self, name: &str) {
        let _turn = self.turns.acquire().await;
        let (outcome, lifetime) = self.either(name).await;
        lock(&self.known.asked).heard(name, outcome, lifetime, Instant::now());
    }

    /// Of the proxy's own family; of the other where there are none.
    async fn either(&self, name: &str) -> (Result<Addresses, NoAddress>, Duration) {
        let mut why: Arc<str> = "the name has no address".into();
        for family in [self.known.family, self.known.family.other()] {
            match self.lookup.addresses(name, family).await {
                Ok(found) if !found.addresses.is_empty() => {
                    return (Ok(found.addresses), found.lifetime.unwrap_or(self.known.refresh));
                }
                Ok(_) => {}
                Err(reason) => why = reason.into(),
            }
        }
        (Err(NoAddress::Failed(why)), Duration::ZERO)
    }
}
