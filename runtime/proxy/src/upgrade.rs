//! Connections that change their protocol at a client's wish (semantics A65, C46): from the upstream's 101 on, bytes go
//! both ways, whatever the route's timeout says.

use crate::{pool::Connection, record::Record, reply::Ending, upstream::InFlight};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{cell::Cell, pin::pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};

/// What a tunnel holds to its end, beside its record: the upstream's connection, and a place among requests.
pub(crate) type Kept = (Connection, InFlight);

/// Passes bytes between two connections, once both have changed their protocol, until either side ends.
pub(crate) fn tunnel(client: OnUpgrade, upstream: OnUpgrade, kept: Kept, mut record: Box<Record>) {
    tokio::task::spawn_local(async move {
        let (received, sent) = (Cell::new(0), Cell::new(0));
        let ending = match tokio::try_join!(client, upstream) {
            Ok((client, upstream)) => pass(client, upstream, &received, &sent).await,
            // The client left before it had the 101; or else nothing was said yet.
            Err(_) => Ending::ClientGone,
        };
        record.received_in_tunnel(received.get());
        record.end(ending, sent.get(), Instant::now());
        drop(kept);
    });
}

/// How long the other direction goes on when one has ended: what is under way is delivered.
const LINGER: Duration = Duration::from_secs(1);

async fn pass(client: Upgraded, upstream: Upgraded, received: &Cell<u64>, sent: &Cell<u64>) -> Ending {
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, to_upstream) = tokio::io::split(TokioIo::new(upstream));
    let mut up = pin!(pump(from_client, to_upstream, received));
    let mut down = pin!(pump(from_upstream, to_client, sent));
    tokio::select! {
        ended = &mut up => {
            let _ = timeout(LINGER, down).await;
            match ended {
                Pumped::SourceEnded | Pumped::SourceBroke => Ending::ClientGone,
                Pumped::SinkBroke => Ending::UpstreamBroke,
            }
        }
        ended = &mut down => {
            let _ = timeout(LINGER, up).await;
            match ended {
                Pumped::SourceEnded => Ending::Whole,
                Pumped::SourceBroke => Ending::UpstreamBroke,
                Pumped::SinkBroke => Ending::ClientGone,
            }
        }
    }
}

/// How one direction came to its end.
enum Pumped {
    SourceEnded,
    SourceBroke,
    SinkBroke,
}

/// Bytes of one direction that are read before they are written.
const PIECE: usize = 8 * 1024;

/// Copies until the source ends, and tells the sink of it; `count` grows by what the sink took.
async fn pump(mut source: impl AsyncRead + Unpin, mut sink: impl AsyncWrite + Unpin, count: &Cell<u64>) -> Pumped {
    let mut piece = vec![0; PIECE];
    loop {
        let length = match source.read(&mut piece).await {
            Ok(0) => {
                // One who is gone needs no telling.
                let _ = sink.shutdown().await;
                return Pumped::SourceEnded;
            }
            Ok(length) => length,
            Err(_) => return Pumped::SourceBroke,
        };
        let bytes = piece.get(..length).unwrap_or_default();
        if sink.write_all(bytes).await.is_err() || sink.flush().await.is_err() {
            return Pumped::SinkBroke;
        }
        count.set(count.get() + length as u64);
    }
}
