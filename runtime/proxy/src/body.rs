//! Bodies on their way through: a request's, which may have to be sent again, and a response's.

use crate::tap::{Incomplete, Tap};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep},
};

/// The body of a downstream request. Each try reads it through a [`Sent`] of its own; what earlier tries read is kept
/// up to a bound, so that a later one can send it again (semantics C54).
pub(crate) struct Received {
    incoming: RefCell<Option<Incoming>>,
    hint: SizeHint,
    kept: RefCell<Vec<Bytes>>,
    /// How much may still be kept; none once the body was longer.
    room: Cell<Option<usize>>,
    bytes: Cell<u64>,
    failed: Cell<bool>,
    complete: Notify,
    completed_at: Cell<Option<Instant>>,
    /// Copies, from its start.
    taps: RefCell<Vec<Rc<Tap>>>,
}

impl Drop for Received {
    fn drop(&mut self) {
        self.taps.borrow().iter().for_each(|tap| tap.break_off());
    }
}

impl Received {
    /// Keeps nothing yet.
    pub(crate) fn new(incoming: Incoming) -> Rc<Self> {
        let hint = incoming.size_hint();
        let incoming = if incoming.is_end_stream() { None } else { Some(incoming) };
        let completed_at = Cell::new(incoming.is_none().then(Instant::now));
        Rc::new(Received {
            incoming: RefCell::new(incoming),
            hint,
            kept: RefCell::default(),
            room: Cell::new(Some(0)),
            bytes: Cell::new(0),
            failed: Cell::new(false),
            complete: Notify::new(),
            completed_at,
            taps: RefCell::default(),
        })
    }

    /// Keeps at most `bound` bytes from now on.
    pub(crate) fn keep(&self, bound: usize) {
        self.room.set(Some(bound));
    }

    /// Whether another try can send all of it.
    pub(crate) fn can_repeat(&self) -> bool {
        self.room.get().is_some() && !self.failed.get()
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

    fn poll_more(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let Some(body) = incoming.as_mut() else { return Poll::Ready(None) };
            let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(context));
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
                // Trailers are dropped, as Envoy does on HTTP/1.
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        if is_last {
                            self.taps.borrow().iter().for_each(|tap| tap.end());
                        }
                        continue;
                    };
                    self.bytes.set(self.bytes.get() + data.len() as u64);
                    for tap in self.taps.borrow().iter() {
                        tap.push(&data);
                        if is_last {
                            tap.end();
                        }
                    }
                    let room = self.room.get().and_then(|room| room.checked_sub(data.len()));
                    self.room.set(room);
                    let mut kept = self.kept.borrow_mut();
                    match room {
                        Some(_) => kept.push(data.clone()),
                        None => kept.clear(),
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

/// A request's body as one try sends it, or a copy of it.
pub(crate) struct Sent {
    from: Option<From>,
    hint: SizeHint,
    touched: Rc<Cell<bool>>,
}

enum From {
    /// What was kept, from this piece on, and what comes after it.
    Received(Rc<Received>, usize),
    Tap(Rc<Tap>),
}

impl Sent {
    /// From its start. `touched` tells whether anything was read of it, or, without a body, whether it was asked.
    pub(crate) fn new(from: Rc<Received>, touched: Rc<Cell<bool>>) -> Self {
        let empty = from.incoming.borrow().is_none() && from.kept.borrow().is_empty();
        let hint = if empty { SizeHint::with_exact(0) } else { from.hint };
        Sent { from: (!empty).then_some(From::Received(from, 0)), hint, touched }
    }

    /// A copy that may be `bound` bytes behind; asked for before anything of the body is read.
    pub(crate) fn copy(of: &Received, bound: usize) -> Self {
        let touched = Rc::default();
        if of.incoming.borrow().is_none() {
            return Sent { from: None, hint: SizeHint::with_exact(0), touched };
        }
        let tap = Tap::new(bound);
        of.taps.borrow_mut().push(Rc::clone(&tap));
        Sent { from: Some(From::Tap(tap)), hint: of.hint, touched }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Unsent;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unsent>>> {
        let this = self.get_mut();
        this.touched.set(true);
        match &mut this.from {
            None => Poll::Ready(None),
            Some(From::Received(from, next)) => {
                let kept = from.kept.borrow().get(*next).cloned();
                let data = match kept {
                    Some(data) => Some(Ok(data)),
                    None => std::task::ready!(from.poll_more(context)),
                };
                *next += 1;
                Poll::Ready(data.map(|data| data.map(Frame::data).map_err(Unsent::Client)))
            }
            Some(From::Tap(tap)) => {
                let data = std::task::ready!(tap.poll_next(context));
                Poll::Ready(data.map(|data| data.map(Frame::data).map_err(Unsent::Copy)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.from.is_none()
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

/// Why a response ended before its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The upstream broke off.
    Upstream(hyper::Error),
    /// The route's timeout passed after headers were sent.
    Timeout,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Upstream(error) => write!(formatter, "the upstream broke off: {error}"),
            Broken::Timeout => formatter.write_str("the route's timeout passed"),
        }
    }
}

impl std::error::Error for Broken {}

/// How the sending of a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All of it went out.
    Whole,
    /// The client left.
    ClientGone,
    /// The upstream broke off.
    UpstreamBroke,
    /// The route's timeout passed.
    TimedOut,
}

/// A response's body on its way to the client. What hangs on its end (the access log, the upstream connection's return
/// to its pool) is told when it is dropped, since hyper asks for no more than it needs.
pub(crate) struct Reply {
    source: Source,
    deadline: Option<Pin<Box<Sleep>>>,
    sent: u64,
    ending: Option<Ending>,
    end: Option<Box<dyn FnOnce(Ending, u64)>>,
}

enum Source {
    Own(Option<Bytes>),
    Upstream(Incoming),
}

impl Reply {
    /// Of the proxy's own. `end` is called with the bytes sent.
    pub(crate) fn own(body: Bytes, end: impl FnOnce(Ending, u64) + 'static) -> Self {
        let source = Source::Own(Some(body).filter(|body| !body.is_empty()));
        Reply { source, deadline: None, sent: 0, ending: Some(Ending::Whole), end: Some(Box::new(end)) }
    }

    /// Of an upstream, at most until `deadline`.
    pub(crate) fn upstream(body: Incoming, deadline: Option<Instant>, end: impl FnOnce(Ending, u64) + 'static) -> Self {
        let deadline = deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        let ending = body.is_end_stream().then_some(Ending::Whole);
        Reply { source: Source::Upstream(body), deadline, sent: 0, ending, end: Some(Box::new(end)) }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let body = match &mut this.source {
            Source::Own(body) => {
                let body = body.take();
                this.sent += body.as_ref().map_or(0, Bytes::len) as u64;
                return Poll::Ready(body.map(|body| Ok(Frame::data(body))));
            }
            Source::Upstream(body) => body,
        };
        loop {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.sent += data.len() as u64;
                    if body.is_end_stream() {
                        this.ending = Some(Ending::Whole);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(Some(Err(error))) => {
                    this.ending = Some(Ending::UpstreamBroke);
                    return Poll::Ready(Some(Err(Broken::Upstream(error))));
                }
                Poll::Ready(None) => {
                    this.ending = Some(Ending::Whole);
                    return Poll::Ready(None);
                }
                Poll::Pending => break,
            }
        }
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            this.ending = Some(Ending::TimedOut);
            return Poll::Ready(Some(Err(Broken::Timeout)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(body) => body.is_none(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Source::Upstream(body) => body.size_hint(),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let whole = matches!(&self.source, Source::Upstream(body) if body.is_end_stream());
        let ending = if whole { Ending::Whole } else { self.ending.unwrap_or(Ending::ClientGone) };
        if let Some(end) = self.end.take() {
            end(ending, self.sent);
        }
    }
}

/// A time limit that starts when a request's body is complete.
pub(crate) async fn limit_from_completion(received: &Received, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    received.complete().await;
    tokio::time::sleep(limit).await;
}
