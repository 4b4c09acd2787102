//! Where a connection comes from and where it leads, and how log lines write that: each request on it has one.

use std::{net::SocketAddr, rc::Rc};

/// The two ends of a connection.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The other side's; none: a socket of the file system.
    pub(crate) peer: Option<SocketAddr>,
    /// This side's; none where the system does not tell.
    pub(crate) local: Option<SocketAddr>,
    peer_text: Box<str>,
    local_text: Box<str>,
}

impl Ends {
    pub(crate) fn new(peer: Option<SocketAddr>, local: Option<SocketAddr>) -> Rc<Self> {
        let text = |end: Option<SocketAddr>| end.map_or_else(|| "-".to_owned(), |end| end.to_string()).into();
        Rc::new(Ends { peer, local, peer_text: text(peer), local_text: text(local) })
    }

    /// As log lines have it: a dash for none.
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
        let ends = Ends::new(Some(four), Some(six));
        assert_eq!((ends.peer_text(), ends.local_text()), ("127.0.0.1:65535", "[::1]:80"));
        assert_eq!(Ends::new(None, None).peer_text(), "-");
    }
}
