//! `ServiceEntry` and `WorkloadEntry`: services and workloads that Kubernetes does not know.

use crate::{
    Entries, Spanned,
    istio::WorkloadSelector,
    limits::{Limits, Pattern},
    read::{choice, message},
};
use smol_str::SmolStr;

const NOT_STAR: Pattern =
    Pattern { regex: "^([^*].*|\\*.+|)$", accepts: |text| text != "*", demand: "not be `*` alone" };

message! {
    /// A service that Kubernetes does not know.
    pub struct ServiceEntry {
        /// Its names.
        hosts: Vec<Spanned<SmolStr>> = "hosts" [required, min_items(1), max_items(256), items(&Limits::NONE.pattern(&NOT_STAR))],
        /// Its virtual addresses or ranges.
        addresses: Vec<Spanned<SmolStr>> = "addresses" [max_items(256), items(&Limits::NONE.max_length(64))],
        /// Its ports.
        ports: Vec<Spanned<ServicePort>> = "ports" [max_items(256), unique_by(&["name", "number"])],
        /// Whether it counts as a part of the mesh.
        location: Option<Spanned<Location>> = "location",
        /// How the addresses of its endpoints are found.
        resolution: Option<Spanned<Resolution>> = "resolution",
        /// Its endpoints.
        endpoints: Vec<Spanned<WorkloadEntry>> = "endpoints" [max_items(4096)],
        /// Labels of the Pods and WorkloadEntries that are its endpoints.
        workload_selector: Option<Spanned<WorkloadSelector>> = "workloadSelector",
        /// The namespaces that see this: `*` for all, `.` for its own. Everybody by default.
        export_to: Vec<Spanned<SmolStr>> = "exportTo",
        /// Names of which the certificate of its endpoints must hold one.
        subject_alt_names: Vec<Spanned<SmolStr>> = "subjectAltNames",
    }
    exclusive [workload_selector, endpoints]
}

message! {
    /// A port of a service.
    pub struct ServicePort {
        /// Its number.
        number: Option<Spanned<u32>> = "number" [required, minimum(1.0), maximum(65535.0)],
        /// What is spoken: HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, ...
        protocol: Option<Spanned<SmolStr>> = "protocol" [max_length(256)],
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name" [required, max_length(256)],
        /// The port of the endpoints, where it differs.
        target_port: Option<Spanned<u32>> = "targetPort" [minimum(1.0), maximum(65535.0)],
    }
}

choice! {
    /// Whether a service counts as a part of the mesh.
    pub enum Location {
        /// It lies outside; the default.
        MeshExternal = "MESH_EXTERNAL",
        /// It lies inside and speaks the mesh's mutual TLS.
        MeshInternal = "MESH_INTERNAL",
    }
}

choice! {
    /// How the addresses of a service's endpoints are found.
    pub enum Resolution {
        /// Connections go to the address that the client asked for; the default.
        None = "NONE",
        /// The endpoints are those written down.
        Static = "STATIC",
        /// Names are resolved, and all answers are used.
        Dns = "DNS",
        /// The name is resolved, and one answer at a time is used.
        DnsRoundRobin = "DNS_ROUND_ROBIN",
        /// The name that the client asked for is resolved as requests come.
        DynamicDns = "DYNAMIC_DNS",
    }
}

const ADDRESS: Pattern = Pattern {
    regex: "^(?!unix://)|^unix://(/|@)(.*[^/])?$",
    accepts: |text| match text.strip_prefix("unix://") {
        Some(path) => path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/')),
        None => true,
    },
    demand: "name an absolute path that does not end in `/`, or an abstract socket as `@name`, after `unix://`",
};

const PORT_NAME: Pattern = Pattern {
    regex: "^(?=.{1,62}$)[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$",
    accepts: |text| {
        let bytes = text.as_bytes();
        let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        bytes.len() < 63
            && alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(|&byte| byte == b'-' || byte.is_ascii_alphanumeric())
    },
    demand: "be a port name: at most 62 letters, digits and inner hyphens",
};

message! {
    /// A workload that Kubernetes does not know.
    pub struct WorkloadEntry {
        /// Its address: an IP, a name to resolve, or `unix://` and a socket.
        address: Option<Spanned<SmolStr>> = "address" [max_length(256), pattern(&ADDRESS)],
        /// Its ports by the name of the service's port, where they differ.
        ports: Entries<u32> = "ports" [max_items(128), keys(&PORT_NAME), items(&Limits::NONE.minimum(1.0).maximum(65535.0))],
        /// Its labels.
        labels: Entries<SmolStr> = "labels" [max_items(256)],
        /// The network that it is in.
        network: Option<Spanned<SmolStr>> = "network" [max_length(2048)],
        /// Where it is, as `region/zone/subzone`.
        locality: Option<Spanned<SmolStr>> = "locality" [max_length(2048)],
        /// Its share of the traffic relative to the others.
        weight: Option<Spanned<u32>> = "weight",
        /// The service account that it runs as.
        service_account: Option<Spanned<SmolStr>> = "serviceAccount" [max_length(253)],
    }
    any_of [address, network]
}
