//! Stand-ins: small servers on loopback that answer in the place of workloads (`malha run --mock`).

mod answer;
mod authority;
mod call;
mod counts;
mod server;
mod set;
mod tls;

pub use answer::Identity;
pub use authority::LocalAuthority;
pub use counts::Counts;
pub use server::Log;
pub use set::{StandIns, Wanted};
