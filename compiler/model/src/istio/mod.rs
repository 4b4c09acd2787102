//! The kinds of `networking.istio.io`, and what routing asks of those of `security.istio.io`.

pub mod destination_rule;
pub mod gateway;
mod security;
mod selector;
pub mod service_entry;
pub mod sidecar;
pub mod virtual_service;

pub use destination_rule::DestinationRule;
pub use gateway::Gateway;
pub use security::{MutualTls, PeerAuthentication, PolicySelector, RequestAuthentication, TargetRef};
pub use selector::{Destination, LabelSelector, PortSelector, WorkloadSelector};
pub use service_entry::{ServiceEntry, WorkloadEntry};
pub use sidecar::Sidecar;
pub use virtual_service::VirtualService;
