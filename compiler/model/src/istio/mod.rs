//! The kinds of `networking.istio.io`.

pub mod destination_rule;
pub mod gateway;
mod selector;
pub mod service_entry;
pub mod sidecar;
pub mod virtual_service;

pub use destination_rule::DestinationRule;
pub use gateway::Gateway;
pub use selector::{Destination, LabelSelector, PortSelector, WorkloadSelector};
pub use service_entry::{ServiceEntry, WorkloadEntry};
pub use sidecar::Sidecar;
pub use virtual_service::VirtualService;
