//! Why a proxy did not start.

use crate::{
    listener::{ListenerKey, OpenAt},
    options::Options,
};
use malha_table::Role;
use std::{fmt, io, net::SocketAddr};

/// Why a proxy did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    Listen {
        /// Whose address it is, for people.
        what: String,
        /// The same, for programs; none for a worker's share of a listener.
        whose: Option<Whose>,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// A socket without an address on the network cannot be listened at.
    Socket {
        /// Whose socket it is, for people.
        what: String,
        /// As `unix:///var/run/shop.sock`.
        socket: String,
        /// What the system says.
        error: io::Error,
    },
    /// A thread or its runtime cannot be started.
    Thread(io::Error),
}

/// Whose address it is that cannot be listened on: for each there is another of the [`Options`](crate::Options).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Whose {
    /// A gateway's, for this port of the table.
    Gateway(u16),
    /// That of an HTTP proxy of a Sidecar, for this port of the table.
    Egress(u16),
    /// The default sidecar's.
    DefaultSidecar,
    /// That of the sidecar of this name.
    Sidecar(String),
    /// That of a forward to this address of the mesh.
    Forward(String),
    /// The admin server's.
    Admin,
}

impl Whose {
    fn of(key: &ListenerKey, options: &Options) -> Whose {
        match (&key.forward, key.role) {
            (Some(to), _) => Whose::Forward(to.to_string()),
            (None, Role::Gateway) => Whose::Gateway(key.port),
            (None, Role::Sidecar) if key.is_egress => Whose::Egress(key.port),
            (None, Role::Sidecar) if key.is_default_sidecar() && !options.sidecars.contains_key(&key.name) => {
                Whose::DefaultSidecar
            }
            (None, Role::Sidecar) => Whose::Sidecar(key.name.clone()),
        }
    }
}

impl StartError {
    pub(crate) fn listen(key: &ListenerKey, options: &Options, at: OpenAt, error: io::Error) -> StartError {
        let what = key.to_string();
        match at {
            OpenAt::Address(address) => {
                StartError::Listen { what, whose: Some(Whose::of(key, options)), address, error }
            }
            OpenAt::Socket(socket) => StartError::Socket { what, socket: socket.to_string(), error },
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen { what, address, error, .. } => {
                write!(f, "{what} cannot listen on {address}: {error}")
            }
            StartError::Socket { what, socket, error } => write!(f, "{what} cannot listen at {socket}: {error}"),
            StartError::Thread(error) => write!(f, "a worker thread cannot be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Listen { error, .. } | StartError::Socket { error, .. } | StartError::Thread(error) => {
                Some(error)
            }
        }
    }
}
