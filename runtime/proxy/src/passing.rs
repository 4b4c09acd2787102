//! Bytes that pass between two connections, both ways. Memory for them is held only while there are some: of open
//! connections most are idle.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    mem,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of one direction that are read before they are written.
const PIECE: usize = 16 * 1024;

/// Bytes that one direction of a connection passes before others on its worker have their turn.
const TURN: u64 = 32 * PIECE as u64;

/// Free pieces that a worker keeps.
const MOST_FREE: usize = 16;

/// A worker's pieces of memory that bytes pass through. One is taken to read into, and given back as soon as it is
/// written or nothing has come.
#[derive(Debug, Default)]
pub(crate) struct Pieces(RefCell<Vec<Box<[u8]>>>);

impl Pieces {
    fn take(&self) -> Box<[u8]> {
        let free = self.0.borrow_mut().pop();
        free.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice())
    }

    fn give_back(&self, piece: Box<[u8]>) {
        let mut free = self.0.borrow_mut();
        if free.len() < MOST_FREE {
            free.push(piece);
        }
    }
}

/// Which side of a direction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broke {
    Source,
    Sink,
}

/// Passes bytes both ways, each until its source ends, of which its sink is told: half a connection may be open for long.
///
/// # Errors
/// Either side broke.
pub(crate) async fn pass<A, B>(pieces: &Pieces, one: &mut A, other: &mut B) -> Result<(), Broke>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Direction::default(), Direction::default());
    poll_fn(|context| {
        let there = there.poll(context, pieces, Pin::new(&mut *one), Pin::new(&mut *other))?;
        let back = back.poll(context, pieces, Pin::new(&mut *other), Pin::new(&mut *one))?;
        ready!(there);
        back.map(Ok)
    })
    .await
}

/// Passes bytes one way until the source ends, of which the sink is told; `count` grows by what the sink took.
///
/// # Errors
/// Either side broke.
pub(crate) async fn pass_one_way(
    pieces: &Pieces,
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    count: &Cell<u64>,
) -> Result<(), Broke> {
    let mut direction = Direction::default();
    poll_fn(|context| {
        let polled = direction.poll(context, pieces, Pin::new(&mut source), Pin::new(&mut sink));
        count.set(direction.passed);
        polled
    })
    .await
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    state: State,
    /// Bytes that the sink took.
    passed: u64,
    /// Whether the sink may keep to itself what it took.
    is_unflushed: bool,
}

/// How far a direction has come.
#[derive(Debug, Default)]
enum State {
    /// Nothing waits to be written.
    #[default]
    Empty,
    /// What was read, of which this range is not written yet.
    Held(Box<[u8]>, Range<usize>),
    /// The source has ended, and the sink is to be told.
    Ending,
    Ended,
}

impl Direction {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        pieces: &Pieces,
        mut source: Pin<&mut impl AsyncRead>,
        mut sink: Pin<&mut impl AsyncWrite>,
    ) -> Poll<Result<(), Broke>> {
        let before = self.passed;
        loop {
            match &mut self.state {
                State::Empty if self.passed - before >= TURN => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Empty => {
                    let mut piece = pieces.take();
                    let mut buffer = ReadBuf::new(&mut piece);
                    let read = source.as_mut().poll_read(context, &mut buffer);
                    let length = buffer.filled().len();
                    if length > 0 {
                        self.state = State::Held(piece, 0..length);
                        continue;
                    }
                    pieces.give_back(piece);
                    match read.map_err(|_| Broke::Source)? {
                        Poll::Ready(()) => self.state = State::Ending,
                        Poll::Pending => {
                            // Who waits for an answer to it must not wait for ever.
                            ready!(self.flush(context, sink))?;
                            return Poll::Pending;
                        }
                    }
                }
                State::Held(piece, rest) => {
                    let bytes = piece.get(rest.clone()).unwrap_or_default();
                    let written = ready!(sink.as_mut().poll_write(context, bytes)).unwrap_or(0);
                    if written == 0 {
                        return Poll::Ready(Err(Broke::Sink));
                    }
                    self.is_unflushed = true;
                    self.passed += written as u64;
                    rest.start += written;
                    if rest.start >= rest.end
                        && let State::Held(piece, _) = mem::take(&mut self.state)
                    {
                        pieces.give_back(piece);
                    }
                }
                State::Ending => {
                    ready!(self.flush(context, sink.as_mut()))?;
                    // One who is gone needs no telling.
                    let _ = ready!(sink.as_mut().poll_shutdown(context));
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    fn flush(&mut self, context: &mut Context<'_>, sink: Pin<&mut impl AsyncWrite>) -> Poll<Result<(), Broke>> {
        if self.is_unflushed {
            ready!(sink.poll_flush(context)).map_err(|_| Broke::Sink)?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, BufStream, DuplexStream, duplex},
        task::{LocalSet, spawn_local},
    };

    /// Does this with the two outer ends, while bytes pass between the inner ones; what that came to in the end.
    fn between<F: Future<Output = ()>>(
        room: usize,
        pieces: &'static Pieces,
        test: impl FnOnce(DuplexStream, DuplexStream) -> F,
    ) -> Result<(), Broke> {
        let ((one, mut inner), (mut other_inner, other)) = (duplex(room), duplex(room));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let passing = spawn_local(async move { pass(pieces, &mut inner, &mut other_inner).await });
            test(one, other).await;
            passing.await.unwrap()
        })
    }

    fn pieces() -> &'static Pieces {
        Box::leak(Box::default())
    }

    #[test]
    fn all_of_it_comes_in_order_and_each_side_ends_for_itself() {
        // More than a turn, by sinks that take less than a piece at once.
        let whole: Vec<u8> = (0..2 * TURN + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for room in [1000, PIECE - 1, PIECE, 3 * PIECE] {
            let sent = whole.clone();
            let passed = between(room, pieces(), |mut one, mut other| async move {
                let (mut there, mut back) = (Vec::new(), Vec::new());
                let expected = sent.clone();
                let sending = spawn_local(async move {
                    one.write_all(&sent).await.unwrap();
                    one.shutdown().await.unwrap();
                    one.read_to_end(&mut back).await.unwrap();
                    back
                });
                other.read_to_end(&mut there).await.unwrap();
                assert!(there == expected, "{room}");
                other.write_all(&there).await.unwrap();
                other.shutdown().await.unwrap();
                assert!(sending.await.unwrap() == expected, "{room}: half a connection is open yet");
            });
            assert_eq!(passed, Ok(()));
        }
    }

    #[test]
    fn memory_is_held_only_while_something_waits_to_be_written() {
        let pieces = pieces();
        let passed = between(PIECE / 4, pieces, |mut one, mut other| async move {
            let free = || pieces.0.borrow().len();
            one.write_all(b"hello").await.unwrap();
            other.read_exact(&mut [0; 5]).await.unwrap();
            tokio::task::yield_now().await;
            assert_eq!(free(), 1, "one was made, and both directions wait without it");
            let mut much = vec![1; PIECE / 2];
            one.write_all(&much).await.unwrap();
            tokio::task::yield_now().await;
            assert_eq!(free(), 1, "another was made while that one is held");
            other.read_exact(&mut much).await.unwrap();
            tokio::task::yield_now().await;
            assert_eq!(free(), 2, "it is given back");
        });
        assert_eq!(passed, Ok(()));
    }

    #[test]
    fn what_a_sink_keeps_to_itself_is_asked_for_once_nothing_more_comes() {
        let ((mut one, mut inner), (other_inner, mut other)) = (duplex(100), duplex(100));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let mut keeps = BufStream::new(other_inner);
            spawn_local(async move { pass(pieces(), &mut inner, &mut keeps).await });
            one.write_all(b"hello").await.unwrap();
            let mut read = [0; 5];
            other.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"hello");
        });
    }

    #[test]
    fn a_side_that_breaks_is_an_error() {
        let broken = between(100, pieces(), |mut one, other| async move {
            drop(other);
            // The first may yet have gone before it broke.
            while one.write_all(b"hello").await.is_ok() {}
        });
        assert_eq!(broken, Err(Broke::Sink));
    }
}
