//! The thread that looks names up, begun when there is a first one.

use super::{Addresses, Known, NoAddress, lookup::Lookup};
use crate::{
    metrics::lock,
    options::Dns,
    random::{self, Random},
};
use std::{
    pin::pin,
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

/// Names that are looked up at one time, of those that clusters have, and of those that clients choose: these must not
/// hold those up.
const AT_ONCE: usize = 32;

/// Names of clients that go on being looked up at one time when nobody waits any more.
const MOST_LATE: usize = 16;

/// So long a request waits for the name that it asks for: Envoy's own bound.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Added to how long an answer holds, by chance, so that names do not all come together: what Istio sets.
const JITTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Thread {
    dns: Dns,
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
    pub(super) fn new(dns: Dns) -> Self {
        Thread { dns, line: Mutex::new(Line::New) }
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
            let (known, lookup) = (Arc::clone(known), Lookup::new(&self.dns));
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
    let random = Random::new(random::system_seed(), 0);
    let (turns, turns_of_clients) = (Semaphore::new(AT_ONCE), Semaphore::new(AT_ONCE));
    let late = Semaphore::new(MOST_LATE);
    let work = Rc::new(Work { known, lookup, turns, turns_of_clients, late, random });
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
    turns_of_clients: Semaphore,
    /// Those that nobody waits for any more.
    late: Semaphore,
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
                // Without a lifetime, and without an address, as often as ever (semantics E5).
                Ok(found) => {
                    let lifetime = found.lifetime.filter(|lifetime| !lifetime.is_zero());
                    lifetime.unwrap_or(self.known.refresh.get()) + JITTER.mul_f64(self.random.part())
                }
                Err(_) => self.known.refresh.get(),
            };
            self.known.watched.heard(name, found.ok().map(|found| found.addresses).as_ref());
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(&self, name: &str) {
        let waited_for = WaitedFor { known: &self.known, name, is_heard: false };
        let mut turn = None;
        let mut looking = pin!(self.either(name));
        let in_turn = async {
            turn = self.turns_of_clients.acquire().await.ok();
            looking.as_mut().await
        };
        if let Ok((outcome, lifetime)) = tokio::time::timeout(LONGEST_WAIT, in_turn).await {
            return waited_for.heard(outcome, lifetime);
        }
        waited_for.heard(Err(NoAddress::Failed("no name server answered in time".into())), Duration::ZERO);
        // Who asks next need not wait as long: the answer may yet come. Others have the turn.
        let has_begun = turn.take().is_some();
        if has_begun
            && let Ok(_late) = self.late.try_acquire()
            && let (Ok(addresses), lifetime) = looking.await
        {
            lock(&self.known.asked).heard(name, Ok(addresses), lifetime, Instant::now());
        }
    }

    /// Of the proxy's own family; of the other where there are none.
    async fn either(&self, name: &str) -> (Result<Addresses, NoAddress>, Duration) {
        let mut why: Arc<str> = "the name has no address".into();
        for family in [self.known.family, self.known.family.other()] {
            match self.lookup.addresses(name, family).await {
                Ok(found) if !found.addresses.is_empty() => {
                    return (Ok(found.addresses), found.lifetime.unwrap_or(self.known.refresh.get()));
                }
                Ok(_) => {}
                Err(reason) => why = reason.into(),
            }
        }
        (Err(NoAddress::Failed(why)), Duration::ZERO)
    }
}

/// A name that requests wait for. Whatever ends its look-up, they are told.
struct WaitedFor<'a> {
    known: &'a Known,
    name: &'a str,
    is_heard: bool,
}

impl WaitedFor<'_> {
    fn heard(mut self, outcome: Result<Addresses, NoAddress>, lifetime: Duration) {
        lock(&self.known.asked).heard(self.name, outcome, lifetime, Instant::now());
        self.is_heard = true;
    }
}

impl Drop for WaitedFor<'_> {
    fn drop(&mut self) {
        if !self.is_heard {
            lock(&self.known.asked).give_up(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Family, Refresh, asked::Standing, watched::Watched};

    #[test]
    fn who_waits_for_a_look_up_that_breaks_off_is_told() {
        let (family, refresh) = (Family::V4, Refresh::new(Duration::from_mins(1)));
        let known = Known { family, refresh, watched: Watched::default(), asked: Mutex::default() };
        let name: Arc<str> = "a.org".into();
        let standing = || lock(&known.asked).standing(&name, Instant::now());
        let Standing::LookUp(mut waiting) = standing() else { panic!("it is new") };
        drop(WaitedFor { known: &known, name: &name, is_heard: false });
        assert_eq!(waiting.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Closed));
        let Standing::LookUp(_waiting) = standing() else { panic!("the next one has it looked up again") };
        let none = Err(NoAddress::Failed("no".into()));
        WaitedFor { known: &known, name: &name, is_heard: false }.heard(none, Duration::ZERO);
        assert!(matches!(standing(), Standing::Known(Err(_))), "what was heard stays");
    }
}
