//! Executes a decision table: accepts requests on its listeners, routes each by the table, and does what the route
//! says. Knows nothing of YAML.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use malha_proxy::{Options, Proxy};
//! use malha_table::Table;
//! use std::{sync::Arc, time::Duration};
//!
//! let table = Arc::new(Table::load(std::fs::read("mesh.malha")?)?);
//! let proxy = Proxy::start(table, Options::default())?;
//! for listener in proxy.listeners() {
//!     println!("{} on {}", listener.name, listener.address);
//! }
//! proxy.shutdown(Duration::from_secs(5));
//! # Ok(())
//! # }
//! ```

mod access_log;
mod admin;
mod answer;
mod balance;
mod body;
mod breaker;
mod choice;
mod client_hello;
mod cluster;
mod connect;
mod connection;
mod cors;
mod counters;
mod dial;
mod ends;
mod exchange;
mod fault;
mod first_bytes;
mod flags;
mod forward;
mod grpc_timeout;
mod hashing;
mod header_ops;
mod histogram;
mod hops;
mod hygiene;
mod idle;
mod json_line;
mod levels;
mod line_format;
mod listener;
mod listening;
mod local_reply;
mod location;
mod logged;
mod members;
mod message;
mod metrics;
mod mirror;
mod names;
mod neighbours;
mod options;
mod original;
mod outgoing;
mod outlier;
mod outside;
mod own;
mod parties;
mod passing;
mod plan;
mod pool;
mod port_forward;
mod priority;
mod proxied;
mod proxy;
mod proxy_protocol;
mod random;
mod record;
mod reply;
mod retry;
mod running;
mod select;
mod sender;
mod sidecar;
mod signals;
mod socket;
mod socket_name;
mod start_error;
mod tap;
mod tcp;
mod tcp_record;
mod text_line;
mod time;
mod time_format;
mod tls;
mod trace;
mod tunnel;
mod upgrade;
mod upstream;
mod variables;
mod view;
mod warmup;
mod worker;
mod worker_log;

pub use access_log::{AccessLog, LogFormat};
pub use line_format::LineFormat;
pub use listener::{EgressAddress, ListenerAddress};
pub use neighbours::Neighbours;
pub use options::{Dns, Limits, Options, Passthrough, Reload};
pub use original::OriginalDestination;
pub use port_forward::PortForward;
pub use proxy::{Handle, Proxy, Revision, ShutdownReport, SwapReport};
pub use signals::{StopSignal, on_stop, on_stop_signal};
pub use start_error::{StartError, Whose};
pub use tls::{
    CertificateProblem, Credential, CredentialSource, Credentials, UpstreamNeed, certificate_problems, upstream_needs,
};
pub use trace::Tracing;
