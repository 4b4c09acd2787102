//! What a client's first bytes say, before anybody answers: TLS and for whom, HTTP, or something else.

use crate::client_hello::{HANDSHAKE, Hello, HelloReader, Progress};
use bytes::{Bytes, BytesMut};
use malha_table::http::read_target;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, timeout_at},
};

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// TLS, with what the hello says.
    Tls(Hello),
    /// A request line of HTTP/1, where it was looked for.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// Anything else, a broken hello included.
    Other,
}

/// What is looked for beside HTTP/2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sought {
    /// The hello of TLS.
    pub(crate) tls: bool,
    /// A request line of HTTP/1.
    pub(crate) http1: bool,
    /// How long is waited for what would tell, if not for ever; what has not told by then is something else.
    pub(crate) patience: Option<Duration>,
}

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No hello is longer; Envoy, too, looks at so much.
const MOST: usize = 64 * 1024;

/// A method is no longer than this; none that Envoy knows is half as long.
const LONGEST_METHOD: usize = 32;

/// Reads until it is clear what it is. None: the client closed before it said anything.
pub(crate) async fn look<S>(mut stream: S, sought: Sought) -> io::Result<Option<(First, Rewound<S>)>>
where
    S: AsyncRead + Unpin,
{
    let mut read = BytesMut::with_capacity(4096);
    let mut reader = HelloReader::default();
    // A time beyond all times is none.
    let until = sought.patience.and_then(|patience| Instant::now().checked_add(patience));
    loop {
        let before = read.len();
        let more = match until {
            None => stream.read_buf(&mut read).await?,
            Some(until) => match timeout_at(until, stream.read_buf(&mut read)).await {
                Ok(more) => more?,
                Err(_) => return Ok(Some((First::Other, Rewound::new(read.freeze(), stream)))),
            },
        };
        if more == 0 {
            let seen = (before > 0).then(|| (First::Other, Rewound::new(read.freeze(), stream)));
            return Ok(seen);
        }
        let first = if sought.tls && read.first() == Some(&HANDSHAKE) {
            match reader.read(read.get(before..).unwrap_or_default()) {
                Progress::Partial => None,
                Progress::Whole(hello) => Some(First::Tls(hello)),
                Progress::Broken => Some(First::Other),
            }
        } else if PREFACE.starts_with(&read) && read.len() < PREFACE.len() {
            None
        } else if read.starts_with(PREFACE) {
            Some(First::Http2)
        } else if sought.http1 {
            request_line(&read, before)
        } else {
            Some(First::Other)
        };
        match first {
            Some(first) => return Ok(Some((first, Rewound::new(read.freeze(), stream)))),
            None if read.len() >= MOST => return Ok(Some((First::Other, Rewound::new(read.freeze(), stream)))),
            None => {}
        }
    }
}

/// What a line of HTTP/1 is, or whether more must be seen of it; `seen` of the bytes have been looked through for its end.
/// What the codec refuses later is HTTP too, but for targets that are none (as recorded).
fn request_line(bytes: &[u8], seen: usize) -> Option<First> {
    let method = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let (method, rest) = bytes.split_at(method);
    // A line's end before any space is no part of a method either.
    if method.is_empty() || method.len() > LONGEST_METHOD || !method.iter().all(is_token) {
        return Some(First::Other);
    }
    if !bytes.get(seen..).unwrap_or_default().contains(&b'\n') {
        return None;
    }
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let parts = std::str::from_utf8(line).ok().and_then(|line| line.trim_start_matches(' ').rsplit_once(' '));
    let method = std::str::from_utf8(method).unwrap_or_default();
    let is_http = parts.is_some_and(|(target, version)| {
        matches!(version, "HTTP/1.0" | "HTTP/1.1") && read_target(method, target.trim_end_matches(' ')).is_ok()
    });
    Some(if is_http { First::Http1 } else { First::Other })
}

/// A connection whose first bytes are read again.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    first: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    pub(crate) fn new(first: Bytes, stream: S) -> Self {
        Rewound { first, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = buffer.remaining().min(self.first.len());
        buffer.put_slice(&self.first.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_told_from_other_bytes_as_soon_as_it_can_be() {
        for (bytes, first) in [
            (&b"GET /a?b HTTP/1.1\r\n"[..], Some(First::Http1)),
            (b"get / HTTP/1.0\n", Some(First::Http1)),
            (b"OPTIONS * HTTP/1.1\r\nHost", Some(First::Http1)),
            (b"CONNECT a:1 HTTP/1.1\r\n", Some(First::Http1)),
            (b"GET noslash HTTP/1.1\r\n", Some(First::Other)),
            (b"GET / HTTP/2.0\r\n", Some(First::Other)),
            (b"GET / HTTP/1.1", None),
            (b"SELECT", None),
            (b"SELECT 1;\n", Some(First::Other)),
            (b"*1\r\n$4\r\nPING\r\n", Some(First::Other)),
            (b"\0\0\0\x08", Some(First::Other)),
            (b"\n", Some(First::Other)),
            (b" ", Some(First::Other)),
            (&[b'a'; LONGEST_METHOD + 1], Some(First::Other)),
        ] {
            assert_eq!(request_line(bytes, 0), first, "{}", bytes.escape_ascii());
        }
        assert_eq!(request_line(b"GET / HTTP/1.1\r\n", 15), Some(First::Http1), "its end came alone");
    }
}
