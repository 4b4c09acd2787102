//! The decision table: format, loader and evaluator, and the types of a request and a decision.
//!
//! Works on the bytes it is given: no YAML, no async, no I/O.

mod bind;
mod decision;
mod evaluate;
pub mod format;
pub mod http;
mod load;
mod pattern;
mod request;
mod selection;
mod table;
pub mod view;

pub use bind::Bind;
pub use decision::*;
pub use evaluate::HostMatch;
pub use load::LoadError;
pub use request::{Address, Lines, Protocol, ProxyIdentity, Request, RequestView, Tls};
pub use selection::{Meant, ProxyView, Role, RouteError, choose_proxy, request_port};
pub use table::Table;
