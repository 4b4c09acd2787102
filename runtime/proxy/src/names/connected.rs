//! Sockets of UDP that are connected to their name server: a machine where nobody serves says so at once, and is not taken
//! for a server that is silent.

use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{Interest, ReadBuf},
    net::UdpSocket,
};

/// Tokio's sockets and timers, with such sockets.
#[derive(Clone, Default)]
pub(super) struct Connecting(TokioRuntimeProvider);

/// A socket that hears and asks one server alone.
pub(super) struct Connected {
    socket: UdpSocket,
    server: SocketAddr,
}

/// So many bytes, and from where.
type Received<'f> = Pin<Box<dyn Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'f>>;

impl RuntimeProvider for Connecting {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = <TokioRuntimeProvider as RuntimeProvider>::Timer;
    type Udp = Connected;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        limit: Option<std::time::Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        self.0.connect_tcp(server, local, limit)
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Udp>>>> {
        Box::pin(async move {
            let socket = UdpSocket::bind(local).await?;
            socket.connect(server).await?;
            Ok(Connected { socket, server })
        })
    }
}

impl DnsUdpSocket for Connected {
    type Time = <TokioRuntimeProvider as RuntimeProvider>::Timer;

    /// Tokio wakes nobody who waits for bytes alone where there is an error instead.
    fn recv_from<'s, 'b, 'f>(&'s self, bytes: &'b mut [u8]) -> Received<'f>
    where
        's: 'f,
        'b: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            loop {
                let ready = self.socket.ready(Interest::READABLE | Interest::ERROR).await?;
                if ready.is_error() {
                    // Whoever sent last may have had it already.
                    let error = self.socket.take_error()?;
                    return Err(error.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into()));
                }
                match self.socket.try_recv(bytes) {
                    Ok(length) => return Ok((length, self.server)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn poll_recv_from(&self, context: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(bytes);
        ready!(self.socket.poll_recv(context, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), self.server)))
    }

    fn poll_send_to(&self, context: &mut Context<'_>, bytes: &[u8], _: SocketAddr) -> Poll<io::Result<usize>> {
        self.socket.poll_send(context, bytes)
    }
}
