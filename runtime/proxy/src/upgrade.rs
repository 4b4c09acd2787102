//! Connections that change their protocol at a client's wish (semantics A65, C46): from the upstream's 101 on, bytes go
//! both ways, whatever the route's timeout says.

use crate::{
    passing::{Broke, Pieces, pass_one_way},
    pool::Connection,
    record::Record,
    reply::Ending,
    upstream::InFlight,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{cell::Cell, pin::pin, rc::Rc, time::Duration};
use tokio::time::timeout;

/// What a tunnel holds to its end, beside its record: the upstream's connection, and a place among requests.
pub(crate) type Kept = (Connection, InFlight);

/// Passes bytes between two connections, once both have changed their protocol, until either side ends.
pub(crate) fn tunnel(client: OnUpgrade, upstream: OnUpgrade, kept: Kept, mut record: Box<Record>) {
    tokio::task::spawn_local(async move {
        let (received, sent) = (Cell::new(0), Cell::new(0));
        let local = Rc::clone(record.local());
        let ending = match tokio::try_join!(client, upstream) {
            Ok((client, upstream)) => pass(&local.pieces, (client, &received), (upstream, &sent)).await,
            // The client left before it had the 101; or else nothing was said yet.
            Err(_) => Ending::ClientGone,
        };
        record.received_in_tunnel(received.get());
        record.end(ending, sent.get());
        drop(kept);
    });
}

/// How long the other direction goes on when one has ended: what is under way is delivered.
const LINGER: Duration = Duration::from_secs(1);

/// Each side comes with the count of what is had from it.
async fn pass(
    pieces: &Pieces,
    (client, received): (Upgraded, &Cell<u64>),
    (upstream, sent): (Upgraded, &Cell<u64>),
) -> Ending {
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, to_upstream) = tokio::io::split(TokioIo::new(upstream));
    let mut up = pin!(pass_one_way(pieces, from_client, to_upstream, received));
    let mut down = pin!(pass_one_way(pieces, from_upstream, to_client, sent));
    tokio::select! {
        ended = &mut up => {
            let _ = timeout(LINGER, down).await;
            match ended {
                Ok(()) | Err(Broke::Source) => Ending::ClientGone,
                Err(Broke::Sink) => Ending::UpstreamBroke,
            }
        }
        ended = &mut down => {
            let _ = timeout(LINGER, up).await;
            match ended {
                Ok(()) => Ending::Whole,
                Err(Broke::Source) => Ending::UpstreamBroke,
                Err(Broke::Sink) => Ending::ClientGone,
            }
        }
    }
}
