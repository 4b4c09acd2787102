//! The spaces of requests that rules look at, for whoever proves something about them.
//!
//! Lints, `diff` and `test` ask the algebra; this is where the algebra is told what requests there are, and where its
//! answers become requests that can be sent.

mod authority;
mod difference;
mod entrance;
mod host;
mod layer4;
mod service;
mod unreached;
mod world;

pub use difference::{Change, Class, Detail, clients, differences};
pub use entrance::{Entrance, entrances};
pub use host::{HostRow, HostSpace, Names, entrance_of_table};
pub use layer4::{Layer4Row, Layer4Rules};
pub use service::{RuleRow, ServiceRules};
pub use unreached::{Known, Unreached, unreached};
pub use world::Worlds;
