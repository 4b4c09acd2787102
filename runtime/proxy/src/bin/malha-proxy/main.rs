//! `malha-proxy TABLE`: serves a compiled table, and the one that replaces its file.

mod arguments;
mod table_file;
mod watch;

use arguments::Arguments;
use clap::Parser;
use malha_proxy::{Handle, Proxy};
use std::{process::ExitCode, sync::Arc};
use table_file::TableFile;

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
    let (file, table) = TableFile::open(&arguments.table)?;
    let file = Arc::new(file);
    let options = arguments.options(&file)?;
    let handle = Proxy::start(Arc::new(table), options).map_err(|error| error.to_string())?;
    file.serve_with(&handle);
    tell_start(&handle);
    let watcher = watch::watch(&file)?;
    if let Some(path) = &arguments.ready_file {
        handle.write_ready_file(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    wait_for_signal()?;
    eprintln!("stopping: waiting for open requests, at most {} s", arguments.drain_seconds);
    drop(watcher);
    let report = handle.shutdown(std::time::Duration::from_secs(arguments.drain_seconds));
    if report.cut > 0 {
        eprintln!("{} connections were cut", report.cut);
    }
    Ok(())
}

fn tell_start(handle: &Handle) {
    for listener in handle.listeners() {
        eprintln!("{} {} of {} on {}", listener.role, listener.name, listener.proxy, listener.address);
    }
    if let Some(address) = handle.admin() {
        eprintln!("admin on {address}");
    }
    for sentence in handle.unsupported() {
        eprintln!("note: {sentence}");
    }
}

/// Blocks until the process is asked to end: once. The second time it ends at once.
fn wait_for_signal() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    runtime.block_on(signal()).map_err(|error| format!("cannot wait for signals: {error}"))?;
    std::thread::spawn(move || {
        if runtime.block_on(signal()).is_ok() {
            std::process::exit(130);
        }
    });
    Ok(())
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
