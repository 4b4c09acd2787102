//! Sockets of connections: of TCP, or of the file system (semantics E4, E39).

use crate::{
    names::{Names, NoAddress},
    pool::{EndpointAddress, NoConnection},
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::JoinSet,
};

/// An open one.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// Opens one to where an endpoint is. Of several addresses of a name the first one counts; another only where that
    /// cannot be reached, or not soon.
    pub(crate) async fn connect(address: &EndpointAddress, names: &Names) -> Result<Socket, NoConnection> {
        let refused = |error: io::Error| NoConnection::Failed(reason(&error));
        if let Some(path) = address.socket() {
            return connect_unix(path).await.map_err(refused);
        }
        if let Some(ip) = address.ip() {
            return TcpStream::connect(SocketAddr::new(ip, address.port)).await.map(Socket::Tcp).map_err(refused);
        }
        let addresses = names.addresses(&address.host).await.map_err(|none| NoConnection::Failed(none.reason()))?;
        let sockets = addresses.iter().map(|ip| SocketAddr::new(*ip, address.port));
        first_reached(sockets).await
    }

    /// Has small pieces sent as they come.
    pub(crate) fn send_at_once(&self) {
        match self {
            // Only a hint to the kernel.
            Socket::Tcp(stream) => drop(stream.set_nodelay(true)),
            #[cfg(unix)]
            Socket::Unix(_) => {}
        }
    }

    /// The two ends; of a socket of the file system there are none to tell.
    pub(crate) fn ends(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        match self {
            Socket::Tcp(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            #[cfg(unix)]
            Socket::Unix(_) => (None, None),
        }
    }
}

/// So long an address is alone before the next one is tried too: Envoy's own bound.
const HEAD_START: Duration = Duration::from_millis(300);

/// Connects to the first of several addresses; one that says nothing does not use up the time of all.
async fn first_reached(mut addresses: impl ExactSizeIterator<Item = SocketAddr>) -> Result<Socket, NoConnection> {
    let mut last = NoConnection::Failed(NoAddress::Failed("the name has no address".into()).reason());
    let mut trying = JoinSet::new();
    loop {
        if let Some(address) = addresses.next() {
            trying.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            outcome = trying.join_next() => match outcome {
                Some(Ok(Ok(stream))) => return Ok(Socket::Tcp(stream)),
                Some(Ok(Err(error))) => last = NoConnection::Failed(reason(&error)),
                // Nobody stops them, and they do not panic.
                Some(Err(_)) => {}
                None => return Err(last),
            },
            () = tokio::time::sleep(HEAD_START), if addresses.len() > 0 => {}
        }
    }
}

#[cfg(unix)]
async fn connect_unix(path: &str) -> io::Result<Socket> {
    // As the kernel has it where it is none of the file system's.
    let path = path.strip_prefix('@').map_or_else(|| path.to_owned(), |name| format!("\0{name}"));
    UnixStream::connect(path).await.map(Socket::Unix)
}

#[cfg(not(unix))]
async fn connect_unix(_: &str) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

/// In Envoy's form; the words are the system's.
pub(crate) fn reason(error: &io::Error) -> Arc<str> {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("delayed connect error: {text}").into()
}

/// Does the same with whichever it is.
macro_rules! either {
    ($socket:expr, $stream:ident => $do:expr) => {
        match $socket {
            Socket::Tcp($stream) => $do,
            #[cfg(unix)]
            Socket::Unix($stream) => $do,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }
}
