//! `tls[]` and `tcp[]`: rules for connections.

use crate::{Entries, Spanned, istio::Destination, read::message};
use smol_str::SmolStr;

message! {
    /// One rule for TLS that is passed through: what it matches and where it goes.
    pub struct TlsRoute {
        /// Any of these must hold.
        matches: Vec<Spanned<TlsMatchAttributes>> = "match" [required],
        /// Where the connections go, by weight.
        route: Vec<Spanned<RouteDestination>> = "route",
    }
}

message! {
    /// Conditions on a TLS connection; all that are given must hold.
    pub struct TlsMatchAttributes {
        /// Server names (SNI), any of which must match; wildcards allowed.
        sni_hosts: Vec<Spanned<SmolStr>> = "sniHosts" [required],
        /// Destination addresses or ranges, any of which must match.
        destination_subnets: Vec<Spanned<SmolStr>> = "destinationSubnets",
        /// Port of the listener.
        port: Option<Spanned<u32>> = "port",
        /// Labels of the client's workload.
        source_labels: Entries<SmolStr> = "sourceLabels",
        /// The gateways that this condition is for, in place of the VirtualService's own list.
        gateways: Vec<Spanned<SmolStr>> = "gateways",
        /// Namespace of the client's workload.
        source_namespace: Option<Spanned<SmolStr>> = "sourceNamespace",
    }
}

message! {
    /// One rule for TCP connections: what it matches and where it goes.
    pub struct TcpRoute {
        /// Any of these must hold; none at all matches every connection.
        matches: Vec<Spanned<L4MatchAttributes>> = "match",
        /// Where the connections go, by weight.
        route: Vec<Spanned<RouteDestination>> = "route",
    }
}

message! {
    /// Conditions on a TCP connection; all that are given must hold.
    pub struct L4MatchAttributes {
        /// Destination addresses or ranges, any of which must match.
        destination_subnets: Vec<Spanned<SmolStr>> = "destinationSubnets",
        /// Port of the listener.
        port: Option<Spanned<u32>> = "port",
        /// Not implemented by Istio.
        source_subnet: Option<Spanned<SmolStr>> = "sourceSubnet",
        /// Labels of the client's workload.
        source_labels: Entries<SmolStr> = "sourceLabels",
        /// The gateways that this condition is for, in place of the VirtualService's own list.
        gateways: Vec<Spanned<SmolStr>> = "gateways",
        /// Namespace of the client's workload.
        source_namespace: Option<Spanned<SmolStr>> = "sourceNamespace",
    }
}

message! {
    /// Where a share of the connections goes.
    pub struct RouteDestination {
        /// The service that takes the connections.
        destination: Option<Spanned<Destination>> = "destination" [required],
        /// Share relative to the sum of all weights. A lone destination takes everything.
        weight: Option<Spanned<i32>> = "weight",
    }
}
