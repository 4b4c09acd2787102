//! Listeners that stand for one address of the mesh each, for programs that speak to no HTTP proxy.

use crate::{listener::ListenerKey, original::OriginalDestination};
use malha_table::Role;
use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// A port of this machine that stands for an address of the mesh: a connection to it is one that a sidecar has
/// intercepted on its way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortForward {
    /// The sidecar's name in the table; none: the default sidecar.
    pub sidecar: Option<String>,
    /// Where its clients mean to connect to.
    pub to: OriginalDestination,
    /// Where it listens.
    pub listen: SocketAddr,
}

impl PortForward {
    /// Whether it is one of this sidecar's; `is_default`: of the default sidecar.
    pub(crate) fn is_of(&self, name: &str, is_default: bool) -> bool {
        self.sidecar.as_deref().map_or(is_default, |sidecar| sidecar == name)
    }

    /// Whether this is what a listener is for.
    pub(crate) fn is_for(&self, key: &ListenerKey) -> bool {
        let is_default = key.namespace == "default" && key.labels.is_empty();
        key.role == Role::Sidecar && key.forward.as_ref() == Some(&self.to) && self.is_of(&key.name, is_default)
    }
}

impl FromStr for PortForward {
    type Err = String;

    /// Reads `postgres.db:5432`, or `postgres.db:5432=127.0.0.1:15432`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (to, listen) = match text.split_once('=') {
            None => (text, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            Some((to, at)) => (to, at.parse().map_err(|_| format!("`{at}` is no address, as 127.0.0.1:15432"))?),
        };
        Ok(PortForward { sidecar: None, to: to.parse()?, listen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_as_people_write_them() {
        let read = |text: &str| text.parse::<PortForward>();
        let forward = read("postgres.db:5432=127.0.0.1:15432").unwrap();
        assert_eq!((&*forward.to.to_string(), forward.listen.port()), ("postgres.db:5432", 15432));
        assert_eq!(read("postgres.db:5432").unwrap().listen.to_string(), "127.0.0.1:0");
        for wrong in ["postgres.db", "postgres.db:5432=", "postgres.db:5432=15432", "=127.0.0.1:1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
