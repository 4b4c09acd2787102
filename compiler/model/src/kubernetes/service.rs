//! `Service`, `Namespace` and `Secret`.

use crate::{Entries, Spanned, read::message};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;

message! {
    /// What a Service says of itself (its `spec`).
    pub struct Service {
        /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
        r#type: Option<Spanned<SmolStr>> = "type",
        /// Its virtual address; `None` for a headless Service.
        cluster_ip: Option<Spanned<SmolStr>> = "clusterIP",
        /// Its virtual addresses.
        cluster_ips: Vec<Spanned<SmolStr>> = "clusterIPs",
        /// Addresses outside that lead to it.
        external_ips: Vec<Spanned<SmolStr>> = "externalIPs",
        /// The name that it stands for, for type `ExternalName`.
        external_name: Option<Spanned<SmolStr>> = "externalName",
        /// Its ports.
        ports: Vec<Spanned<ServicePort>> = "ports",
        /// Labels of its Pods.
        selector: Entries<SmolStr> = "selector",
        /// Whether Pods that are not ready take requests.
        publish_not_ready_addresses: Option<Spanned<bool>> = "publishNotReadyAddresses",
    }
}

message! {
    /// A port of a Service.
    pub struct ServicePort {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
        /// Its number.
        port: Option<Spanned<i32>> = "port",
        /// The port of the Pods: a number, or the name of a container's port. By default as `port`.
        target_port: Option<Spanned<IntOrString>> = "targetPort",
        /// The port on the nodes.
        node_port: Option<Spanned<i32>> = "nodePort",
        /// `TCP`, `UDP` or `SCTP`; `TCP` by default.
        protocol: Option<Spanned<SmolStr>> = "protocol",
        /// What is spoken.
        app_protocol: Option<Spanned<SmolStr>> = "appProtocol",
    }
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A name.
    String(SmolStr),
}

message! {
    /// A namespace; all that matters is in its labels.
    pub struct Namespace {}
}

message! {
    /// What a Secret holds, without the values.
    pub struct Secret {
        /// `kubernetes.io/tls`, `Opaque`, ...
        r#type: Option<Spanned<SmolStr>> = "type",
        /// The names of its data.
        data: Entries<Redacted> = "data",
        /// The names of its data that are written in clear.
        string_data: Entries<Redacted> = "stringData",
    }
}

/// A value that is neither kept nor shown; only its place is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Redacted;

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(redacted)")
    }
}
