//! What a table answers: which listener, chain, virtual host and route take a request.

mod connection;
mod decide;
mod host;
mod route;
mod tell;

pub use host::HostMatch;
