//! What of a mesh is on this machine: endpoints are given addresses here, before the table is built.

use super::gateways::{self, Gateways};
use crate::{
    config::LocalEndpoint,
    failure::Failure,
    mock::{Identity, StandIns},
};
use malha_mesh::{
    Mesh,
    program::{Cluster, Discovery, Endpoint, Program, ProxyProgram},
    registry::ServiceOrigin,
};
use malha_model::{Kind, Spec};
use smol_str::{SmolStr, ToSmolStr as _};
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Gives addresses of this machine to the endpoints of a program.
pub(super) struct Localizer<'a> {
    pub(super) mesh: &'a Mesh,
    /// Processes that stand for workloads.
    pub(super) local: &'a [LocalEndpoint],
    /// Stand for every other workload.
    pub(super) stand_ins: Option<&'a mut StandIns>,
}

impl Localizer<'_> {
    /// The program with addresses of this machine. Proxies that share a program still do.
    ///
    /// # Errors
    /// A stand-in cannot be started.
    pub(super) fn localize(&mut self, program: &Program, gateways: &Gateways<'_>) -> Result<Program, Failure> {
        let mut done: HashMap<*const ProxyProgram, Arc<ProxyProgram>> = HashMap::new();
        let mut local = program.clone();
        for proxy in &mut local.proxies {
            let shared = Arc::as_ptr(&proxy.program);
            if let Some(known) = done.get(&shared) {
                proxy.program = Arc::clone(known);
                continue;
            }
            for cluster in &mut Arc::make_mut(&mut proxy.program).clusters {
                if let Some(endpoints) = self.endpoints(cluster, gateways)? {
                    let cluster = Arc::make_mut(cluster);
                    cluster.endpoints = endpoints;
                    cluster.discovery = Discovery::Eds;
                }
            }
            done.insert(shared, Arc::clone(&proxy.program));
        }
        Ok(local)
    }

    /// The endpoints that a cluster has on this machine; none: they are as the mesh says.
    fn endpoints(&mut self, cluster: &Cluster, gateways: &Gateways<'_>) -> Result<Option<Vec<Endpoint>>, Failure> {
        let mut endpoints = cluster.endpoints.clone();
        let local: Vec<&LocalEndpoint> = self.named(&cluster.host, cluster.port).collect();
        let is_localized = !local.is_empty();
        if is_localized {
            let subset = self.subset_labels(cluster);
            let stands_in_for = |local: &LocalEndpoint, endpoint: &Endpoint| has(&endpoint.labels, &local.labels);
            let belongs = |local: &&&LocalEndpoint| {
                subset.iter().all(|(name, value)| local.labels.get(name.as_str()).is_some_and(|it| *it == *value))
                    || cluster.endpoints.iter().any(|endpoint| stands_in_for(local, endpoint))
            };
            let belonging = local.iter().filter(belongs).map(|local| {
                // It is where those are that it stands in for.
                let stood_for = cluster.endpoints.iter().filter(|endpoint| stands_in_for(local, endpoint));
                let stood_for = stood_for.min_by_key(|endpoint| endpoint.priority);
                Endpoint {
                    locality: stood_for.and_then(|endpoint| endpoint.locality.clone()),
                    priority: stood_for.map_or(0, |endpoint| endpoint.priority),
                    locality_weight: stood_for.and_then(|endpoint| endpoint.locality_weight),
                    ..endpoint(local.address, labels(local))
                }
            });
            let belonging: Vec<Endpoint> = belonging.collect();
            endpoints.retain(|endpoint| !local.iter().any(|local| stands_in_for(local, endpoint)));
            endpoints.extend(belonging);
        }
        let mut is_changed = is_localized;
        if endpoints.is_empty() && !is_localized {
            endpoints = gateways.made_up(self.mesh, cluster, &self.subset_labels(cluster));
            is_changed = !endpoints.is_empty();
        }
        for endpoint in endpoints.iter_mut().filter(|endpoint| !has_place(endpoint)) {
            if let Some(own) = gateways.own(endpoint) {
                *endpoint = own;
                is_changed = true;
            }
        }
        if self.stand_ins.is_none() {
            return Ok(is_changed.then_some(endpoints));
        }
        if endpoints.is_empty() && !is_localized && is_external(self.mesh, &cluster.host) {
            endpoints.push(Endpoint { weight: 1, port: cluster.port, ..Endpoint::default() });
        }
        for endpoint in &mut endpoints {
            if has_place(endpoint) {
                continue;
            }
            if let Some(address) = self.stand_in(&cluster.host, endpoint).transpose()? {
                endpoint.address = Some(address.ip().to_smolstr());
                endpoint.port = u32::from(address.port());
            }
        }
        Ok(Some(endpoints))
    }

    /// The processes that stand for a service's port.
    pub(super) fn named(&self, host: &str, port: u32) -> impl Iterator<Item = &LocalEndpoint> {
        self.local.iter().filter(move |local| local.port == port && is_named(self.mesh, local, host))
    }

    /// The address of an endpoint's stand-in, which is started if there is none yet; none: there are no stand-ins.
    pub(super) fn stand_in(&mut self, host: &str, endpoint: &Endpoint) -> Option<Result<SocketAddr, Failure>> {
        let identity = identity(self.mesh, host, endpoint);
        self.stand_ins.as_mut().map(|stand_ins| stand_ins.address(&identity))
    }

    fn subset_labels(&self, cluster: &Cluster) -> BTreeMap<SmolStr, SmolStr> {
        let (Some(subset), Some((namespace, name))) = (&cluster.subset, &cluster.destination_rule) else {
            return BTreeMap::new();
        };
        let rules = self.mesh.resources().iter().filter(|resource| resource.kind == Kind::DestinationRule);
        rules
            .filter(|rule| rule.namespace == *namespace && rule.name == *name)
            .filter_map(|rule| match &rule.spec {
                Spec::DestinationRule(rule) => Some(rule),
                _ => None,
            })
            .flat_map(|rule| &rule.subsets)
            .filter(|known| known.name.as_ref().is_some_and(|name| name.value == *subset))
            .flat_map(|known| known.labels.iter().map(|(name, value)| (name.value.clone(), value.value.clone())))
            .collect()
    }
}

/// Whether a local endpoint names the service of this host: as a whole, or as `service.namespace`.
pub(super) fn is_named(mesh: &Mesh, local: &LocalEndpoint, host: &str) -> bool {
    let rest = host.strip_prefix(local.service.as_str());
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix(".svc.").is_some_and(|domain| domain == mesh.config().cluster_domain)
    })
}

fn endpoint(address: SocketAddr, labels: BTreeMap<SmolStr, SmolStr>) -> Endpoint {
    Endpoint {
        address: Some(address.ip().to_smolstr()),
        port: u32::from(address.port()),
        weight: 1,
        labels,
        ..Endpoint::default()
    }
}

fn labels(local: &LocalEndpoint) -> BTreeMap<SmolStr, SmolStr> {
    local.labels.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn has(labels: &BTreeMap<SmolStr, SmolStr>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name.as_str()).is_some_and(|known| known == value))
}

/// Whether an endpoint is on this machine.
fn has_place(endpoint: &Endpoint) -> bool {
    endpoint.address.as_deref().is_some_and(|address| is_here(address) || gateways::is_own(address))
}

/// Whether an address is on this machine.
fn is_here(address: &str) -> bool {
    address == "localhost" || address.starts_with("unix://") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn is_external(mesh: &Mesh, host: &str) -> bool {
    mesh.registry().services_of_host(host).any(|service| service.origin == ServiceOrigin::ServiceEntry)
}

/// Whom the stand-in of an endpoint stands for.
fn identity(mesh: &Mesh, host: &str, endpoint: &Endpoint) -> Identity {
    if let Some((namespace, name)) = &endpoint.workload {
        return workload_identity(namespace, name, &endpoint.labels);
    }
    let service = mesh.registry().services_of_host(host).next();
    let namespace = service.map(|service| service.namespace.as_str()).unwrap_or_default();
    workload_identity(namespace, endpoint.address.as_deref().unwrap_or(host), &endpoint.labels)
}

/// What the stand-in of a workload says of itself.
pub(super) fn workload_identity(namespace: &str, workload: &str, labels: &BTreeMap<SmolStr, SmolStr>) -> Identity {
    let label = |name: &str| labels.get(name).map(ToString::to_string);
    Identity {
        app: label("app").unwrap_or_else(|| workload.to_owned()),
        version: label("version"),
        namespace: namespace.to_owned(),
        workload: workload.to_owned(),
    }
}
