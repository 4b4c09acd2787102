//! What a client's connection does while it holds things up: says nothing, sends a head too slowly, or does not read
//! its answer. One timer for each connection watches all of it, and requests only leave word.

use crate::options::Limits;
use std::{
    cell::Cell,
    io::{IoSlice, Result},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Requests whose answers are not whole yet.
    requests: Cell<usize>,
    /// When there was none any more.
    quiet_since: Cell<Instant>,
    /// When the first byte came of a request that is not known yet.
    head_since: Cell<Option<Instant>>,
    /// Since when what was written waits to be read.
    unread_since: Cell<Option<Instant>>,
}

/// What a connection's time is over for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Another request.
    Idle,
    /// The rest of a head, or the reading of an answer.
    Stuck,
}

impl Activity {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Activity {
            requests: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            head_since: Cell::default(),
            unread_since: Cell::default(),
        })
    }

    /// A request has begun; it lasts as long as the value.
    pub(crate) fn begin(self: &Rc<Self>) -> Busy {
        self.requests.set(self.requests.get() + 1);
        self.head_since.set(None);
        Busy(Rc::clone(self))
    }

    fn come(&self) {
        if self.requests.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    fn due(&self, limits: &Limits) -> (Overdue, Option<Instant>) {
        let after = |since: Instant, limit: Duration| since.checked_add(limit);
        if let Some(since) = self.unread_since.get() {
            return (Overdue::Stuck, after(since, limits.stream_idle_timeout));
        }
        if self.requests.get() > 0 {
            return (Overdue::Stuck, None);
        }
        match self.head_since.get() {
            Some(since) => (Overdue::Stuck, after(since, limits.header_read_timeout)),
            None => (Overdue::Idle, after(self.quiet_since.get(), limits.client_idle_timeout)),
        }
    }

    /// Waits until the client has held the connection up for longer than it may. A connection that goes on wakes this up
    /// once in the shortest of the limits, not with each request.
    pub(crate) async fn overdue(&self, limits: &Limits) -> Overdue {
        let round = limits.header_read_timeout.min(limits.client_idle_timeout).min(limits.stream_idle_timeout);
        loop {
            let now = Instant::now();
            let (what, at) = self.due(limits);
            if at.is_some_and(|at| at <= now) {
                return what;
            }
            match at.into_iter().chain(now.checked_add(round)).min() {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        }
    }

    /// As [`Activity::overdue`], of a connection that was told to end: it has a little time to do so.
    pub(crate) async fn stays(&self, limits: &Limits) {
        while self.overdue(limits).await == Overdue::Idle {
            tokio::time::sleep(limits.header_read_timeout).await;
            if self.requests.get() == 0 {
                return;
            }
        }
    }
}

/// A request that is not at its end.
#[derive(Debug)]
pub(crate) struct Busy(Rc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
        if self.0.requests.get() == 0 {
            self.0.quiet_since.set(Instant::now());
        }
    }
}

/// A client's stream that tells of what comes and what cannot go.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Rc<Activity>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Rc<Activity>) -> Self {
        Watched { stream, activity }
    }

    fn wrote(&self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match written {
            Poll::Pending if self.activity.unread_since.get().is_none() => {
                self.activity.unread_since.set(Some(Instant::now()));
            }
            Poll::Pending => {}
            Poll::Ready(_) => self.activity.unread_since.set(None),
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.activity.come();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_tells_how_long() {
        let limits = Limits::default();
        let activity = Activity::new();
        let of = |limit| Some(activity.quiet_since.get() + limit);
        assert_eq!(activity.due(&limits), (Overdue::Idle, of(Duration::from_hours(1))));
        activity.come();
        let began = activity.head_since.get().expect("a head has begun");
        activity.come();
        assert_eq!(activity.due(&limits), (Overdue::Stuck, Some(began + limits.header_read_timeout)));
        let (one, two) = (activity.begin(), activity.begin());
        assert_eq!(activity.due(&limits), (Overdue::Stuck, None));
        activity.come();
        drop(one);
        assert_eq!(activity.due(&limits), (Overdue::Stuck, None), "one is under way");
        drop(two);
        assert_eq!(activity.due(&limits).0, Overdue::Idle, "what came meanwhile was theirs");
        activity.unread_since.set(Some(began));
        assert_eq!(activity.due(&limits), (Overdue::Stuck, Some(began + limits.stream_idle_timeout)));
    }
}
