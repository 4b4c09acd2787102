//! `Endpoints` and `EndpointSlice`.

use crate::{Spanned, read::message};
use smol_str::SmolStr;

message! {
    /// The addresses behind the Service of the same name.
    pub struct Endpoints {
        /// Addresses with the ports that they have in common.
        subsets: Vec<Spanned<EndpointSubset>> = "subsets",
    }
}

message! {
    /// Addresses with the ports that they have in common.
    pub struct EndpointSubset {
        /// Those that are ready.
        addresses: Vec<Spanned<EndpointAddress>> = "addresses",
        /// Those that are not.
        not_ready_addresses: Vec<Spanned<EndpointAddress>> = "notReadyAddresses",
        /// Their ports.
        ports: Vec<Spanned<EndpointPort>> = "ports",
    }
}

message! {
    /// An address behind a Service.
    pub struct EndpointAddress {
        /// The IP address.
        ip: Option<Spanned<SmolStr>> = "ip",
        /// Its name within the Service.
        hostname: Option<Spanned<SmolStr>> = "hostname",
        /// The node that it is on.
        node_name: Option<Spanned<SmolStr>> = "nodeName",
        /// The object behind it, mostly a Pod.
        target_ref: Option<Spanned<ObjectReference>> = "targetRef",
    }
}

message! {
    /// A port of endpoints.
    pub struct EndpointPort {
        /// Its name: that of the Service's port.
        name: Option<Spanned<SmolStr>> = "name",
        /// Its number.
        port: Option<Spanned<i32>> = "port",
        /// `TCP`, `UDP` or `SCTP`; `TCP` by default.
        protocol: Option<Spanned<SmolStr>> = "protocol",
        /// What is spoken.
        app_protocol: Option<Spanned<SmolStr>> = "appProtocol",
    }
}

message! {
    /// Another object.
    pub struct ObjectReference {
        /// Its kind.
        kind: Option<Spanned<SmolStr>> = "kind",
        /// Its namespace.
        namespace: Option<Spanned<SmolStr>> = "namespace",
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
    }
}

message! {
    /// Some of the addresses behind the Service that the label `kubernetes.io/service-name` names.
    pub struct EndpointSlice {
        /// `IPv4`, `IPv6` or `FQDN`.
        address_type: Option<Spanned<SmolStr>> = "addressType",
        /// The addresses.
        endpoints: Vec<Spanned<EndpointSliceEndpoint>> = "endpoints",
        /// Their ports.
        ports: Vec<Spanned<EndpointPort>> = "ports",
    }
}

message! {
    /// An endpoint in an EndpointSlice.
    pub struct EndpointSliceEndpoint {
        /// Its addresses; only the first is used.
        addresses: Vec<Spanned<SmolStr>> = "addresses",
        /// How it is.
        conditions: Option<Spanned<EndpointConditions>> = "conditions",
        /// Its name within the Service.
        hostname: Option<Spanned<SmolStr>> = "hostname",
        /// The node that it is on.
        node_name: Option<Spanned<SmolStr>> = "nodeName",
        /// The object behind it, mostly a Pod.
        target_ref: Option<Spanned<ObjectReference>> = "targetRef",
        /// The zone that it is in.
        zone: Option<Spanned<SmolStr>> = "zone",
    }
}

message! {
    /// How an endpoint is.
    pub struct EndpointConditions {
        /// Whether it takes requests; true by default.
        ready: Option<Spanned<bool>> = "ready",
        /// Whether it answers, even while it ends; as `ready` by default.
        serving: Option<Spanned<bool>> = "serving",
        /// Whether it is about to end.
        terminating: Option<Spanned<bool>> = "terminating",
    }
}
