//! `ServiceEntry` and `WorkloadEntry`: services and workloads that Kubernetes does not know.

use crate::{
    Entries, Spanned,
    istio::WorkloadSelector,
    limits::{Limits, Pattern},
    read::{Rule, Step, choice, message},
    rules::{EXCLUSIVE_FIELDS, OUT_OF_RANGE, SE_WILDCARD_DNS},
};
use serde_json::json;
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
    rules [RANGES_NEED_STATIC, NO_RESOLUTION_NO_ENDPOINTS, ROUND_ROBIN_ONE_ENDPOINT, NO_WILDCARD_BY_DNS]
}

message! {
    /// A port of a service.
    pub struct ServicePort {
        /// Its number.
        number: Option<Spanned<u32>> = "number" [required, minimum(1), maximum(65535)],
        /// What is spoken: HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, ...
        protocol: Option<Spanned<SmolStr>> = "protocol" [max_length(256)],
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name" [required, max_length(256)],
        /// The port of the endpoints, where it differs.
        target_port: Option<Spanned<u32>> = "targetPort" [minimum(1), maximum(65535)],
    }
}

const RANGES_NEED_STATIC: Rule<ServiceEntry> = Rule {
    check: |entry, _, reader| {
        let Some(resolution) = &entry.resolution else { return };
        if matches!(resolution.value, Resolution::None | Resolution::Static) {
            return;
        }
        let Some(index) = entry.addresses.iter().position(|address| address.contains('/')) else { return };
        let address = &entry.addresses[index];
        reader.within(Step::Key("addresses"), |reader| {
            reader.within(Step::Item(index), |reader| {
                let message = format!(
                    "the range `{}` cannot stand together with resolution `{}`",
                    address.value,
                    resolution.name()
                );
                let finding = reader
                    .finding(&EXCLUSIVE_FIELDS, address.span, message)
                    .related(reader.location(resolution.span), "the resolution is here")
                    .help("use single addresses, or resolution `STATIC` or `NONE`");
                reader.report(finding);
            });
        });
    },
    schema: || {
        json!({
            "if": { "properties": { "addresses": { "contains": { "pattern": "/" } } }, "required": ["addresses"] },
            "then": { "properties": { "resolution": { "enum": ["STATIC", "NONE"] } } },
        })
    },
};

const NO_RESOLUTION_NO_ENDPOINTS: Rule<ServiceEntry> = Rule {
    check: |entry, node, reader| {
        let resolution = entry.resolution.as_ref().map(|resolution| resolution.value);
        // A resolution that could not be read has its own finding.
        let none = resolution == Some(Resolution::None) || node.get("resolution").is_none();
        let Some((key, _)) = node.entry_of("endpoints").filter(|_| none) else { return };
        reader.within(Step::Key("endpoints"), |reader| {
            let message = "`endpoints` are given, but with resolution `NONE` connections go where the client asked for";
            let finding = reader
                .finding(&EXCLUSIVE_FIELDS, key.span(), message)
                .help("set `resolution: STATIC` (addresses) or `DNS` (names), or remove `endpoints`");
            reader.report(finding);
        });
    },
    schema: || {
        json!({
            "if": { "properties": { "resolution": { "const": "NONE" } } },
            "then": { "not": { "required": ["endpoints"] } },
        })
    },
};

const ROUND_ROBIN_ONE_ENDPOINT: Rule<ServiceEntry> = Rule {
    check: |entry, node, reader| {
        let round_robin = entry.resolution.as_ref().is_some_and(|it| it.value == Resolution::DnsRoundRobin);
        let Some((key, list)) = node.entry_of("endpoints").filter(|_| round_robin) else { return };
        let count = list.items().count();
        if count < 2 {
            return;
        }
        reader.within(Step::Key("endpoints"), |reader| {
            let message = format!("resolution `DNS_ROUND_ROBIN` allows one endpoint, and there are {count}");
            let finding =
                reader.finding(&OUT_OF_RANGE, key.span(), message).help("keep one endpoint, or use resolution `DNS`");
            reader.report(finding);
        });
    },
    schema: || {
        json!({
            "if": { "properties": { "resolution": { "const": "DNS_ROUND_ROBIN" } }, "required": ["resolution"] },
            "then": { "properties": { "endpoints": { "maxItems": 1 } } },
        })
    },
};

/// Semantics E2. Istio's webhook refuses it, so the schema of the cluster does not know of it.
const NO_WILDCARD_BY_DNS: Rule<ServiceEntry> = Rule {
    check: |entry, _, reader| {
        let Some(resolution) = &entry.resolution else { return };
        if !matches!(resolution.value, Resolution::Dns | Resolution::DnsRoundRobin)
            || !entry.endpoints.is_empty()
            || entry.workload_selector.is_some()
        {
            return;
        }
        for (index, host) in entry.hosts.iter().enumerate().filter(|(_, host)| host.starts_with('*')) {
            let message = format!(
                "`{}` is no name that DNS could be asked for, and resolution `{}` asks for it",
                host.value,
                resolution.name()
            );
            let finding = reader
                .finding(&SE_WILDCARD_DNS, host.span, message)
                .related(reader.location(resolution.span), "the resolution is here")
                .field(format!("spec.hosts[{index}]"))
                .help("list the hosts, give endpoints, or use resolution `NONE` or `DYNAMIC_DNS`");
            reader.report(finding);
        }
    },
    schema: || json!({}),
};

const SOCKET_HAS_NO_PORTS: Rule<WorkloadEntry> = Rule {
    check: |entry, node, reader| {
        let socket = entry.address.as_ref().is_some_and(|address| address.starts_with("unix://"));
        let Some((key, _)) = node.entry_of("ports").filter(|_| socket) else { return };
        reader.within(Step::Key("ports"), |reader| {
            let finding = reader
                .finding(
                    &EXCLUSIVE_FIELDS,
                    key.span(),
                    "`ports` are given, but the address is a socket, which has none",
                )
                .help("remove `ports`");
            reader.report(finding);
        });
    },
    schema: || {
        json!({
            "if": { "properties": { "address": { "pattern": "^unix://" } }, "required": ["address"] },
            "then": { "not": { "required": ["ports"] } },
        })
    },
};

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
    regex: r"^(?!unix://)|^unix://(?=[/@])[\s\S]*[^/]$",
    accepts: |text| match text.strip_prefix("unix://") {
        Some(path) => path.starts_with(['/', '@']) && !path.ends_with('/'),
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
        ports: Entries<u32> = "ports" [max_items(128), keys(&PORT_NAME), items(&Limits::NONE.minimum(1).maximum(65535))],
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
    rules [SOCKET_HAS_NO_PORTS]
}
