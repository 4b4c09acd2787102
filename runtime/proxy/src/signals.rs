//! Being asked to stop.

use std::{io, process, thread};
use tokio::runtime::Builder;

/// How a process is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// Ctrl-C, which everything that the terminal runs in the foreground hears.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// Calls `stop` at the first Ctrl-C or SIGTERM; the second ends the process at once, with status 130.
///
/// When it returns, a signal no longer ends the process by itself: whoever says that a process is ready calls this
/// first.
///
/// # Errors
/// The system gives no thread, or no way to wait for signals.
pub fn on_stop(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut stop = Some(stop);
    on_stop_signal(move |_| match stop.take() {
        Some(stop) => stop(),
        None => process::exit(130),
    })
}

/// Calls `told` at each Ctrl-C and SIGTERM, none of which ends the process from now on.
///
/// # Errors
/// As [`on_stop`].
pub fn on_stop_signal(mut told: impl FnMut(StopSignal) + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::register()?
    };
    let wait = move || {
        runtime.block_on(async {
            loop {
                told(signals.next().await);
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn register() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn register() -> io::Result<Signals> {
        tokio::signal::windows::ctrl_c().map(Signals)
    }

    async fn next(&mut self) -> StopSignal {
        self.0.recv().await;
        StopSignal::Interrupt
    }
}
