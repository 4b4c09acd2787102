//! A response's body on its way to the client.

use crate::idle::Busy;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;

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

/// Whether the time for an answer is over, for the one who reads it.
#[derive(Default)]
pub(crate) struct Expiry {
    is_over: Cell<bool>,
    reader: Cell<Option<Waker>>,
}

impl Expiry {
    /// It is over.
    pub(crate) fn pass(&self) {
        self.is_over.set(true);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// A response's body on its way to the client. What hangs on its end (the access log, the upstream connection's return
/// to its pool) is told when it is dropped, since hyper asks for no more than it needs.
pub(crate) struct Reply {
    source: Source,
    /// None: it has all the time.
    expiry: Option<Rc<Expiry>>,
    sent: u64,
    ending: Option<Ending>,
    /// Whether trailers go with it: on HTTP/1 Envoy drops them.
    has_trailers: bool,
    trailers: Option<Box<HeaderMap>>,
    end: Option<Box<OnEnd>>,
    /// The client's connection is not idle as long as this is.
    busy: Option<Busy>,
}

/// The end of a response.
pub(crate) struct End<'r> {
    pub(crate) ending: Ending,
    /// Bytes of its body.
    pub(crate) sent: u64,
    pub(crate) trailers: Option<&'r HeaderMap>,
    /// When it was: the clock is looked at once for all who want to know.
    pub(crate) time: Instant,
}

type OnEnd = dyn FnOnce(End<'_>);

enum Source {
    Own(Option<Bytes>),
    Upstream(Incoming),
}

impl Reply {
    /// Of the proxy's own.
    pub(crate) fn own(body: Bytes, end: impl FnOnce(End<'_>) + 'static) -> Self {
        let source = Source::Own(Some(body).filter(|body| !body.is_empty()));
        Reply {
            source,
            expiry: None,
            sent: 0,
            ending: Some(Ending::Whole),
            has_trailers: false,
            trailers: None,
            end: Some(Box::new(end)),
            busy: None,
        }
    }

    /// Of an upstream, until its time is over.
    pub(crate) fn upstream(
        body: Incoming,
        has_trailers: bool,
        expiry: Option<Rc<Expiry>>,
        end: impl FnOnce(End<'_>) + 'static,
    ) -> Self {
        let ending = body.is_end_stream().then_some(Ending::Whole);
        let source = Source::Upstream(body);
        Reply { source, expiry, sent: 0, ending, has_trailers, trailers: None, end: Some(Box::new(end)), busy: None }
    }

    /// Keeps the client's connection from being idle, until its end.
    pub(crate) fn keep_busy(&mut self, busy: Busy) {
        self.busy = Some(busy);
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
        if this.expiry.as_ref().is_some_and(|expiry| expiry.is_over.get()) && !body.is_end_stream() {
            this.ending = Some(Ending::TimedOut);
            return Poll::Ready(Some(Err(Broken::Timeout)));
        }
        loop {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let data = match frame.into_data() {
                        Ok(data) => data,
                        Err(frame) => {
                            this.trailers = frame.into_trailers().ok().map(Box::new);
                            match this.trailers.as_deref().filter(|_| this.has_trailers).cloned() {
                                Some(trailers) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                                None => continue,
                            }
                        }
                    };
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
        if let Some(expiry) = &this.expiry {
            expiry.reader.set(Some(context.waker().clone()));
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
        let is_over = self.expiry.as_ref().is_some_and(|expiry| expiry.is_over.get());
        let otherwise = if is_over { Ending::TimedOut } else { Ending::ClientGone };
        let ending = if whole { Ending::Whole } else { self.ending.unwrap_or(otherwise) };
        let time = Instant::now();
        if let Some(end) = self.end.take() {
            end(End { ending, sent: self.sent, trailers: self.trailers.as_deref(), time });
        }
        if let Some(busy) = self.busy.take() {
            busy.end(time);
        }
    }
}
