//! Where a listener takes connections.

use std::{borrow::Cow, cmp::Ordering, net::IpAddr};

/// Where a listener takes connections; `S` is a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bind<S> {
    /// At any address.
    #[default]
    Any,
    /// At this address.
    Address(IpAddr),
    /// At no address: in a sidecar those for the service of this name, to which the files give none.
    Service(S),
    /// At no address: in a sidecar those for names of the port that no other listener has.
    OtherNames,
    /// At a socket of the file system, as `unix:///var/run/shop.sock`, or with an abstract name, as `unix://@shop`.
    Socket(S),
}

/// What stands for the names that no other listener has.
const OTHER_NAMES: &str = "*";

impl<S> Bind<S> {
    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Bind::Address(address) => Some(*address),
            Bind::Any | Bind::Service(_) | Bind::OtherNames | Bind::Socket(_) => None,
        }
    }

    /// Whether names lead there, and no address.
    pub fn goes_by_name(&self) -> bool {
        matches!(self, Bind::Service(_) | Bind::OtherNames)
    }

    fn kind(&self) -> u8 {
        match self {
            Bind::Any => 0,
            Bind::Address(_) => 1,
            Bind::Service(_) => 2,
            Bind::OtherNames => 3,
            Bind::Socket(_) => 4,
        }
    }
}

impl<S: AsRef<str>> Bind<S> {
    /// What is written for it; none for any address.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Bind::Any => None,
            Bind::Address(address) => Some(address.to_string().into()),
            Bind::Service(name) | Bind::Socket(name) => Some(name.as_ref().into()),
            Bind::OtherNames => Some(OTHER_NAMES.into()),
        }
    }
}

/// As texts, that for any address first.
impl<S: AsRef<str> + Eq> Ord for Bind<S> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(&other.text()).then_with(|| self.kind().cmp(&other.kind()))
    }
}

impl<S: AsRef<str> + Eq> PartialOrd for Bind<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
