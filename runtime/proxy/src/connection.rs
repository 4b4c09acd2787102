//! One client connection: requests in turn, each on its own, whatever becomes of the one before.

use crate::{body::Reply, exchange, listener::OpenListener, pool::MINIMUM_BUFFER, running::Shared, worker::Local};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};
use tokio::net::TcpStream;

/// A connection's share of its listener's limit.
pub(crate) struct Held {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: Arc<OpenListener>,
}

impl Held {
    /// None where the listener has as many connections as it may.
    pub(crate) fn new(shared: &Arc<Shared>, listener: &Arc<OpenListener>, limit: usize) -> Option<Self> {
        let held = Held { shared: Arc::clone(shared), listener: Arc::clone(listener) };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let before = listener.connections.fetch_add(1, Ordering::Relaxed);
        (before < limit).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection until the client closes it or its listener does.
pub(crate) async fn serve(local: Rc<Local>, stream: TcpStream, peer: SocketAddr, held: Held) {
    // Only a hint to the kernel.
    let _ = stream.set_nodelay(true);
    let Ok(address) = stream.local_addr() else { return };
    let limits = &local.shared.options.limits;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(MINIMUM_BUFFER));
    let listener = Arc::clone(&held.listener);
    let service = service_fn(|request: Request<Incoming>| {
        let work = exchange::exchange(Rc::clone(&local), Arc::clone(&listener), address, peer, request);
        guarded(Rc::clone(&local), work)
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut closing = listener.closing.subscribe();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|&is_closing| is_closing) => connection.as_mut().graceful_shutdown(),
    }
    // What a client sends wrong has been answered; what it breaks off needs no answer.
    let _ = connection.await;
    drop(held);
}

/// Runs the work on one request; if it panics, that is this request's 500, and nobody else's.
async fn guarded<E>(
    local: Rc<Local>,
    work: impl Future<Output = Result<Response<Reply>, E>>,
) -> Result<Response<Reply>, E> {
    if let Some(outcome) = caught(work).await {
        return outcome;
    }
    local.metrics().panics.fetch_add(1, Ordering::Relaxed);
    let mut response = Response::new(Reply::own("".into(), |_, _| {}));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    Ok(response)
}

/// What the work comes to; none if it panics.
async fn caught<W: Future>(work: W) -> Option<W::Output> {
    let mut work = Box::pin(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| Pin::as_mut(&mut work).poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(outcome)) => Poll::Ready(Some(outcome)),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_where_it_happens() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let calm = async {
            tokio::task::yield_now().await;
            7
        };
        let panics = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "on purpose");
        };
        assert_eq!(runtime.block_on(caught(calm)), Some(7));
        assert_eq!(runtime.block_on(caught(panics)), None);
    }
}
