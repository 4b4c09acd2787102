//! A copy of a body that is on its way elsewhere. Whoever reads the copy cannot slow the original: what it is behind
//! with is kept up to a bound, and past it the copy breaks off.

use crate::body::charge;
use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    task::{Context, Poll, Waker},
};
use tokio::sync::Notify;

/// One copy, filled at one end and read at the other.
pub(crate) struct Tap {
    queue: RefCell<VecDeque<Bytes>>,
    /// Bytes that may still be queued.
    room: Cell<usize>,
    state: Cell<State>,
    reader: RefCell<Option<Waker>>,
    /// Told when nothing more comes.
    closed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Broken,
}

/// The copy is not whole.
#[derive(Debug)]
pub(crate) struct Incomplete;

impl fmt::Display for Incomplete {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the body that is copied broke off, or its reader fell behind")
    }
}

impl std::error::Error for Incomplete {}

impl Tap {
    /// A copy that may be `bound` bytes behind.
    pub(crate) fn new(bound: usize) -> Rc<Tap> {
        Rc::new(Tap {
            queue: RefCell::default(),
            room: Cell::new(bound),
            state: Cell::new(State::Open),
            reader: RefCell::default(),
            closed: Notify::new(),
        })
    }

    /// One piece more.
    pub(crate) fn push(&self, data: &Bytes) {
        if self.state.get() != State::Open {
            return;
        }
        match self.room.get().checked_sub(charge(data)) {
            Some(room) => {
                self.room.set(room);
                self.queue.borrow_mut().push_back(data.clone());
                self.wake();
            }
            None => self.break_off(),
        }
    }

    /// Whether more may come.
    pub(crate) fn is_open(&self) -> bool {
        self.state.get() == State::Open
    }

    /// Waits until nothing more comes.
    pub(crate) async fn closed(&self) {
        loop {
            let closed = self.closed.notified();
            if !self.is_open() {
                return;
            }
            closed.await;
        }
    }

    /// There is no more.
    pub(crate) fn end(&self) {
        self.set(State::Ended);
    }

    /// The original broke off, or nobody reads it to its end.
    pub(crate) fn break_off(&self) {
        if self.is_open() {
            self.give_up();
        }
    }

    /// Nobody reads the copy any more.
    pub(crate) fn give_up(&self) {
        self.set(State::Broken);
        self.queue.borrow_mut().clear();
    }

    fn set(&self, state: State) {
        if self.state.get() == State::Open {
            self.state.set(state);
            self.closed.notify_waiters();
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    /// The next piece.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Incomplete>>> {
        if self.state.get() == State::Broken {
            return Poll::Ready(Some(Err(Incomplete)));
        }
        if let Some(data) = self.queue.borrow_mut().pop_front() {
            self.room.set(self.room.get() + charge(&data));
            return Poll::Ready(Some(Ok(data)));
        }
        if self.state.get() == State::Ended {
            return Poll::Ready(None);
        }
        *self.reader.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(tap: &Tap) -> Poll<Option<Result<Bytes, Incomplete>>> {
        tap.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_pushed_is_read_to_the_end() {
        let tap = Tap::new(130);
        assert!(next(&tap).is_pending());
        tap.push(&Bytes::from_static(b"abcd"));
        assert!(matches!(next(&tap), Poll::Ready(Some(Ok(data))) if data == "abcd"));
        tap.push(&Bytes::from_static(b"efgh"));
        tap.end();
        tap.break_off();
        assert!(matches!(next(&tap), Poll::Ready(Some(Ok(data))) if data == "efgh"));
        assert!(matches!(next(&tap), Poll::Ready(None)));
    }

    #[test]
    fn a_reader_that_falls_behind_gets_no_more() {
        let tap = Tap::new(130);
        tap.push(&Bytes::from_static(b"a"));
        tap.push(&Bytes::from_static(b"b"));
        assert!(tap.is_open(), "130 bytes are two small pieces");
        tap.push(&Bytes::from_static(b"c"));
        tap.end();
        assert!(!tap.is_open() && tap.queue.borrow().is_empty());
        assert!(matches!(next(&tap), Poll::Ready(Some(Err(Incomplete)))));
    }

    #[test]
    fn what_nobody_reads_any_more_is_not_kept() {
        let tap = Tap::new(1000);
        tap.push(&Bytes::from_static(b"abc"));
        tap.end();
        tap.give_up();
        assert!(tap.queue.borrow().is_empty());
    }
}
