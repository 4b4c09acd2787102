//! The proxy, driven over sockets: a file for each subject. One program, since linking takes longer than most of them do.

#[path = "../common/mod.rs"]
mod common;

mod abuse;
mod access_log;
mod admin;
mod app_protocols;
mod balancing;
mod binary;
mod breakers;
mod circles;
mod clients_choice;
mod connect;
mod connections;
mod cors;
mod draining;
mod draws;
mod egress;
#[cfg(unix)]
mod egress_sockets;
mod endings;
mod failures;
mod faults;
mod forwarding;
mod forwards;
mod hashing;
mod hosts;
mod http2;
mod http2_upstream;
mod idle;
mod istio_metrics;
mod localities;
mod mesh_bytes;
mod mirrors;
mod name_servers;
mod names;
mod outbound;
mod outliers;
mod ports;
mod reload;
mod reload_bytes;
mod retries;
mod service_entries;
mod smuggling;
#[cfg(unix)]
mod sockets;
mod stats;
mod subsets;
mod tcp;
mod tcp_observed;
mod tls;
mod topology;
mod tracing;
mod tunnels;
mod unaddressed;
mod upgrades;
mod upstream_tls;
