//! The admin server: what the proxy is doing, on an address of its own.

mod answer;
mod facts;
mod istio;
mod prometheus;
mod route;
mod stats;

use crate::{listener::listen, proxy::Handle};
use answer::answer;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{fmt, io, net::SocketAddr, thread::JoinHandle, time::Duration};
use tokio::{sync::oneshot, task::LocalSet};

/// A running admin server, on a thread of its own: a busy worker does not keep it from answering.
pub(crate) struct AdminServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl AdminServer {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AdminServer on {}", self.address)
    }
}

/// Starts listening, then serving.
pub(crate) fn start(address: SocketAddr, handle: Handle) -> io::Result<AdminServer> {
    let socket = listen(address, false)?;
    let address = socket.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("malha-admin".to_owned()).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            tokio::select! {
                () = serve(socket, handle) => {}
                _ = stopped => {}
            }
        });
        // A reload that is still running does not keep the process.
        runtime.shutdown_background();
    })?;
    Ok(AdminServer { address, stop, thread })
}

async fn serve(socket: std::net::TcpListener, handle: Handle) {
    let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let handle = handle.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let handle = handle.clone();
                async move { Ok::<_, std::convert::Infallible>(answer(&handle, request).await) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
            // What a client breaks off needs no answer.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
