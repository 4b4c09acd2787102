//! A running proxy, as its owner sees it.

use crate::{
    Credentials, EgressAddress, ListenerAddress, Options,
    admin::{self, AdminServer},
    listener::{self, ListenerKey, OpenAt, OpenListener, Taken},
    listening::Listening,
    metrics::lock,
    plan,
    running::{Running, Shared},
    start_error::{StartError, Whose},
    worker::{self, Command, Worker},
};
use malha_table::Table;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

/// Starts proxies.
#[derive(Debug)]
pub struct Proxy;

/// A running proxy. Clones are the same proxy; it runs until [`Handle::shutdown`].
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    control: Arc<Mutex<Control>>,
}

#[derive(Debug)]
struct Control {
    listeners: BTreeMap<ListenerKey, Arc<OpenListener>>,
    workers: Vec<Worker>,
    admin: Option<AdminServer>,
    next_id: u32,
}

/// What a proxy serves: a table, and what its TLS needs.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The table.
    pub table: Arc<Table>,
    /// Certificates and keys for it.
    pub credentials: Credentials,
}

/// A table whose TLS, if it has any, gets no certificates.
impl From<Arc<Table>> for Revision {
    fn from(table: Arc<Table>) -> Self {
        Revision { table, credentials: Credentials::default() }
    }
}

/// What a new table changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SwapReport {
    /// Listeners that were opened.
    pub added: Vec<ListenerAddress>,
    /// Listeners that were closed, but for egress listeners of Sidecars; their connections end after the request at hand, those of plain bytes after
    /// [`Limits::drain_time`](crate::Limits::drain_time) at the latest.
    pub removed: Vec<ListenerAddress>,
    /// Egress listeners of Sidecars that were opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<EgressAddress>,
    /// Listeners that stayed open.
    pub kept: usize,
    /// Listeners that could not be opened, and why.
    pub failed: Vec<String>,
    /// What of the table this release does not execute, and what happens instead.
    pub unsupported: Vec<String>,
}

/// How a proxy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Connections that were still open at the deadline, and were cut.
    pub cut: usize,
}

impl Proxy {
    /// Opens the table's listeners and the admin server, and serves. When it returns, all of them accept connections.
    pub fn start(revision: impl Into<Revision>, options: Options) -> Result<Handle, StartError> {
        let revision = revision.into();
        let cores = options.cores.max(1);
        let shared = Arc::new(Shared::new(&revision.table, options));
        let mut workers = Vec::with_capacity(cores);
        for index in 0..cores {
            workers.push(worker::start(index, &shared).map_err(StartError::Thread)?);
        }
        let control = Control { listeners: BTreeMap::new(), workers, admin: None, next_id: 1 };
        let handle = Handle { shared, control: Arc::new(Mutex::new(control)) };
        let started = handle.start_listening(revision);
        if started.is_err() {
            handle.shutdown(Duration::ZERO);
        }
        started.map(|()| handle)
    }
}

impl Handle {
    fn start_listening(&self, revision: Revision) -> Result<(), StartError> {
        let mut control = lock(&self.control);
        let plan = plan::plan(&revision, &self.shared.options);
        let mut opened = Vec::new();
        for wanted in &plan.listeners {
            let (listener, sockets) = self
                .open(&mut control, &wanted.key)
                .map_err(|(at, error)| StartError::listen(&wanted.key, &self.shared.options, at, error))?;
            opened.push((listener, sockets));
        }
        self.shared.install(revision, &plan, &control.listeners);
        if let Some((listener, error)) = control.listen(opened).into_iter().next() {
            let what = "a worker".to_owned();
            return Err(match &listener.at {
                OpenAt::Address(address) => StartError::Listen { what, whose: None, address: *address, error },
                OpenAt::Socket(socket) => StartError::Socket { what, socket: socket.to_string(), error },
            });
        }
        if let Some(address) = self.shared.options.admin {
            let (what, whose) = ("the admin server".to_owned(), Some(Whose::Admin));
            let error = |error| StartError::Listen { what, whose, address, error };
            let server = admin::start(address, self.clone()).map_err(error)?;
            // Nobody else sets it: a proxy starts once.
            let _ = self.shared.admin.set(server.address());
            control.admin = Some(server);
        }
        Ok(())
    }

    /// Opens a listener that is not open yet; nobody accepts on it before [`Control::listen`].
    fn open(&self, control: &mut Control, key: &ListenerKey) -> Result<Opened, (OpenAt, io::Error)> {
        let (at, file, sockets) = listener::open(key, &self.shared.options, &control.taken())?;
        let listener = Arc::new(OpenListener::new(control.next_id, at, file));
        control.next_id += 1;
        control.listeners.insert(key.clone(), Arc::clone(&listener));
        Ok((listener, sockets))
    }

    /// Serves another table: requests that begin from now on are routed by it, also those on open connections.
    /// Listeners that both tables have stay open, with their connections and those to their endpoints; so do those that
    /// only became another's, such as a gateway's whose labels changed. A proxy that is draining keeps its table.
    pub fn swap(&self, revision: impl Into<Revision>) -> SwapReport {
        let mut control = lock(&self.control);
        let revision = revision.into();
        let plan = plan::plan(&revision, &self.shared.options);
        let mut report = SwapReport { unsupported: plan.unsupported.clone(), ..SwapReport::default() };
        if self.shared.draining.load(Ordering::Relaxed) {
            report.failed.push("the proxy is draining and takes no other table".to_owned());
            return report;
        }
        let wanted: BTreeSet<&ListenerKey> = plan.listeners.iter().map(|wanted| &wanted.key).collect();
        let before = self.shared.running();
        let gone: Vec<ListenerKey> = control.listeners.keys().filter(|key| !wanted.contains(key)).cloned().collect();
        let mut removed: Vec<(ListenerKey, Arc<OpenListener>)> =
            gone.into_iter().filter_map(|key| control.listeners.remove_entry(&key)).collect();
        report.kept = control.listeners.len();
        let mut opened = Vec::new();
        for wanted in &plan.listeners {
            if control.listeners.contains_key(&wanted.key) {
                continue;
            }
            // An address is free for another listener only once the one before has closed: that one goes on instead.
            if let Some(listener) = self.take_over(&control, &mut removed, &wanted.key) {
                control.listeners.insert(wanted.key.clone(), listener);
                report.kept += 1;
                continue;
            }
            match self.open(&mut control, &wanted.key) {
                Ok(new) => opened.push(new),
                Err((at, error)) => {
                    report.failed.push(format!("{} cannot listen on {at}: {error}", wanted.key));
                }
            }
        }
        report.removed = removed.iter().filter_map(|(_, listener)| before.describe(listener)).collect();
        let running = self.shared.install(revision, &plan, &control.listeners);
        report.added = opened.iter().filter_map(|(listener, _)| running.describe(listener)).collect();
        report.egress = opened.iter().filter_map(|(listener, _)| running.describe_egress(listener)).collect();
        for (_, listener) in &removed {
            listener.close();
        }
        for (listener, error) in control.listen(opened) {
            report.failed.push(format!("a worker does not accept on {}: {error}", listener.at));
        }
        for worker in &control.workers {
            worker.send(Command::Sweep);
        }
        self.shared.metrics.reloads.fetch_add(1, Ordering::Relaxed);
        report
    }

    /// Takes out of `removed` a listener that can go on under this key; rather one of the same proxy.
    fn take_over(
        &self,
        control: &Control,
        removed: &mut Vec<(ListenerKey, Arc<OpenListener>)>,
        wanted: &ListenerKey,
    ) -> Option<Arc<OpenListener>> {
        let (options, taken) = (&self.shared.options, control.taken());
        let (at, _) = removed
            .iter()
            .enumerate()
            .filter(|(_, (key, listener))| listener::can_go_on_as(wanted, options, &taken, key, &listener.at))
            .min_by_key(|(_, (key, _))| (&key.namespace, &key.name) != (&wanted.namespace, &wanted.name))?;
        Some(removed.swap_remove(at).1)
    }

    /// The listeners that accept connections, by role, then proxy, then port.
    pub fn listeners(&self) -> Vec<ListenerAddress> {
        let running = self.shared.running();
        lock(&self.control).listeners.values().filter_map(|listener| running.describe(listener)).collect()
    }

    /// The egress listeners of Sidecars that accept connections, by sidecar, then port.
    pub fn egress(&self) -> Vec<EgressAddress> {
        let running = self.shared.running();
        lock(&self.control).listeners.values().filter_map(|listener| running.describe_egress(listener)).collect()
    }

    /// What the ready file holds.
    pub fn ready(&self) -> serde_json::Value {
        let mut ready = serde_json::json!({ "version": 1, "listeners": self.listeners(), "admin": self.admin() });
        let egress = self.egress();
        if !egress.is_empty() {
            ready["egress"] = serde_json::json!(egress);
        }
        ready
    }

    /// Writes [`Handle::ready`] to a file, atomically: whoever waits for the file finds it whole.
    pub fn write_ready_file(&self, path: &Path) -> io::Result<()> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        std::fs::write(&partial, format!("{}\n", self.ready()))?;
        std::fs::rename(&partial, path)
    }

    /// The admin server's address; none where it is off.
    pub fn admin(&self) -> Option<SocketAddr> {
        lock(&self.control).admin.as_ref().map(AdminServer::address)
    }

    /// What of the running table this release does not execute, and what happens instead.
    pub fn unsupported(&self) -> Vec<String> {
        self.shared.running().unsupported.clone()
    }

    /// Puts a document on the admin server at `/name`, in place of the one before: `status`, `findings`, `mock`.
    pub fn publish(&self, name: &str, document: serde_json::Value) {
        lock(&self.shared.documents).insert(name.to_owned(), document);
    }

    /// Counts a reload that came to nothing: the table at hand stays.
    pub fn count_reload_failure(&self) {
        self.shared.metrics.reload_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Stops listening and lets connections end after the request at hand, those of plain bytes by themselves; `/readyz` says no from now on. The admin
    /// server stays.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        for listener in lock(&self.control).listeners.values() {
            listener.close();
        }
    }

    /// Drains, waits until all connections have ended or `deadline` has passed, and stops. Blocks; a second call finds
    /// nothing left to do.
    pub fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        self.drain();
        // A deadline beyond all times is none.
        let until = Instant::now().checked_add(deadline);
        while self.shared.connections() > 0 && until.is_none_or(|until| Instant::now() < until) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let cut = self.shared.connections();
        let (workers, admin) = {
            let mut control = lock(&self.control);
            control.listeners.clear();
            (std::mem::take(&mut control.workers), control.admin.take())
        };
        for worker in workers {
            worker.stop();
        }
        self.shared.names.stop();
        if let Some(log) = &self.shared.options.access_log {
            log.wait(LAST_LINES);
        }
        if let Some(admin) = admin {
            admin.stop();
        }
        if let Some(tracing) = &self.shared.options.tracing {
            tracing.flush(LAST_SPANS);
        }
        ShutdownReport { cut }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// How long a collector may take for the last spans when the proxy ends.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// How long a proxy that stops waits for the last lines of its log to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

type Opened = (Arc<OpenListener>, Vec<Listening>);

impl Control {
    /// Where listeners of the table are open.
    fn taken(&self) -> Taken {
        let mut taken = Taken::default();
        for listener in self.listeners.values() {
            match &listener.at {
                OpenAt::Address(address) => taken.addresses.insert(*address),
                OpenAt::Socket(socket) => taken.sockets.insert(socket.clone()),
            };
        }
        taken
    }

    /// Hands each worker its socket of each listener, and waits until they accept; gives those that do not, and why.
    fn listen(&self, opened: Vec<Opened>) -> Vec<(Arc<OpenListener>, io::Error)> {
        let mut waiting = Vec::new();
        for (listener, sockets) in opened {
            for (worker, socket) in self.workers.iter().zip(sockets) {
                let (heard, answer) = std::sync::mpsc::channel();
                worker.send(Command::Listen(Arc::clone(&listener), socket, heard));
                waiting.push((Arc::clone(&listener), answer));
            }
        }
        let failed = waiting.into_iter().filter_map(|(listener, answer)| {
            let answer = answer.recv().unwrap_or_else(|_| Err(io::Error::other("the worker has stopped")));
            Some((listener, answer.err()?))
        });
        failed.collect()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Running")
    }
}
