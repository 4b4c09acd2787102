//! Opening a connection to an endpoint: TCP, what the PROXY protocol tells, TLS (semantics D.6, D.8, D61).

use crate::{
    names::Names,
    pool::{EndpointAddress, NoConnection},
    proxy_protocol::Header,
    socket::{self, Socket},
    time::written_duration,
    tls,
};
use serde_json::Value;
use socket2::{SockRef, TcpKeepalive};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, ClientConfig},
};

/// How the system is to find out that a silent endpoint is gone: `connectionPool.tcp.tcpKeepalive`. What is not said is
/// the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keepalive {
    probes: Option<u32>,
    time: Option<Duration>,
    interval: Option<Duration>,
}

impl Keepalive {
    pub(crate) fn of(policy: &Value) -> Option<Self> {
        let written = policy.pointer("/connectionPool/tcp/tcpKeepalive")?;
        let duration = |name: &str| {
            written_duration(written.get(name)?.as_str()?).filter(|duration| *duration >= Duration::from_secs(1))
        };
        let probes = written.get("probes").and_then(Value::as_u64).and_then(|probes| u32::try_from(probes).ok());
        Some(Keepalive {
            probes: probes.filter(|probes| *probes > 0),
            time: duration("time"),
            interval: duration("interval"),
        })
    }

    fn socket_option(self) -> TcpKeepalive {
        let mut option = TcpKeepalive::new();
        if let Some(time) = self.time {
            option = option.with_time(time);
        }
        if let Some(interval) = self.interval {
            option = option.with_interval(interval);
        }
        if let Some(probes) = self.probes {
            option = option.with_retries(probes);
        }
        option
    }
}

/// What a connection is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) keepalive: Option<Keepalive>,
    /// What is told of the client, before anything else.
    pub(crate) told: Option<Header>,
    /// How TLS is spoken, if it is, and the name that its hello says.
    pub(crate) tls: Option<(Arc<ClientConfig>, Arc<str>)>,
}

/// An open connection, and its two ends where they have addresses.
pub(crate) struct Dialled {
    pub(crate) stream: Stream,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
}

impl Dial {
    /// Opens it. How long that may take is the caller's to say.
    pub(crate) async fn connect(&self, address: &EndpointAddress, names: &Names) -> Result<Dialled, NoConnection> {
        let mut stream = Socket::connect(address, names).await?;
        let (peer, local) = stream.ends();
        if let Socket::Tcp(stream) = &stream {
            // Only hints to the kernel; without the first small requests wait.
            let _ = stream.set_nodelay(true);
            if let Some(keepalive) = self.keepalive {
                let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive.socket_option());
            }
        }
        if let Some(told) = self.told {
            let refused = |error: io::Error| NoConnection::Failed(socket::reason(&error));
            stream.write_all(&told.bytes()).await.map_err(refused)?;
        }
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some((config, name)) => {
                let shaking = TlsConnector::from(Arc::clone(config)).connect(tls::server_name(name), stream);
                let shaken = shaking.await.map_err(|error| NoConnection::Failed(reason_of_handshake(&error)))?;
                Stream::Tls(Box::new(shaken))
            }
        };
        Ok(Dialled { stream, peer, local })
    }
}

/// In Envoy's form; the words are those of this TLS library (semantics D57).
fn reason_of_handshake(error: &io::Error) -> Arc<str> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => format!("TLS_error: CERTIFICATE_VERIFY_FAILED: {why}").into(),
        Some(why) => format!("TLS_error: {why}").into(),
        None => format!("TLS_error: {error}").into(),
    }
}

/// A connection's bytes.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keepalive_as_files_write_it() {
        let of = |written: Value| Keepalive::of(&json!({"connectionPool": {"tcp": {"tcpKeepalive": written}}}));
        let all =
            Keepalive { probes: Some(3), time: Some(Duration::from_secs(75)), interval: Some(Duration::from_secs(2)) };
        assert_eq!(of(json!({"probes": 3, "time": "75s", "interval": "2s"})), Some(all));
        let none = Keepalive { probes: None, time: None, interval: None };
        assert_eq!(of(json!({"probes": 0, "time": "1ms"})), Some(none), "what the system cannot do is its own");
        assert_eq!(Keepalive::of(&Value::Null), None);
    }
}
