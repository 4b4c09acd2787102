//! Lowering: per proxy, listeners, filter chains, route tables, virtual hosts, routes of predicates.

mod context;
mod destinations;
mod gateway;
mod headers;
mod http_action;
mod http_match;
mod layer4;
mod listeners;
mod policies;
mod routes;
mod sidecar;
#[cfg(test)]
mod tests;

pub(crate) use http_match::predicate_alone as http_predicate;
pub(crate) use routes::{RouteList, origin as http_origin};

use crate::cache::Cache;
use crate::labels::Labels;
use crate::nearness::LabelsRead;
use crate::program::{Abort, Delay, Program, Proxy, ProxyProgram, Retries, Role};
use crate::{Mesh, MeshConfig, ProxySpec};
use context::Context;
use hashbrown::HashMap;
use malha_model::istio::virtual_service::HttpRoute;
use malha_model::{Entries, Spec};
use malha_syntax::Location;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Something that Istio lets pass and Envoy refuses to load: it takes the whole listener with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) location: Location,
    pub(crate) reason: String,
}

/// The retries that hold for a rule's requests, defaults included (semantics C47 to C50); none: there are none.
pub fn retries_in_force(rule: &HttpRoute, config: &MeshConfig) -> Option<Retries> {
    policies::retries(rule.retries.as_ref().map(|retries| &retries.value), config, false)
}

/// The faults that happen to a rule's requests: those with a share (semantics C65).
pub fn faults_in_force(rule: &HttpRoute) -> (Option<Delay>, Option<Abort>) {
    policies::faults(rule.fault.as_ref().map(|fault| &fault.value))
}

/// Lowers the mesh to what each of the `wanted` proxies executes.
///
/// Proxies that are alike in all that lowering reads of them share one program. Virtual hosts whose parts have not
/// changed since an earlier run with the same `cache` are taken from there.
pub fn lower(mesh: &Mesh, wanted: &[ProxySpec], cache: &mut Cache) -> Program {
    cache.begin();
    let relevant = RelevantLabels::of(mesh);
    let mut programs: HashMap<(Role, SmolStr, Labels, bool), Arc<ProxyProgram>> = HashMap::new();
    let mut wanted: Vec<&ProxySpec> = wanted.iter().collect();
    wanted.sort();
    wanted.dedup();
    let proxies = wanted.into_iter().map(|proxy| {
        let labels = relevant.among(proxy);
        let program = programs
            .entry((proxy.role, proxy.namespace.clone(), labels.clone(), relevant.counts_as_bare(proxy)))
            .or_insert_with(|| Arc::new(lower_proxy(mesh, proxy, labels, cache)));
        let gateways =
            mesh.gateways_of(proxy).map(|gateway| (gateway.name.namespace.clone(), gateway.name.name.clone()));
        Proxy {
            role: proxy.role,
            name: proxy.name.clone(),
            namespace: proxy.namespace.clone(),
            labels: proxy.labels.clone(),
            gateways: gateways.collect(),
            program: Arc::clone(program),
        }
    });
    let proxies = proxies.collect();
    cache.end();
    Program { proxies, settings: mesh.config().settings() }
}

fn lower_proxy(mesh: &Mesh, proxy: &ProxySpec, labels: Labels, cache: &Cache) -> ProxyProgram {
    let context = Context::new(mesh, proxy, labels, cache);
    let mut program = match proxy.role {
        Role::Gateway => gateway::lower(&context),
        Role::Sidecar => sidecar::lower(&context),
    };
    program.clusters = context.resolver.into_clusters();
    program
}

/// The label names that some object asks proxies for.
#[derive(Default)]
struct RelevantLabels {
    of_gateways: BTreeSet<SmolStr>,
    of_sidecars: BTreeSet<SmolStr>,
    of_all: BTreeSet<SmolStr>,
    /// Whether a proxy without any labels is another than one with labels that nobody asks for (semantics D33).
    bare_differ: bool,
}

impl RelevantLabels {
    fn of(mesh: &Mesh) -> Self {
        let mut relevant = RelevantLabels::default();
        let mut of_localities = LabelsRead::of(mesh.config());
        for resource in mesh.resources() {
            match &resource.spec {
                Spec::Gateway(gateway) => add(&mut relevant.of_gateways, &gateway.selector),
                // A gateway's own Service translates its ports (semantics A2).
                Spec::Service(service) => add(&mut relevant.of_gateways, &service.selector),
                Spec::DestinationRule(rule) => {
                    let of_subsets = rule.subsets.iter().filter_map(|subset| subset.traffic_policy.as_deref());
                    for policy in rule.traffic_policy.as_deref().into_iter().chain(of_subsets) {
                        of_localities.add(policy);
                    }
                    if let Some(selector) = &rule.workload_selector {
                        add(&mut relevant.of_all, &selector.match_labels);
                    }
                }
                Spec::VirtualService(service) => {
                    for item in service.http.iter().flat_map(|rule| &rule.matches) {
                        add(&mut relevant.of_all, &item.source_labels);
                    }
                    for item in service.tls.iter().flat_map(|rule| &rule.matches) {
                        add(&mut relevant.of_all, &item.source_labels);
                    }
                    for item in service.tcp.iter().flat_map(|rule| &rule.matches) {
                        add(&mut relevant.of_all, &item.source_labels);
                    }
                }
                Spec::Sidecar(sidecar) => {
                    if let Some(selector) = &sidecar.workload_selector {
                        add(&mut relevant.of_sidecars, &selector.labels);
                    }
                }
                _ => {}
            }
        }
        let read: Vec<SmolStr> = of_localities.names().collect();
        relevant.bare_differ = !read.is_empty();
        relevant.of_all.extend(read);
        relevant
    }

    fn counts_as_bare(&self, proxy: &ProxySpec) -> bool {
        self.bare_differ && proxy.labels.is_empty()
    }

    /// Those of the proxy's labels that lowering may read.
    fn among(&self, proxy: &ProxySpec) -> Labels {
        let of_role = match proxy.role {
            Role::Gateway => &self.of_gateways,
            Role::Sidecar => &self.of_sidecars,
        };
        let is_relevant = |name: &SmolStr| self.of_all.contains(name) || of_role.contains(name);
        let labels = proxy.labels.iter().filter(|(name, _)| is_relevant(name));
        labels.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn add(names: &mut BTreeSet<SmolStr>, labels: &Entries<SmolStr>) {
    for name in labels.keys().filter(|name| !names.contains(&name.value)).collect::<Vec<_>>() {
        names.insert(name.value.clone());
    }
}
