//! Bodies of requests on their way through: they may have to be sent again.

use crate::tap::{Incomplete, Tap};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The body of a downstream request. Each try reads it through a [`Sent`] of its own; what earlier tries read is kept
/// up to a bound, so that a later one can send it again (semantics C54), and what was read while no try did is kept until
/// one has it.
pub(crate) struct Received {
    incoming: RefCell<Option<Incoming>>,
    hint: SizeHint,
    kept: RefCell<VecDeque<Bytes>>,
    /// The number of the first piece that is kept.
    first: Cell<usize>,
    /// The number of the piece that the try at hand reads next.
    next: Cell<usize>,
    /// Bytes of memory that is kept.
    charged: Cell<usize>,
    /// How much may be kept of what a try has read.
    bound: Cell<usize>,
    bytes: Cell<u64>,
    failed: Cell<bool>,
    trailers: RefCell<Option<HeaderMap>>,
    complete: Notify,
    /// Since when another piece is waited for.
    lacking_since: Cell<Option<Instant>>,
    completed_at: Cell<Option<Instant>>,
    /// Copies, from its start.
    taps: RefCell<Vec<Rc<Tap>>>,
    /// How many tries there were, and which of them asked for anything last.
    tries: Cell<u32>,
    touched: Cell<u32>,
}

/// What a piece of a body counts as that is kept: the smallest take more memory than they hold.
pub(crate) fn charge(piece: &Bytes) -> usize {
    piece.len().max(64)
}

impl Drop for Received {
    fn drop(&mut self) {
        self.taps.borrow().iter().for_each(|tap| tap.break_off());
    }
}

impl Received {
    /// Keeps nothing yet. `now` is when its head came.
    pub(crate) fn new(incoming: Incoming, now: Instant) -> Rc<Self> {
        let hint = incoming.size_hint();
        let incoming = if incoming.is_end_stream() { None } else { Some(incoming) };
        let completed_at = Cell::new(incoming.is_none().then_some(now));
        Rc::new(Received {
            incoming: RefCell::new(incoming),
            hint,
            kept: RefCell::default(),
            first: Cell::new(0),
            next: Cell::new(0),
            charged: Cell::new(0),
            bound: Cell::new(0),
            bytes: Cell::new(0),
            failed: Cell::new(false),
            trailers: RefCell::default(),
            complete: Notify::new(),
            lacking_since: Cell::default(),
            completed_at,
            taps: RefCell::default(),
            tries: Cell::default(),
            touched: Cell::default(),
        })
    }

    /// Whether the try at hand has read anything of it, or, without a body, asked for it.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched.get() == self.tries.get()
    }

    /// Keeps at most `bound` bytes of what a try reads.
    pub(crate) fn keep(&self, bound: usize) {
        self.bound.set(bound);
    }

    /// No other try will send it: what was read is given up.
    pub(crate) fn forget(&self) {
        self.bound.set(0);
        self.give_up_beyond_bound();
    }

    fn give_up_beyond_bound(&self) {
        if self.charged.get() <= self.bound.get() {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        while self.first.get() < self.next.get()
            && let Some(piece) = kept.pop_front()
        {
            self.first.set(self.first.get() + 1);
            self.charged.set(self.charged.get().saturating_sub(charge(&piece)));
        }
    }

    /// Whether another try can send all of it.
    pub(crate) fn can_repeat(&self) -> bool {
        self.first.get() == 0 && !self.failed.get()
    }

    /// Waits for something, and meanwhile reads ahead as far as `bound`, so that the end of the body is noticed, and that
    /// the client left: then there is nothing to wait for. For when no try reads the body.
    pub(crate) async fn reading_ahead<T>(&self, bound: usize, other: impl Future<Output = T>) -> Option<T> {
        let mut other = std::pin::pin!(other);
        std::future::poll_fn(|context| {
            if let Poll::Ready(value) = other.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            while self.charged.get() < bound && matches!(self.poll_more(context), Poll::Ready(Some(Ok(())))) {}
            if self.failed.get() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// The next piece for the try at hand.
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        let next = self.next.get();
        let piece = || self.kept.borrow().get(next.checked_sub(self.first.get())?).cloned();
        let piece = match piece() {
            Some(known) => known,
            None => match std::task::ready!(self.poll_more(context)) {
                Some(Ok(())) => piece().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            },
        };
        self.next.set(next + 1);
        self.give_up_beyond_bound();
        Poll::Ready(Some(Ok(piece)))
    }

    /// Whether the client broke off before its end.
    pub(crate) fn failed(&self) -> bool {
        self.failed.get()
    }

    /// Whether the client has sent all of it, and all of it was read.
    pub(crate) fn is_complete(&self) -> bool {
        self.incoming.borrow().is_none() && !self.failed.get()
    }

    /// When the client had sent all of it.
    pub(crate) fn completed_at(&self) -> Option<Instant> {
        self.completed_at.get()
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Its length, where the client said it or sent it all.
    pub(crate) fn length(&self) -> Option<u64> {
        self.hint.exact()
    }

    /// Waits until the client has sent all of it, or broken off: timeouts count from there (semantics C42).
    pub(crate) async fn complete(&self) {
        loop {
            let notified = self.complete.notified();
            if self.incoming.borrow().is_none() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until a piece of it has been waited for so long; for ever, where it all came.
    pub(crate) async fn lacking(&self, limit: Duration) {
        while self.incoming.borrow().is_some() {
            let now = Instant::now();
            let due = self.lacking_since.get().unwrap_or(now).checked_add(limit);
            match due {
                Some(due) if due <= now => return,
                Some(due) => tokio::time::sleep_until(due).await,
                None => break,
            }
        }
        std::future::pending::<()>().await;
    }

    /// One more piece to those that are kept.
    fn poll_more(&self, context: &mut Context<'_>) -> Poll<Option<Result<(), hyper::Error>>> {
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let Some(body) = incoming.as_mut() else { return Poll::Ready(None) };
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) else {
                self.lacking_since.set(self.lacking_since.get().or_else(|| Some(Instant::now())));
                return Poll::Pending;
            };
            self.lacking_since.set(None);
            let is_last = body.is_end_stream() || !matches!(frame, Some(Ok(_)));
            if is_last {
                *incoming = None;
                self.completed_at.set(Some(Instant::now()));
                self.complete.notify_waiters();
            }
            match frame {
                None => {
                    self.taps.borrow().iter().for_each(|tap| tap.end());
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    self.failed.set(true);
                    self.taps.borrow().iter().for_each(|tap| tap.break_off());
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => {
                    let data = match frame.into_data() {
                        Ok(data) => data,
                        Err(frame) => {
                            *self.trailers.borrow_mut() = frame.into_trailers().ok();
                            if is_last {
                                self.taps.borrow().iter().for_each(|tap| tap.end());
                            }
                            continue;
                        }
                    };
                    self.bytes.set(self.bytes.get() + data.len() as u64);
                    let mut taps = self.taps.borrow_mut();
                    taps.retain(|tap| {
                        tap.push(&data);
                        if is_last {
                            tap.end();
                        }
                        tap.is_open()
                    });
                    self.charged.set(self.charged.get() + charge(&data));
                    self.kept.borrow_mut().push_back(data);
                    return Poll::Ready(Some(Ok(())));
                }
            }
        }
    }
}

/// A request's body as one try sends it, or a copy of it.
pub(crate) struct Sent {
    from: From,
    is_empty: bool,
    hint: SizeHint,
    /// Whether trailers go with it: on HTTP/1 Envoy drops them.
    has_trailers: bool,
}

enum From {
    /// What was kept, and what comes after it; and which try it is.
    Received(Rc<Received>, u32),
    Tap(Rc<Tap>),
    /// The copy of nothing.
    Nothing,
}

impl Sent {
    /// From its start, for the next try.
    pub(crate) fn new(from: Rc<Received>) -> Self {
        from.next.set(0);
        let is_empty = from.incoming.borrow().is_none() && from.kept.borrow().is_empty();
        let hint = if is_empty { SizeHint::with_exact(0) } else { from.hint };
        let number = from.tries.get().saturating_add(1);
        from.tries.set(number);
        Sent { from: From::Received(from, number), is_empty, hint, has_trailers: false }
    }

    /// A copy that may be `bound` bytes behind; asked for before anything of the body is read.
    pub(crate) fn copy(of: &Received, bound: usize) -> Self {
        if of.incoming.borrow().is_none() {
            return Sent { from: From::Nothing, is_empty: true, hint: SizeHint::with_exact(0), has_trailers: false };
        }
        let tap = Tap::new(bound);
        of.taps.borrow_mut().push(Rc::clone(&tap));
        Sent { from: From::Tap(tap), is_empty: false, hint: of.hint, has_trailers: false }
    }

    /// With the trailers, if there are any.
    pub(crate) fn with_trailers(self: &mut Sent) {
        self.has_trailers = true;
    }

    /// The copy that is read, where there is one of something.
    pub(crate) fn tap(&self) -> Option<Rc<Tap>> {
        match &self.from {
            From::Tap(tap) => Some(Rc::clone(tap)),
            From::Received(..) | From::Nothing => None,
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let From::Tap(tap) = &self.from {
            tap.give_up();
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Unsent;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unsent>>> {
        let this = self.get_mut();
        match &this.from {
            From::Nothing => Poll::Ready(None),
            From::Received(from, number) => {
                from.touched.set(*number);
                if this.is_empty {
                    return Poll::Ready(None);
                }
                let data = std::task::ready!(from.poll_next(context));
                if data.is_none() && std::mem::take(&mut this.has_trailers) {
                    let trailers = from.trailers.borrow().clone();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                Poll::Ready(data.map(|data| data.map(Frame::data).map_err(Unsent::Client)))
            }
            From::Tap(tap) => {
                let data = std::task::ready!(tap.poll_next(context));
                Poll::Ready(data.map(|data| data.map(Frame::data).map_err(Unsent::Copy)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// Why a request's body is not sent to its end.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The client broke off.
    Client(hyper::Error),
    /// It is a copy that is not whole.
    Copy(Incomplete),
}

impl std::fmt::Display for Unsent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unsent::Client(error) => write!(formatter, "the client broke off: {error}"),
            Unsent::Copy(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Unsent {}

/// Until when a whole answer must have come: so long after the request is complete, if the request was being sent by then
/// (semantics C42).
pub(crate) struct Deadline {
    pub(crate) received: Rc<Received>,
    pub(crate) begun: Instant,
    pub(crate) timeout: Duration,
}

impl Deadline {
    /// Waits for it.
    pub(crate) async fn passed(&self) {
        self.received.complete().await;
        let from = self.received.completed_at().unwrap_or(self.begun).max(self.begun);
        match from.checked_add(self.timeout) {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

/// A time limit that starts when a request's body is complete.
pub(crate) async fn limit_from_completion(received: &Received, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    received.complete().await;
    tokio::time::sleep(limit).await;
}
