//! The life of a running mesh: start, reload, stop.

use super::{Built, Outcome, Source, options::options, tell};
use crate::{
    args::RunArgs,
    atomic::write_atomically,
    failure::{Failure, Status},
    mock::Counts,
    terminal::say,
    watch::{Change, SLOW_POLL, Watcher},
};
use malha_proxy::{Handle, Proxy, Reload, on_stop};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    time::{Duration, Instant},
};

/// How long open requests may take to end when the mesh stops.
const LONGEST_END: Duration = Duration::from_secs(5);

/// What the main thread waits for.
enum Event {
    Change(Change),
    /// `POST /reload`; its answer goes back.
    Reload(SyncSender<Result<Value, String>>),
    Stop,
}

/// A mesh that is served.
struct Served {
    source: Source,
    handle: Handle,
    program_hash: u64,
    /// Whether the last reload failed.
    stale: bool,
}

/// Serves until it is asked to stop.
pub(super) fn serve(args: &RunArgs, mut source: Source) -> Result<Status, Failure> {
    let (events, received) = mpsc::channel();
    let proxy: Arc<OnceLock<Handle>> = Arc::default();
    if args.mock {
        let (counts, proxy) = (Counts::default(), Arc::clone(&proxy));
        let shown = counts.clone();
        let log = move |line: &str| {
            say(line);
            if let Some(proxy) = proxy.get() {
                proxy.publish("mock", shown.to_json());
            }
        };
        source.mock(counts, Arc::new(log))?;
    }
    let built = source.start()?;
    let section = source.section();
    let options = options(args, &section, source.mesh_config(), on_reload(events.clone()))?;
    let handle = Proxy::start(built.revision(), options).map_err(|error| Failure::new(error.to_string()))?;
    let _ = proxy.set(handle.clone());
    let mut served = Served { source, handle, program_hash: built.table.program_hash(), stale: false };
    served.publish(&built);
    let stop = events.clone();
    on_stop(move || drop(stop.send(Event::Stop)))
        .map_err(|error| Failure::new(format!("signals cannot be waited for: {error}")))?;
    let watcher = if section.watch.unwrap_or(true) { Some(watch(&served.source, &events)?) } else { None };
    // Whoever hears that it is ready may save a file, or stop it, at once.
    say(&tell::started(&served.handle, &built, &served.source));
    if let Some(file) = &args.ready_file {
        write_ready_file(file, &served.handle)?;
    }
    served.follow(&received, watcher, args.ready_file.as_deref())?;
    say("malha: stopping");
    served.handle.shutdown(LONGEST_END);
    Ok(Status::Clean)
}

/// What `POST /reload` does: it asks the main thread, and waits for what comes of it.
fn on_reload(events: Sender<Event>) -> Reload {
    Reload::new(move || {
        let (answer, answered) = mpsc::sync_channel(1);
        let ending = || "malha is about to stop".to_owned();
        events.send(Event::Reload(answer)).map_err(|_| ending())?;
        answered.recv().map_err(|_| ending())?
    })
}

fn watch(source: &Source, events: &Sender<Event>) -> Result<Watcher, Failure> {
    let told = events.clone();
    let mut watcher = Watcher::new(move |change| drop(told.send(Event::Change(change))))?;
    if let Err(failure) = watcher.watch(&source.watched()) {
        say(&format!("malha: {failure}"));
    }
    // What was saved after the files were read and before they were watched.
    drop(events.send(Event::Change(Change::Anything)));
    Ok(watcher)
}

fn write_ready_file(file: &Path, handle: &Handle) -> Result<(), Failure> {
    write_atomically(file, format!("{}\n", handle.ready()).as_bytes())
}

impl Served {
    /// Follows changes until it is time to stop.
    fn follow(
        &mut self,
        events: &Receiver<Event>,
        mut watcher: Option<Watcher>,
        ready_file: Option<&Path>,
    ) -> Result<(), Failure> {
        loop {
            let (mut change, reply) = match (events.recv_timeout(SLOW_POLL), &watcher) {
                (Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected), _) => return Ok(()),
                (Ok(Event::Change(change)), _) => (change, None),
                (Ok(Event::Reload(reply)), _) => (Change::Anything, Some(reply)),
                (Err(RecvTimeoutError::Timeout), Some(_)) => (Change::Anything, None),
                (Err(RecvTimeoutError::Timeout), None) => continue,
            };
            let mut stop = false;
            let mut replies: Vec<_> = reply.into_iter().collect();
            for event in events.try_iter() {
                match event {
                    Event::Change(other) => change = change.and(other),
                    Event::Reload(reply) => {
                        change = Change::Anything;
                        replies.push(reply);
                    }
                    Event::Stop => stop = true,
                }
            }
            if stop {
                return Ok(());
            }
            let before = self.handle.listeners();
            let told = self.reload(&change, !replies.is_empty());
            for reply in replies {
                // Whoever asked may be gone.
                let _ = reply.send(told.clone());
            }
            if let Some(watcher) = &mut watcher
                && let Err(failure) = watcher.watch(&self.source.watched())
            {
                say(&format!("malha: {failure}"));
            }
            if let Some(file) = ready_file.filter(|_| self.handle.listeners() != before) {
                // Traffic goes on, whoever waits for the file.
                if let Err(failure) = write_ready_file(file, &self.handle) {
                    say(&format!("malha: {failure}"));
                }
            }
        }
    }

    /// Compiles what has changed and serves it; keeps the last good table if that cannot be. Says how it went, on the
    /// terminal and to whoever asks; what is worth an answer of its own is an error.
    fn reload(&mut self, change: &Change, whole: bool) -> Result<Value, String> {
        let started = Instant::now();
        // After a failure even files that are as they were before it are news.
        let outcome = self.source.rebuild(change, whole || self.stale);
        let (why, findings) = match outcome {
            Ok(Outcome::Same) => return Ok(json!({ "outcome": "unchanged" })),
            Ok(Outcome::Built(built)) => {
                self.stale = false;
                return Ok(self.swap(&built, started));
            }
            Ok(Outcome::Refused { why, findings }) => (why, Some(findings)),
            Err(failure) => (failure.to_string().lines().map(str::to_owned).collect(), None),
        };
        self.stale = true;
        self.handle.count_reload_failure();
        if let Some(findings) = findings {
            self.handle.publish("findings", findings);
        }
        let status = json!({
            "state": "stale",
            "lastReload": { "outcome": "refused", "why": why },
        });
        self.handle.publish("status", status);
        say(&format!("{}\nmalha: not reloaded: the last good table stays", why.join("\n")));
        Err(why.join("\n"))
    }

    fn swap(&mut self, built: &Built, started: Instant) -> Value {
        let report = self.handle.swap(built.revision());
        self.source.connect(&self.handle.listeners());
        let is_other = self.program_hash != built.table.program_hash();
        self.program_hash = built.table.program_hash();
        let took = started.elapsed();
        let last = json!({
            "outcome": if is_other { "reloaded" } else { "lines moved" },
            "filesRead": built.work.files_read,
            "virtualHostsLowered": built.work.virtual_hosts_lowered,
            "milliseconds": took.as_secs_f64() * 1e3,
            "listeners": report,
        });
        self.publish_with(built, &last);
        say(&tell::reloaded(built, &report, is_other, took));
        last
    }

    fn publish(&self, built: &Built) {
        self.source.connect(&self.handle.listeners());
        self.publish_with(built, &Value::Null);
    }

    fn publish_with(&self, built: &Built, last_reload: &Value) {
        let status = json!({
            "state": "serving",
            "leftOut": built.left_out,
            "notes": built.notes,
            "summary": built.summary,
            "lastReload": last_reload,
        });
        self.handle.publish("status", status);
        self.handle.publish("findings", built.findings.clone());
        if let Some(stand_ins) = self.source.stand_ins() {
            self.handle.publish("mock", stand_ins.counts().to_json());
        }
    }
}
