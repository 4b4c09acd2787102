//! Open connections: what takes requests, and what is kept between them.

use super::host::{Host, Open};
use crate::{cluster::ConnectionTerms, ends::Ends, sender::Sender, worker::Attached};
use std::{
    cell::Cell,
    net::SocketAddr,
    rc::{Rc, Weak},
    time::Duration,
};
use tokio::time::Instant;

/// A connection that is not idle, or a request's share of one that takes several at once.
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    /// Whether it was idle before, or had an earlier request: the upstream may have closed it meanwhile.
    pub(crate) reused: bool,
    lease: Rc<Lease>,
    ticket: Option<Ticket>,
}

/// What all shares of a connection hold: the connection ends with the last of them.
struct Lease {
    ends: Rc<Ends>,
    /// What it was opened by, and is kept by.
    terms: ConnectionTerms,
    requests: Cell<u32>,
    opened: Instant,
    /// When the last request began or ended.
    used: Cell<Instant>,
    /// The task that reads and writes it. It ends with the connection, even amid a request's body: else it would hold the
    /// socket and go on reading the body, which by then is another try's or nobody's.
    _driver: Attached,
    open: Open,
}

/// A request's place on a connection that takes several. When it is free, who waits may have it.
struct Ticket(Weak<Host>);

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(host) = self.0.upgrade() {
            host.wake_first();
        }
    }
}

/// How long a connection may take to send the rest of a request that is answered already, before it is of use again.
const LONGEST_REST: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn new(
        sender: Sender,
        (peer, local): (Option<SocketAddr>, Option<SocketAddr>),
        terms: ConnectionTerms,
        driver: Attached,
        open: Open,
    ) -> Self {
        let now = Instant::now();
        let (requests, used) = (Cell::new(0), Cell::new(now));
        let ends = Ends::new(peer, local);
        let lease = Lease { ends, terms, requests, opened: now, used, _driver: driver, open };
        Connection { sender, reused: false, lease: Rc::new(lease), ticket: None }
    }

    /// Where it leads, and where it comes from.
    pub(crate) fn ends(&self) -> &Rc<Ends> {
        &self.lease.ends
    }

    /// Another request's share of it; none where it takes no more at once.
    pub(super) fn share(&self) -> Option<Connection> {
        if self.lease.terms.streams.is_some_and(|most| self.shares() >= most as usize) {
            return None;
        }
        let sender = self.sender.share()?;
        let lease = Rc::clone(&self.lease);
        lease.requests.set(lease.requests.get().saturating_add(1));
        lease.used.set(Instant::now());
        let ticket = Ticket(Weak::clone(&lease.open.host));
        Some(Connection { sender, reused: true, lease, ticket: Some(ticket) })
    }

    /// Whether it is a request's share of a connection that takes several.
    pub(super) fn is_share(&self) -> bool {
        self.ticket.is_some()
    }

    /// Whether the upstream may have closed it since its last request is for its pool to say.
    pub(super) fn taken(mut self, reused: bool) -> Self {
        self.reused = reused;
        self
    }

    /// How many requests share it now.
    pub(super) fn shares(&self) -> usize {
        Rc::strong_count(&self.lease).saturating_sub(1)
    }

    /// Whether it has taken all the requests that it may, or is as old as it gets.
    pub(super) fn is_spent(&self, now: Instant) -> bool {
        let is_old = |longest| self.lease.opened.checked_add(longest).is_some_and(|end| end <= now);
        self.lease.terms.requests.is_some_and(|most| self.lease.requests.get() >= most)
            || self.lease.terms.longest.is_some_and(is_old)
    }

    /// Whether nobody has used it for so long.
    pub(super) fn is_unused_since(&self, long: Duration, now: Instant) -> bool {
        self.shares() == 0 && self.lease.used.get().checked_add(long).is_some_and(|until| until <= now)
    }

    /// A new one takes one request even before its driver ran.
    pub(super) fn can_take_a_request(&self) -> bool {
        !self.sender.is_closed() && (self.lease.requests.get() == 0 || self.sender.is_ready())
    }

    /// Gives it back to its pool when its last request has been sent and its response has been read to their ends, unless
    /// it has taken all the requests that it may.
    pub(crate) fn put_back(mut self, now: Instant) {
        self.lease.used.set(now);
        if self.sender.is_http2() {
            return;
        }
        self.lease.requests.set(self.lease.requests.get().saturating_add(1));
        self.reused = true;
        let Some(host) = self.lease.open.host.upgrade() else { return };
        if self.is_spent(now) {
            return;
        }
        if self.sender.is_ready() {
            host.give(self, now);
        } else if !self.sender.is_closed() {
            // The end of the response can be read before the end of the request has left.
            tokio::task::spawn_local(async move {
                if let Ok(Ok(())) = tokio::time::timeout(LONGEST_REST, self.sender.ready()).await {
                    host.give(self, Instant::now());
                }
            });
        }
    }

    /// Gives it back to its pool when it was acquired for nothing.
    pub(crate) fn put_back_unused(self) {
        if let Some(host) = self.lease.open.host.upgrade() {
            host.give(self, Instant::now());
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Connection { reused, lease, .. } = self;
        let (Ends { peer, local, .. }, requests) = (&*lease.ends, lease.requests.get());
        write!(formatter, "{local:?} -> {peer:?}, reused: {reused}, requests: {requests}")
    }
}
