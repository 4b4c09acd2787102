//! `Sidecar`: what the proxies beside workloads see and accept.

use crate::{
    Spanned,
    istio::{Destination, WorkloadSelector, destination_rule::ConnectionPoolSettings, gateway::ServerTlsSettings},
    read::{choice, message},
};
use smol_str::SmolStr;

message! {
    /// What the proxies beside workloads see and accept.
    pub struct Sidecar {
        /// The workloads that this is for; all of the namespace by default.
        workload_selector: Option<Spanned<WorkloadSelector>> = "workloadSelector",
        /// What they accept.
        ingress: Vec<Spanned<IstioIngressListener>> = "ingress",
        /// What they can reach.
        egress: Vec<Spanned<IstioEgressListener>> = "egress",
        /// Limits on the connections that they accept.
        inbound_connection_pool: Option<Box<Spanned<ConnectionPoolSettings>>> = "inboundConnectionPool",
        /// What happens to connections to unknown destinations.
        outbound_traffic_policy: Option<Spanned<OutboundTrafficPolicy>> = "outboundTrafficPolicy",
    }
}

message! {
    /// A port on which a workload is reached.
    pub struct IstioIngressListener {
        /// The port.
        port: Option<Spanned<SidecarPort>> = "port" [required],
        /// Address to listen on.
        bind: Option<Spanned<SmolStr>> = "bind",
        /// How connections are captured.
        capture_mode: Option<Spanned<CaptureMode>> = "captureMode",
        /// Where the workload listens.
        default_endpoint: Option<Spanned<SmolStr>> = "defaultEndpoint",
        /// How TLS is spoken.
        tls: Option<Box<Spanned<ServerTlsSettings>>> = "tls",
        /// Limits on the connections that are accepted.
        connection_pool: Option<Box<Spanned<ConnectionPoolSettings>>> = "connectionPool",
    }
}

message! {
    /// Hosts that a workload can reach.
    pub struct IstioEgressListener {
        /// The port; all by default.
        port: Option<Spanned<SidecarPort>> = "port",
        /// Address to listen on.
        bind: Option<Spanned<SmolStr>> = "bind",
        /// How connections are captured.
        capture_mode: Option<Spanned<CaptureMode>> = "captureMode",
        /// The hosts, as `namespace/host`, wildcards allowed.
        hosts: Vec<Spanned<SmolStr>> = "hosts" [required],
    }
}

message! {
    /// A port of a workload's proxy.
    pub struct SidecarPort {
        /// Its number.
        number: Option<Spanned<u32>> = "number",
        /// What is spoken: HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, ...
        protocol: Option<Spanned<SmolStr>> = "protocol",
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
        /// Not used.
        target_port: Option<Spanned<u32>> = "targetPort",
    }
}

message! {
    /// What happens to connections to unknown destinations.
    pub struct OutboundTrafficPolicy {
        /// Whether they are let through.
        mode: Option<Spanned<OutboundTrafficPolicyMode>> = "mode",
        /// Not implemented by Istio.
        egress_proxy: Option<Spanned<Destination>> = "egressProxy",
    }
}

choice! {
    /// Whether connections to unknown destinations are let through.
    pub enum OutboundTrafficPolicyMode {
        /// They are refused.
        RegistryOnly = "REGISTRY_ONLY",
        /// They go where they were meant to go.
        AllowAny = "ALLOW_ANY",
    }
}

choice! {
    /// How connections are captured.
    pub enum CaptureMode {
        /// As the workload's environment has it.
        Default = "DEFAULT",
        /// By iptables.
        Iptables = "IPTABLES",
        /// Not at all: the workload speaks to the listener itself.
        None = "NONE",
    }
}
