//! `Service`, `Namespace` and `Secret`.

use crate::{Entries, Spanned, read::message};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;
use std::{fmt, sync::Arc};

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
    /// What a Secret holds. Its values are kept, for whoever serves with them, and never shown.
    pub struct Secret {
        /// `kubernetes.io/tls`, `Opaque`, ...
        r#type: Option<Spanned<SmolStr>> = "type",
        /// Its data, as base64.
        data: Entries<Confidential> = "data",
        /// Its data that are written in clear.
        string_data: Entries<Confidential> = "stringData",
    }
}

/// A value that only [`Confidential::reveal`] shows: no log, no JSON, no debugging output.
#[derive(Clone, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Confidential(Arc<str>);

impl Confidential {
    pub(crate) fn new(text: &str) -> Self {
        Confidential(text.into())
    }

    /// The value.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(redacted)")
    }
}

impl Serialize for Confidential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(redacted)")
    }
}
