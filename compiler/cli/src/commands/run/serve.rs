//! The life of a running mesh: start, reload, stop.

use super::{
    Built, Outcome, Source,
    command::{self, Running},
    options::{idle_ports, options},
    taken, tell,
};
use crate::{
    args::RunArgs,
    atomic::write_atomically,
    failure::{Failure, Status},
    mock::Counts,
    terminal::{self, Voice},
    watch::{Change, SLOW_POLL, Watcher},
};
use malha_proxy::{Handle, ListenerAddress, Options, Proxy, Reload, StopSignal, on_stop, on_stop_signal};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::Path,
    process::ExitStatus,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
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
    /// A process that stands for a workload has come or gone.
    Listening(SocketAddr, bool),
    /// The mesh is asked to stop.
    Stop,
    /// The program that runs in the mesh is asked to.
    Signal(StopSignal),
    /// It has ended.
    Ended(io::Result<ExitStatus>),
}

/// A mesh that is served.
struct Served<'a> {
    args: &'a RunArgs,
    source: Source,
    handle: Handle,
    program_hash: u64,
    /// How much is wrong with the mesh, as it was said last.
    found: String,
    /// Whether the last reload failed.
    stale: bool,
    voice: Voice,
    /// The notes of the table in force: what was said is not said again.
    told: BTreeSet<String>,
}

/// Serves until it is asked to stop.
pub(super) fn serve(args: &RunArgs, mut source: Source) -> Result<Status, Failure> {
    let (events, received) = mpsc::channel();
    // A program that runs in the mesh has the standard output for itself.
    let voice = if args.command.is_empty() { Voice::Output } else { Voice::Error };
    let proxy: Arc<OnceLock<Handle>> = Arc::default();
    if args.mock {
        let (counts, proxy) = (Counts::default(), Arc::clone(&proxy));
        let shown = counts.clone();
        let is_quiet = args.quiet;
        let log = move |line: &str| {
            if !is_quiet {
                voice.say(line);
            }
            if let Some(proxy) = proxy.get() {
                proxy.publish("mock", shown.to_json());
            }
        };
        source.mock(counts, Arc::new(log))?;
    }
    let told = events.clone();
    source.watch_processes(move |address, is_there| drop(told.send(Event::Listening(address, is_there))))?;
    let built = source.start()?;
    let section = source.section();
    let options = options(args, &section, source.mesh_config(), on_reload(events.clone()), voice)?;
    let options = Options { neighbours: source.neighbours(), ..options };
    let handle = Proxy::start(built.revision(), options).map_err(|error| taken::failure(&error))?;
    let _ = proxy.set(handle.clone());
    let mut served = Served {
        args,
        source,
        handle,
        program_hash: built.table.program_hash(),
        found: built.summary.found(),
        stale: false,
        voice,
        told: BTreeSet::new(),
    };
    let notes = served.notes(&built);
    let (news, troubles) = served.news(&built, &notes, &[]);
    served.source.connect(&served.handle.listeners());
    served.publish(&built, &notes, &Value::Null);
    let told = events.clone();
    let has_program = Arc::new(AtomicBool::new(false));
    let is_running = Arc::clone(&has_program);
    let heard = if args.command.is_empty() {
        on_stop(move || drop(told.send(Event::Stop)))
    } else {
        on_stop_signal(move |signal| {
            let is_running = is_running.load(Ordering::Acquire);
            drop(told.send(if is_running { Event::Signal(signal) } else { Event::Stop }));
        })
    };
    heard.map_err(|error| Failure::new(format!("signals cannot be waited for: {error}")))?;
    let watcher = if section.watch.unwrap_or(true) { Some(watch(&served.source, &events, voice)?) } else { None };
    // Whoever hears that it is ready may save a file, or stop it, at once.
    if args.quiet {
        served.say_troubles(&troubles);
    } else {
        voice.say(&tell::started(&served.handle, &built, &served.source, &news));
    }
    if let Some(file) = &args.ready_file {
        write_ready_file(file, &served.handle)?;
    }
    let program = if args.command.is_empty() { None } else { Some(start_program(args, &served, events)?) };
    has_program.store(program.is_some(), Ordering::Release);
    let status = served.follow(&received, watcher, args.ready_file.as_deref(), program.as_ref())?;
    if program.is_none() {
        served.say("malha: stopping");
    }
    served.handle.shutdown(LONGEST_END);
    Ok(status)
}

fn start_program(args: &RunArgs, served: &Served<'_>, events: Sender<Event>) -> Result<Running, Failure> {
    let listeners = served.handle.listeners();
    let sidecar = listeners.iter().find(|listener| served.is_clients(listener)).ok_or_else(|| {
        Failure::new("there is no sidecar for the program to call through").help("say who it is by --as")
    })?;
    let ended = move |ended| drop(events.send(Event::Ended(ended)));
    Running::start(&args.command, sidecar.address, served.source.trusted().as_deref(), ended)
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

fn watch(source: &Source, events: &Sender<Event>, voice: Voice) -> Result<Watcher, Failure> {
    let told = events.clone();
    let mut watcher = Watcher::new(move |change| drop(told.send(Event::Change(change))))?;
    if let Err(failure) = watcher.watch(&source.watched()) {
        voice.say(&format!("malha: {failure}"));
    }
    // What was saved after the files were read and before they were watched.
    drop(events.send(Event::Change(Change::Anything)));
    Ok(watcher)
}

fn write_ready_file(file: &Path, handle: &Handle) -> Result<(), Failure> {
    write_atomically(file, format!("{}\n", handle.ready()).as_bytes())
}

/// How long a program that was asked to end may take.
#[derive(Default)]
struct Patience(Option<Instant>);

impl Patience {
    fn begin(&mut self) {
        self.0.get_or_insert_with(|| Instant::now() + LONGEST_END);
    }

    /// How long to wait for something to happen.
    fn left(&self) -> Duration {
        self.0.map_or(SLOW_POLL, |until| until.saturating_duration_since(Instant::now()).min(SLOW_POLL))
    }

    fn is_over(&self) -> bool {
        self.0.is_some_and(|until| until <= Instant::now())
    }
}

impl Served<'_> {
    /// Says what is no trouble.
    fn say(&self, text: &str) {
        if !self.args.quiet {
            self.voice.say(text);
        }
    }

    fn say_troubles(&self, troubles: &[String]) {
        if !troubles.is_empty() {
            self.voice.say(&troubles.join("\n"));
        }
    }

    /// All that is worth a line now, trouble apart.
    fn notes(&self, built: &Built) -> Vec<String> {
        let idle = idle_ports(self.args, &self.source.section(), &self.handle);
        built.notes.iter().cloned().chain(idle).collect()
    }

    /// What of it was not said yet, and what of that is trouble. It counts as said from now on, until it is so no more;
    /// `failed`, what could not be opened, is said each time.
    fn news(&mut self, built: &Built, notes: &[String], failed: &[String]) -> (Vec<String>, Vec<String>) {
        let unsupported = self.handle.unsupported();
        let left_out = built.left_out.iter().map(|line| tell::left_out(line));
        let troubles = built.troubles.iter().chain(&unsupported).map(|line| tell::note(line));
        let troubles: Vec<String> = left_out.chain(troubles).collect();
        let notes: Vec<String> = notes.iter().map(|line| tell::note(line)).collect();
        let is_new = |line: &&String| !self.told.contains(*line);
        let failed = failed.iter().map(|failure| format!("error: {failure}"));
        let new_troubles: Vec<String> = troubles.iter().filter(is_new).cloned().chain(failed).collect();
        let news = new_troubles.iter().chain(notes.iter().filter(is_new)).cloned().collect();
        self.told = troubles.into_iter().chain(notes).collect();
        (news, new_troubles)
    }

    /// Whether a listener is that of the program that runs in the mesh.
    fn is_clients(&self, listener: &ListenerAddress) -> bool {
        self.source.is_for_client(listener)
    }

    /// Follows changes until it is time to stop, or the program has ended.
    fn follow(
        &mut self,
        events: &Receiver<Event>,
        mut watcher: Option<Watcher>,
        ready_file: Option<&Path>,
        program: Option<&Running>,
    ) -> Result<Status, Failure> {
        let mut patience = Patience::default();
        loop {
            let first = match events.recv_timeout(patience.left()) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Disconnected) => return Ok(Status::Clean),
                Err(RecvTimeoutError::Timeout) if patience.is_over() => {
                    patience = Patience::default();
                    program.inspect(|program| program.kill());
                    continue;
                }
                Err(RecvTimeoutError::Timeout) if watcher.is_none() => continue,
                Err(RecvTimeoutError::Timeout) => None,
            };
            let mut change = first.is_none().then_some(Change::Anything);
            let mut replies = Vec::new();
            let mut processes = Vec::new();
            for event in first.into_iter().chain(events.try_iter()) {
                match event {
                    Event::Change(other) => {
                        change = Some(match change {
                            Some(change) => change.and(other),
                            None => other,
                        });
                    }
                    Event::Reload(reply) => {
                        change = Some(Change::Anything);
                        replies.push(reply);
                    }
                    Event::Listening(address, is_there) => processes.push((address, is_there)),
                    // As a shell has it that was interrupted.
                    Event::Stop if program.is_some() => return Ok(Status::Of(130)),
                    Event::Stop => return Ok(Status::Clean),
                    // Of a terminal the program heard it, too, and does with it as it likes.
                    Event::Signal(StopSignal::Interrupt) => {
                        if let Some(program) = program.filter(|_| !terminal::is_there()) {
                            program.interrupt();
                        }
                    }
                    Event::Signal(StopSignal::Terminate) => {
                        program.inspect(|program| program.terminate());
                        patience.begin();
                    }
                    Event::Ended(Ok(ended)) => return Ok(command::status(ended)),
                    Event::Ended(Err(error)) => {
                        return Err(Failure::new(format!("how the program ended is not known: {error}")));
                    }
                }
            }
            // Without stand-ins requests go there, come what may.
            let has_stand_ins = self.source.stand_ins().is_some();
            let whole = !replies.is_empty() || has_stand_ins && !processes.is_empty();
            let before = self.handle.ready();
            let told = match change {
                Some(change) => self.reload(&change, whole),
                None if whole => self.reload(&Change::Files(BTreeSet::new()), true),
                None => Ok(Value::Null),
            };
            if told.is_ok() {
                for (address, is_there) in processes {
                    let told = tell::listening(address, is_there, has_stand_ins);
                    if is_there || has_stand_ins {
                        self.say(&told);
                    } else {
                        self.voice.say(&told);
                    }
                }
            }
            for reply in replies {
                // Whoever asked may be gone.
                let _ = reply.send(told.clone());
            }
            if let Some(watcher) = &mut watcher
                && let Err(failure) = watcher.watch(&self.source.watched())
            {
                self.voice.say(&format!("malha: {failure}"));
            }
            if let Some(file) = ready_file.filter(|_| self.handle.ready() != before) {
                // Traffic goes on, whoever waits for the file.
                if let Err(failure) = write_ready_file(file, &self.handle) {
                    self.voice.say(&format!("malha: {failure}"));
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
        self.voice.say(&format!("{}\nmalha: not reloaded: the last good table stays", why.join("\n")));
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
        let notes = self.notes(built);
        let (news, troubles) = self.news(built, &notes, &report.failed);
        self.publish(built, &notes, &last);
        if self.args.quiet {
            self.say_troubles(&troubles);
            return last;
        }
        let mut page = tell::reloaded(built, &report, is_other, took, &news);
        let found = built.summary.found();
        if found != self.found {
            page.push('\n');
            page.push_str(&tell::found(&found));
            self.found = found;
        }
        self.voice.say(&page);
        last
    }

    fn publish(&self, built: &Built, notes: &[String], last_reload: &Value) {
        let status = json!({
            "state": "serving",
            "leftOut": built.left_out,
            "notes": built.troubles.iter().chain(notes).collect::<Vec<_>>(),
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
