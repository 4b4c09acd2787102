//! Being asked to stop.

use crate::failure::Failure;
use std::{io, process, thread};
use tokio::runtime::Builder;

/// Calls `stop` at the first Ctrl-C or SIGTERM; the second ends the process at once.
///
/// # Errors
/// The system gives no thread.
pub(super) fn on_stop(stop: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("signals cannot be waited for: {error}"));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let wait = move || {
        runtime.block_on(async {
            if signal().await.is_err() {
                return;
            }
            stop();
            if signal().await.is_ok() {
                process::exit(130);
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(())
}

#[cfg(unix)]
async fn signal() -> io::Result<()> {
    use tokio::signal::unix;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
