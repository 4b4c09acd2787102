//! What a client's first bytes say, before anybody answers: TLS and for whom, HTTP/2, or something else.

use bytes::{Bytes, BytesMut};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// TLS, with what the hello says.
    Tls(Hello),
    /// HTTP/2 by prior knowledge.
    Http2,
    /// Anything else, a broken hello included.
    Other,
}

/// A TLS client's hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) server_name: Option<String>,
    /// Protocols offered, best first.
    pub(crate) protocols: Vec<Vec<u8>>,
}

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// No hello is longer; Envoy, too, looks at so much.
const MOST: usize = 64 * 1024;

/// Reads until it is clear what it is. `is_tls_known`: whether TLS is looked for. None: the client closed before it
/// said anything.
pub(crate) async fn look(mut stream: TcpStream, is_tls_known: bool) -> io::Result<Option<(First, Rewound)>> {
    let mut read = BytesMut::with_capacity(4096);
    let mut acceptor = rustls::server::Acceptor::default();
    loop {
        let before = read.len();
        if stream.read_buf(&mut read).await? == 0 {
            let seen = (before > 0).then(|| (First::Other, Rewound::new(read.freeze(), stream)));
            return Ok(seen);
        }
        let first = if is_tls_known && read.first() == Some(&HANDSHAKE) {
            hello(&mut acceptor, read.get(before..).unwrap_or_default())
        } else if PREFACE.starts_with(&read) && read.len() < PREFACE.len() {
            None
        } else if read.starts_with(PREFACE) {
            Some(First::Http2)
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

/// The hello, if it is whole with these bytes.
fn hello(acceptor: &mut rustls::server::Acceptor, mut bytes: &[u8]) -> Option<First> {
    while !bytes.is_empty() {
        match acceptor.read_tls(&mut bytes) {
            Ok(0) | Err(_) => return Some(First::Other),
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(None) => {}
            Err(_) => return Some(First::Other),
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let protocols = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
                let server_name = hello.server_name().map(str::to_owned);
                return Some(First::Tls(Hello { server_name, protocols }));
            }
        }
    }
    None
}

/// A connection whose first bytes are read again.
#[derive(Debug)]
pub(crate) struct Rewound {
    first: Bytes,
    stream: TcpStream,
}

impl Rewound {
    pub(crate) fn new(first: Bytes, stream: TcpStream) -> Self {
        Rewound { first, stream }
    }
}

impl AsyncRead for Rewound {
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

impl AsyncWrite for Rewound {
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
