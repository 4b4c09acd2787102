//! Sockets that accept clients' connections: of TCP, or without an address on the network.

use crate::socket::Socket;
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::{io, net::SocketAddr};

/// An open one; it does not block.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// The same as a worker has it.
pub(crate) enum Accepting {
    Tcp(tokio::net::TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

impl Accepting {
    pub(crate) fn new(socket: Listening) -> io::Result<Self> {
        match socket {
            Listening::Tcp(socket) => tokio::net::TcpListener::from_std(socket).map(Accepting::Tcp),
            #[cfg(unix)]
            Listening::Unix(socket) => tokio::net::UnixListener::from_std(socket).map(Accepting::Unix),
        }
    }

    /// The next connection, and where it comes from: nobody knows where it is not of TCP.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Accepting::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((Socket::Tcp(stream), Some(peer)))
            }
            #[cfg(unix)]
            Accepting::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Socket::Unix(stream), None))
            }
        }
    }
}
