//! `malha-proxy TABLE`: serves a compiled table, and the one that replaces its file.

mod arguments;
mod table_file;
mod watch;

use arguments::Arguments;
use clap::Parser;
use malha_proxy::{Handle, Proxy, StartError, Whose};
use std::{process::ExitCode, sync::Arc};
use table_file::TableFile;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let (file, revision) = TableFile::open(&arguments.table, arguments.credentials())?;
    let file = Arc::new(file);
    let options = arguments.options(&file)?;
    let handle = Proxy::start(revision, options).map_err(|error| match remedy(&error) {
        Some(remedy) => format!("{error}\n  help: {remedy}"),
        None => error.to_string(),
    })?;
    file.serve_with(&handle);
    let (stop, stopped) = std::sync::mpsc::channel();
    malha_proxy::on_stop(move || _ = stop.send(())).map_err(|error| format!("cannot wait for signals: {error}"))?;
    let watcher = watch::watch(&file)?;
    tell_start(&handle);
    if let Some(path) = &arguments.ready_file {
        handle.write_ready_file(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    // Its sender lives until it has sent.
    let _ = stopped.recv();
    eprintln!("stopping: waiting for what is open, at most {} s", arguments.drain_seconds);
    drop(watcher);
    let report = handle.shutdown(std::time::Duration::from_secs(arguments.drain_seconds));
    if report.cut > 0 {
        eprintln!("{} connections were cut", report.cut);
    }
    Ok(())
}

/// Which option gives what cannot listen another address.
fn remedy(error: &StartError) -> Option<String> {
    if let StartError::Socket { .. } = error {
        return Some("--ephemeral takes sockets that nobody else has".to_owned());
    }
    let StartError::Listen { whose: Some(whose), .. } = error else { return None };
    Some(match whose {
        Whose::Gateway(port) | Whose::Egress(port) => {
            format!("--port {port}=0 takes any free port, --ephemeral does so for all")
        }
        Whose::DefaultSidecar => "--outbound 127.0.0.1:0 takes any free port".to_owned(),
        Whose::Sidecar(name) => format!("--sidecar {name}=127.0.0.1:0 takes any free port"),
        Whose::Forward(to) => format!("--forward {to} without an address takes any free port"),
        Whose::Admin => "--admin 127.0.0.1:0 takes any free port, --no-admin does without".to_owned(),
        _ => return None,
    })
}

fn tell_start(handle: &Handle) {
    for listener in handle.listeners() {
        eprintln!("{} {} of {} on {}", listener.role, listener.name, listener.proxy, listener.address);
    }
    for listener in handle.egress() {
        eprintln!("egress {} of {} on {}", listener.name, listener.proxy, listener.address);
    }
    if let Some(address) = handle.admin() {
        eprintln!("admin on {address}");
    }
    for sentence in handle.unsupported() {
        eprintln!("note: {sentence}");
    }
}
