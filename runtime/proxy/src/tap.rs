//! A copy of a body that is on its way elsewhere. Whoever reads the copy cannot slow the original: what it is behind
//! with is kept up to a bound, and past it the copy breaks off.

use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// One copy, filled at one end and read at the other.
pub(crate) struct Tap {
    queue: RefCell<VecDeque<Bytes>>,
    /// Bytes that may still be queued.
    room: Cell<usize>,
    state: Cell<State>,
    reader: RefCell<Option<Waker>>,
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
        })
    }

    /// One piece more.
    pub(crate) fn push(&self, data: &Bytes) {
        if self.state.get() != State::Open {
            return;
        }
        match self.room.get().checked_sub(data.len()) {
            Some(room) => {
                self.room.set(room);
                self.queue.borrow_mut().push_back(data.clone());
                self.wake();
            }
            None => self.set(State::Broken),
        }
    }

    /// There is no more.
    pub(crate) fn end(&self) {
        self.set(State::Ended);
    }

    /// The original broke off, or nobody reads it to its end.
    pub(crate) fn break_off(&self) {
        self.set(State::Broken);
    }

    fn set(&self, state: State) {
        if self.state.get() == State::Open {
            self.state.set(state);
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
            self.room.set(self.room.get() + data.len());
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
        let tap = Tap::new(4);
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
        let tap = Tap::new(4);
        tap.push(&Bytes::from_static(b"abc"));
        tap.push(&Bytes::from_static(b"de"));
        tap.end();
        assert!(matches!(next(&tap), Poll::Ready(Some(Err(Incomplete)))));
    }
}
