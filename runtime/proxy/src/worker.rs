//! One worker: a thread with its own runtime, accepting connections and serving them to their end. Nothing moves
//! between workers, so nothing on a request's way is locked.

use crate::{
    connection,
    listener::OpenListener,
    listening::{Accepting, Listening},
    metrics::Metrics,
    passing::Pieces,
    pool::Pool,
    random::Random,
    running::{Running, Shared},
    tcp_record::Uncounted,
    worker_log::WorkerLog,
};
use arc_swap::{ArcSwap, Cache};
use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{AbortHandle, LocalSet},
};

/// What the owner tells a worker.
pub(crate) enum Command {
    /// Accept on this socket of the listener, until it closes.
    Listen(Arc<OpenListener>, Listening, Heard),
    /// Close idle connections that the running table has no use for.
    Sweep,
}

/// Takes whether a worker accepts now.
pub(crate) type Heard = std::sync::mpsc::Sender<io::Result<()>>;

/// A running worker; it stops when its commands end.
pub(crate) struct Worker {
    commands: UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// A worker that has stopped hears nothing.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Stops it, with whatever it is serving.
    pub(crate) fn stop(self) {
        drop(self.commands);
        let _ = self.thread.join();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Worker")
    }
}

/// A table as one worker holds it.
#[allow(clippy::redundant_allocation, reason = "workers that count together get in each other's way")]
pub(crate) type InForce = Rc<Arc<Running>>;

/// What a worker's connections share.
pub(crate) struct Local {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    pub(crate) random: Random,
    /// What bytes pass through.
    pub(crate) pieces: Pieces,
    pub(crate) uncounted: Uncounted,
    /// Copies of requests that are under way.
    pub(crate) copies: Cell<u64>,
    /// Its lines of the access log, if there is one.
    pub(crate) log: Option<Rc<WorkerLog>>,
    running: RefCell<Cache<Arc<ArcSwap<Running>>, Arc<Running>>>,
    /// What was loaded last.
    latest: RefCell<InForce>,
}

impl Local {
    /// The table in force now, with what belongs to it. A request asks once, so that it sees one table.
    pub(crate) fn running(&self) -> InForce {
        let mut running = self.running.borrow_mut();
        let (running, mut latest) = (running.load(), self.latest.borrow_mut());
        if !Arc::ptr_eq(running, &latest) {
            *latest = Rc::new(Arc::clone(running));
        }
        Rc::clone(&latest)
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }
}

/// Runs what HTTP/2 spawns on the worker of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnWorker;

impl<F: std::future::Future + 'static> hyper::rt::Executor<F> for OnWorker {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// A task that ends with whoever has this.
pub(crate) struct Attached(pub(crate) AbortHandle);

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How often idle connections are looked through, and bytes that have passed are counted.
const ROUND: Duration = Duration::from_secs(5);

/// Starts a worker.
pub(crate) fn start(index: usize, shared: &Arc<Shared>) -> io::Result<Worker> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (commands, receiver) = unbounded_channel();
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(format!("malha-worker-{index}")).spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, work(index, shared, receiver));
    })?;
    Ok(Worker { commands, thread })
}

async fn work(index: usize, shared: Arc<Shared>, mut commands: UnboundedReceiver<Command>) {
    let limits = Rc::new(shared.options.limits.clone());
    let log = shared.options.access_log.clone().map(WorkerLog::new);
    if let Some(log) = &log {
        tokio::task::spawn_local(Rc::clone(log).run());
    }
    let local = Rc::new(Local {
        index,
        log,
        pool: Pool::new(limits, Arc::clone(&shared.metrics.pool), Arc::clone(&shared.names)),
        random: Random::new(shared.seed, index as u64),
        pieces: Pieces::default(),
        uncounted: Uncounted::default(),
        copies: Cell::new(0),
        running: RefCell::new(Cache::new(Arc::clone(&shared.current))),
        latest: RefCell::new(Rc::new(shared.running())),
        shared,
    });
    let mut round = tokio::time::interval(ROUND);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Listen(listener, socket, heard)) => {
                    let registered = Accepting::new(socket).map(|socket| {
                        tokio::task::spawn_local(accept(Rc::clone(&local), listener, socket));
                    });
                    // Who asked waits for it, or is gone.
                    let _ = heard.send(registered);
                }
                Some(Command::Sweep) => sweep_pool(&local),
                None => return,
            },
            _ = round.tick() => {
                sweep_pool(&local);
                local.uncounted.count(local.metrics(), local.index);
            }
        }
    }
}

fn sweep_pool(local: &Local) {
    let running = local.running();
    local.pool.sweep(|cluster, address, terms| running.wants_connection(cluster, address, terms));
}

/// Accepts connections until the listener closes.
async fn accept(local: Rc<Local>, listener: Arc<OpenListener>, socket: Accepting) {
    let mut closing = listener.closing.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = closing.wait_for(|&is_closing| is_closing) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let limit = local.shared.options.limits.connections;
                let Some(held) = connection::Held::new(&local.shared, &listener, limit) else {
                    local.metrics().refused_connections.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                tokio::task::spawn_local(connection::serve(Rc::clone(&local), stream, peer, held));
            }
            // A client that left already, or too many open files: the latter lasts, and must not spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
