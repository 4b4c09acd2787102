//! Links resources into a mesh and lowers it, per proxy, to routes of predicates.

pub mod analysis;
mod cache;
pub mod config;
pub mod destination_rule;
pub mod gateway;
pub mod graph;
pub mod host;
mod mesh;
pub mod names;
pub mod program;
pub mod proxy;
pub mod registry;
pub mod virtual_service;
pub mod visibility;

mod cluster;
mod delegate;
mod destination;
mod egress;
mod interpret;
mod labels;
mod locality;
mod lower;
mod nearness;
mod order;
mod policy;
#[cfg(test)]
mod testing;

pub use cache::Cache;
pub use cluster::ClusterKey;
pub use config::MeshConfig;
pub use delegate::{
    DelegateRule, Delegation, DelegationOutcome, DropReason, DroppedRule, MOST_MATCHES_OF_RULE, MOST_MERGED_MATCHES,
};
pub use destination::ResolvedDestination;
pub use destination_rule::DestinationRule;
pub use gateway::Gateway;
pub use interpret::{Sources, Unmet, interpret, unmet};
pub use labels::{Labels, labels, satisfies};
pub use lower::{faults_in_force, lower, retries_in_force};
pub use mesh::{Duplicate, Mesh};
pub use names::{GatewayRef, ObjectName};
pub use proxy::ProxySpec;
pub use registry::{Protocol, Resolution, Service, ServicePort};
pub use virtual_service::{HttpMatch, HttpRule, VirtualService};
pub use visibility::Visibility;
