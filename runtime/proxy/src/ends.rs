//! Where a connection comes from and where it leads, and how log lines write that: each request on it has one.

use std::{net::SocketAddr, rc::Rc};

/// The two ends of a connection.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The other side's.
    pub(crate) peer: SocketAddr,
    /// This side's; none where the system does not tell.
    pub(crate) local: Option<SocketAddr>,
    peer_text: Box<str>,
    local_text: Box<str>,
}

impl Ends {
    pub(crate) fn new(peer: SocketAddr, local: Option<SocketAddr>) -> Rc<Self> {
        let peer_text = peer.to_string().into();
        let local_text = local.map_or_else(|| "-".to_owned(), |local| local.to_string()).into();
        Rc::new(Ends { peer, local, peer_text, local_text })
    }

    /// As log lines have it.
    pub(crate) fn peer_text(&self) -> &str {
        &self.peer_text
    }

    /// As log lines have it: a dash for none.
    pub(crate) fn local_text(&self) -> &str {
        &self.local_text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn addresses_are_written_as_ever() {
        let (four, six) = ((Ipv4Addr::LOCALHOST, 65_535).into(), (Ipv6Addr::LOCALHOST, 80).into());
        let ends = Ends::new(four, Some(six));
        assert_eq!((ends.peer_text(), ends.local_text()), ("127.0.0.1:65535", "[::1]:80"));
        assert_eq!(Ends::new(six, None).local_text(), "-");
    }
}
