//! What a client's connection does while it holds things up: says nothing, sends a head too slowly, or does not read
//! its answer. One timer for each connection watches all of it, and requests only leave word.

use crate::options::Limits;
use std::{
    io::{IoSlice, Result},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// What a connection is doing. One worker alone writes it; a stream that may change its protocol must be one that could go
/// elsewhere, hence the atomics.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// What comes of HTTP/2 between requests is no head: answers to pings, windows.
    is_http2: bool,
    /// Requests whose answers are not whole yet.
    requests: AtomicUsize,
    /// When there was none any more.
    quiet_since: Mark,
    /// When the first byte came of a request that is not known yet.
    head_since: Mark,
    /// Since when what was written waits to be read.
    unread_since: Mark,
}

/// A time, in microseconds after a connection was opened and one more; 0 for none.
#[derive(Debug, Default)]
struct Mark(AtomicU64);

impl Mark {
    fn get(&self, opened: Instant) -> Option<Instant> {
        opened.checked_add(Duration::from_micros(self.0.load(Ordering::Relaxed).checked_sub(1)?))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn set(&self, opened: Instant) {
        self.set_to(opened, Instant::now());
    }

    fn set_to(&self, opened: Instant, time: Instant) {
        let after = u64::try_from(time.saturating_duration_since(opened).as_micros()).unwrap_or(u64::MAX);
        self.0.store(after.saturating_add(1), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
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
    pub(crate) fn new(is_http2: bool) -> Arc<Self> {
        let activity = Activity {
            opened: Instant::now(),
            is_http2,
            requests: AtomicUsize::default(),
            quiet_since: Mark::default(),
            head_since: Mark::default(),
            unread_since: Mark::default(),
        };
        activity.quiet_since.set(activity.opened);
        Arc::new(activity)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// A request has begun; it lasts as long as the value.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.store(self.requests() + 1, Ordering::Relaxed);
        self.head_since.clear();
        Busy { activity: Arc::clone(self), ended: None }
    }

    fn come(&self) {
        if !self.is_http2 && self.requests() == 0 && !self.head_since.is_set() {
            self.head_since.set(self.opened);
        }
    }

    fn due(&self, limits: &Limits) -> (Overdue, Option<Instant>) {
        let after = |since: &Mark, limit: Duration| since.get(self.opened)?.checked_add(limit);
        if self.unread_since.is_set() {
            (Overdue::Stuck, after(&self.unread_since, limits.stream_idle_timeout))
        } else if self.requests() > 0 {
            (Overdue::Stuck, None)
        } else if self.head_since.is_set() {
            (Overdue::Stuck, after(&self.head_since, limits.header_read_timeout))
        } else {
            (Overdue::Idle, after(&self.quiet_since, limits.client_idle_timeout))
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
            if self.requests() == 0 {
                return;
            }
        }
    }
}

/// A request that is not at its end.
#[derive(Debug)]
pub(crate) struct Busy {
    activity: Arc<Activity>,
    /// When it ended, where somebody has looked at the clock already.
    ended: Option<Instant>,
}

impl Busy {
    /// It ends, and this is the time.
    pub(crate) fn end(mut self, now: Instant) {
        self.ended = Some(now);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Activity { opened, requests, quiet_since, .. } = &*self.activity;
        let left = requests.load(Ordering::Relaxed).saturating_sub(1);
        requests.store(left, Ordering::Relaxed);
        if left == 0 {
            quiet_since.set_to(*opened, self.ended.unwrap_or_else(Instant::now));
        }
    }
}

/// A client's stream that tells of what comes and what cannot go.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Watched { stream, activity }
    }

    fn wrote(&self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match written {
            Poll::Pending if !self.activity.unread_since.is_set() => {
                self.activity.unread_since.set(self.activity.opened);
            }
            Poll::Pending => {}
            Poll::Ready(_) => self.activity.unread_since.clear(),
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
        let http2 = Activity::new(true);
        http2.come();
        assert_eq!(http2.due(&limits).0, Overdue::Idle, "between requests much comes that begins none");
        let activity = Activity::new(false);
        let of = |mark: &Mark, limit| Some(mark.get(activity.opened).expect("it is set") + limit);
        let hour = Duration::from_hours(1);
        assert_eq!(activity.due(&limits), (Overdue::Idle, of(&activity.quiet_since, hour)));
        activity.come();
        let began = activity.head_since.get(activity.opened).expect("a head has begun");
        activity.come();
        assert_eq!(activity.due(&limits), (Overdue::Stuck, Some(began + limits.header_read_timeout)));
        let (one, two) = (activity.begin(), activity.begin());
        assert_eq!(activity.due(&limits), (Overdue::Stuck, None));
        activity.come();
        drop(one);
        assert_eq!(activity.due(&limits), (Overdue::Stuck, None), "one is under way");
        drop(two);
        assert_eq!(activity.due(&limits).0, Overdue::Idle, "what came meanwhile was theirs");
        activity.unread_since.set(activity.opened);
        let unread = of(&activity.unread_since, limits.stream_idle_timeout);
        assert_eq!(activity.due(&limits), (Overdue::Stuck, unread));
    }
}
