//! The clients whose treatment may differ from that of the others.

use crate::{Mesh, ProxySpec};
use malha_model::{Entries, Spanned, Spec};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<SmolStr, SmolStr>;

/// A namespace that no file names.
const ELSEWHERE: &str = "elsewhere";

/// Of more label sets than these in one namespace, only all together are joined, not each two.
const PAIRED: usize = 12;

/// Sidecars that stand for what the objects of a mesh distinguish: one in each namespace that has objects or that
/// something is exported to, and one elsewhere; with the labels that each rule or selector asks for, with those of each
/// two that go together, and with as many as go together.
pub fn clients(mesh: &Mesh) -> BTreeSet<ProxySpec> {
    let mut found = Found::default();
    for resource in mesh.resources() {
        let own = resource.namespace.as_str();
        found.add(own, Labels::new());
        match &resource.spec {
            Spec::VirtualService(service) => {
                found.exported(&service.export_to);
                let http = service.http.iter().flat_map(|rule| &rule.matches);
                let http =
                    http.map(|item| (item.source_namespace.as_ref().map(|name| &name.value), &item.source_labels));
                let tls = service.tls.iter().flat_map(|rule| &rule.matches);
                let tls = tls.map(|item| (item.source_namespace.as_ref().map(|name| &name.value), &item.source_labels));
                let tcp = service.tcp.iter().flat_map(|rule| &rule.matches);
                let tcp = tcp.map(|item| (item.source_namespace.as_ref().map(|name| &name.value), &item.source_labels));
                for (namespace, labels) in http.chain(tls).chain(tcp) {
                    if let Some(namespace) = namespace {
                        found.add(namespace, owned(labels));
                    } else if labels.keys().next().is_some() {
                        found.add(own, owned(labels));
                        found.add("default", owned(labels));
                    }
                }
            }
            Spec::ServiceEntry(entry) => found.exported(&entry.export_to),
            Spec::DestinationRule(rule) => {
                found.exported(&rule.export_to);
                if let Some(selector) = &rule.workload_selector {
                    found.add(own, owned(&selector.match_labels));
                }
            }
            Spec::Sidecar(sidecar) => {
                if let Some(selector) = &sidecar.workload_selector {
                    found.add(own, owned(&selector.labels));
                }
            }
            _ => {}
        }
    }
    found.clients()
}

/// Label sets by namespace.
#[derive(Default)]
struct Found(BTreeMap<SmolStr, BTreeSet<Labels>>);

impl Found {
    fn add(&mut self, namespace: &str, labels: Labels) {
        if !namespace.is_empty() {
            self.0.entry(namespace.into()).or_default().insert(labels);
        }
    }

    fn exported(&mut self, to: &[Spanned<SmolStr>]) {
        for namespace in to.iter().filter(|name| !matches!(name.as_str(), "." | "*" | "~")) {
            self.add(namespace, Labels::new());
        }
    }

    fn clients(mut self) -> BTreeSet<ProxySpec> {
        self.add(ELSEWHERE, Labels::new());
        let mut clients = BTreeSet::new();
        for (namespace, sets) in self.0 {
            let sets: Vec<Labels> = sets.into_iter().collect();
            let mut joint = sets.clone();
            if sets.len() <= PAIRED {
                for (at, one) in sets.iter().enumerate() {
                    joint.extend(sets[..at].iter().filter_map(|other| together(one, other)));
                }
            }
            joint.extend(sets.into_iter().reduce(|all, next| together(&all, &next).unwrap_or(all)));
            let of_labels = |labels| ProxySpec { namespace: namespace.clone(), labels, ..ProxySpec::default_sidecar() };
            clients.extend(joint.into_iter().map(of_labels));
        }
        clients
    }
}

/// Both sets of labels, if one workload can have them.
fn together(one: &Labels, other: &Labels) -> Option<Labels> {
    let agree = other.iter().all(|(name, value)| one.get(name).is_none_or(|own| own == value));
    agree.then(|| one.iter().chain(other).map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn owned(labels: &Entries<SmolStr>) -> Labels {
    labels.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}
