//! The clients whose treatment may differ from that of the others.

use crate::{Mesh, ProxySpec};
use malha_model::Entries;
use malha_model::Spec;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Sidecars that together see all that the objects of a mesh distinguish: one in each namespace, and one with the labels
/// that each rule or selector asks for.
pub fn clients(mesh: &Mesh) -> BTreeSet<ProxySpec> {
    let mut found = BTreeSet::new();
    let mut add = |namespace: &str, labels: BTreeMap<SmolStr, SmolStr>| {
        found.insert(ProxySpec { namespace: namespace.into(), labels, ..ProxySpec::default_sidecar() });
    };
    for resource in mesh.resources() {
        let own = resource.namespace.as_str();
        let mut selected = |labels: &Entries<SmolStr>| add(own, owned(labels));
        match &resource.spec {
            Spec::VirtualService(_) | Spec::ServiceEntry(_) | Spec::Service(_) => selected(&Entries::default()),
            Spec::DestinationRule(rule) => {
                selected(&Entries::default());
                if let Some(selector) = &rule.workload_selector {
                    selected(&selector.match_labels);
                }
            }
            Spec::Sidecar(sidecar) => {
                selected(&Entries::default());
                if let Some(selector) = &sidecar.workload_selector {
                    selected(&selector.labels);
                }
            }
            _ => {}
        }
        let Spec::VirtualService(service) = &resource.spec else { continue };
        let http = service.http.iter().flat_map(|rule| &rule.matches);
        let http = http.map(|item| (item.source_namespace.as_ref().map(|name| &name.value), &item.source_labels));
        let tls = service.tls.iter().flat_map(|rule| &rule.matches);
        let tls = tls.map(|item| (item.source_namespace.as_ref().map(|name| &name.value), &item.source_labels));
        let tcp = service.tcp.iter().flat_map(|rule| &rule.matches);
        let tcp = tcp.map(|item| (item.source_namespace.as_ref().map(|name| &name.value), &item.source_labels));
        for (namespace, labels) in http.chain(tls).chain(tcp) {
            if let Some(namespace) = namespace {
                add(namespace, owned(labels));
            } else if labels.keys().next().is_some() {
                add(own, owned(labels));
                add("default", owned(labels));
            }
        }
    }
    found.retain(|client| !client.namespace.is_empty());
    found
}

fn owned(labels: &Entries<SmolStr>) -> BTreeMap<SmolStr, SmolStr> {
    labels.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}
