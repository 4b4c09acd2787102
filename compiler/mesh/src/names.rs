//! Names as configs write them, made whole (semantics 0.3 to 0.6).

use smol_str::{SmolStr, format_smolstr};
use std::net::IpAddr;

/// The name of the reserved gateway that stands for all sidecars.
pub const MESH_GATEWAY: &str = "mesh";

/// The namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
}

impl ObjectName {
    /// The object `name` in `namespace`.
    pub fn new(namespace: impl Into<SmolStr>, name: impl Into<SmolStr>) -> Self {
        ObjectName { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A host that a config in `namespace` mentions, as a fully qualified name.
///
/// Only a name without a dot is expanded, by the namespace of the config that mentions it (semantics 0.3); any other is
/// taken as it stands (semantics 0.4).
pub fn fully_qualified(host: &str, namespace: &str, cluster_domain: &str) -> SmolStr {
    if host == "*" || host.is_empty() || host.contains('.') || host.parse::<IpAddr>().is_ok() {
        return host.into();
    }
    if cluster_domain.is_empty() {
        return format_smolstr!("{host}.{namespace}");
    }
    format_smolstr!("{host}.{namespace}.svc.{cluster_domain}")
}

/// The fully qualified name of the Kubernetes Service `name` in `namespace`.
pub fn service_hostname(name: &str, namespace: &str, cluster_domain: &str) -> SmolStr {
    format_smolstr!("{name}.{namespace}.svc.{cluster_domain}")
}

/// A gateway that a VirtualService binds to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatewayRef {
    /// `mesh`: every sidecar.
    Mesh,
    /// A Gateway object.
    Named(ObjectName),
}

impl std::fmt::Display for GatewayRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GatewayRef::Mesh => f.write_str(MESH_GATEWAY),
            GatewayRef::Named(name) => name.fmt(f),
        }
    }
}

/// The gateway that a VirtualService in `namespace` means by `reference` (semantics 0.6).
pub fn gateway_ref(reference: &str, namespace: &str) -> GatewayRef {
    if reference == MESH_GATEWAY {
        return GatewayRef::Mesh;
    }
    if let Some((prefix, name)) = reference.split_once('/') {
        let namespace = if prefix == "." { namespace } else { prefix };
        return GatewayRef::Named(ObjectName::new(namespace, name));
    }
    let mut labels = reference.split('.');
    let name = labels.next().unwrap_or_default();
    GatewayRef::Named(ObjectName::new(labels.next().unwrap_or(namespace), name))
}

/// Envoy's name for a cluster (semantics 0.11).
pub fn cluster_name(port: u32, subset: Option<&str>, hostname: &str) -> SmolStr {
    format_smolstr!("outbound|{port}|{}|{hostname}", subset.unwrap_or_default())
}

/// The same as a server name: what sidecars of other networks ask a gateway for (semantics 0.11).
pub fn cluster_server_name(port: u32, subset: Option<&str>, hostname: &str) -> SmolStr {
    format_smolstr!("outbound_.{port}_.{}_.{hostname}", subset.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_without_a_dot_is_expanded() {
        let cases = [
            ("reviews", "reviews.prod.svc.cluster.local"),
            ("reviews.prod", "reviews.prod"),
            ("a.b.svc.cluster.local", "a.b.svc.cluster.local"),
            ("*", "*"),
            ("*.foo.com", "*.foo.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
            ("", ""),
        ];
        for (host, expected) in cases {
            assert_eq!(fully_qualified(host, "prod", "cluster.local"), expected, "0.3, 0.4: {host}");
        }
        assert_eq!(fully_qualified("reviews", "prod", ""), "reviews.prod");
    }

    #[test]
    fn gateways_are_named_in_five_ways() {
        let cases = [
            ("gw", "prod/gw"),
            ("./gw", "prod/gw"),
            ("infra/gw", "infra/gw"),
            ("mesh", "mesh"),
            ("gw.infra", "infra/gw"),
            ("gw.infra.svc.cluster.local", "infra/gw"),
        ];
        for (reference, expected) in cases {
            assert_eq!(gateway_ref(reference, "prod").to_string(), expected, "0.6: {reference}");
        }
    }

    #[test]
    fn clusters_are_named_by_port_subset_and_host() {
        assert_eq!(cluster_name(80, Some("v1"), "a.org"), "outbound|80|v1|a.org", "0.11");
        assert_eq!(cluster_name(80, None, "a.org"), "outbound|80||a.org", "0.11");
    }
}
