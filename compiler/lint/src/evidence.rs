//! How sure it is that what the input does not hold does not exist.

use crate::{hosts::Hosts, namespaces::Namespaces, rule::Context, shown::Workloads};
use hashbrown::{HashMap, HashSet};
use malha_mesh::{Mesh, ObjectName, config::Completeness};
use malha_model::{Kind, Resource};
use malha_syntax::Severity;
use smol_str::SmolStr;
use std::sync::OnceLock;

/// The weight of saying that the object `wanted` is missing; none: nothing is to be said.
///
/// In a closed mesh it is an error. Otherwise the object may live elsewhere, so it is a warning, and only where the
/// input holds objects of that namespace, or (`close`) a name so near that a slip is likely; in an open mesh the near
/// name alone counts. An object that is there but refused is not missing: what is wrong with it is said already.
pub(crate) fn missing(context: &Context<'_>, kind: Kind, wanted: &ObjectName, close: bool) -> Option<Severity> {
    let (mesh, known) = (context.mesh, &context.known);
    if known.refused(mesh).contains(&(kind, wanted.clone())) {
        return None;
    }
    let known_namespace = || known.namespaces(mesh).hold_objects(&wanted.namespace);
    match mesh.config().registry {
        Completeness::Closed => Some(Severity::Error),
        Completeness::Auto if close || known_namespace() => Some(Severity::Warning),
        Completeness::Open if close => Some(Severity::Warning),
        Completeness::Auto | Completeness::Open => None,
    }
}

/// The names of what the input holds, found once, when a rule first asks: a mesh may have many findings.
#[derive(Default)]
pub(crate) struct Known {
    refused: OnceLock<HashSet<(Kind, ObjectName)>>,
    namespaces: OnceLock<Namespaces>,
    gateways: OnceLock<Gateways>,
    delegates: OnceLock<Vec<String>>,
    hosts: OnceLock<Hosts>,
    rule_hosts: OnceLock<HashMap<SmolStr, Vec<u32>>>,
    workloads: OnceLock<Workloads>,
}

impl Known {
    fn refused(&self, mesh: &Mesh) -> &HashSet<(Kind, ObjectName)> {
        let name = |resource: &Resource| ObjectName::new(resource.namespace.clone(), resource.name.clone());
        let refused = || mesh.refused().iter().map(|resource| (resource.kind, name(resource))).collect();
        self.refused.get_or_init(refused)
    }

    /// The hosts of services.
    pub(crate) fn hosts(&self, mesh: &Mesh) -> &Hosts {
        self.hosts.get_or_init(|| Hosts::of(mesh))
    }

    /// The namespaces, whether anything is in them or not.
    pub(crate) fn namespaces(&self, mesh: &Mesh) -> &Namespaces {
        self.namespaces.get_or_init(|| Namespaces::of(mesh))
    }

    /// The workloads, whether they run or not.
    pub(crate) fn workloads(&self, mesh: &Mesh) -> &Workloads {
        self.workloads.get_or_init(|| Workloads::of(mesh))
    }

    /// The VirtualServices that name a host, as indices into those of the mesh.
    pub(crate) fn rules_of_host(&self, mesh: &Mesh, host: &str) -> &[u32] {
        let by_host = self.rule_hosts.get_or_init(|| {
            let mut by_host: HashMap<SmolStr, Vec<u32>> = HashMap::new();
            for (index, service) in mesh.virtual_services().iter().enumerate() {
                for host in &service.hosts {
                    by_host.entry(host.clone()).or_default().push(index as u32);
                }
            }
            by_host
        });
        by_host.get(host).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn gateways(&self, mesh: &Mesh) -> &Gateways {
        self.gateways.get_or_init(|| Gateways::of(mesh))
    }

    /// VirtualServices that may be delegates, as `namespace/name`.
    pub(crate) fn delegates(&self, mesh: &Mesh) -> &[String] {
        let services = || mesh.virtual_services().iter().filter(|service| service.hosts.is_empty());
        self.delegates.get_or_init(|| services().map(|service| service.name.to_string()).collect())
    }
}

/// The Gateways of a mesh.
pub(crate) struct Gateways {
    /// With how other namespaces write them, in the order of the mesh.
    all: Vec<(ObjectName, String)>,
    /// The first of each name.
    by_name: HashMap<SmolStr, usize>,
}

impl Gateways {
    fn of(mesh: &Mesh) -> Self {
        let names = mesh.gateways().iter().map(|gateway| (gateway.name.clone(), gateway.name.to_string()));
        let all: Vec<(ObjectName, String)> = names.collect();
        let mut by_name = HashMap::new();
        for (index, (gateway, _)) in all.iter().enumerate() {
            by_name.entry(gateway.name.clone()).or_insert(index);
        }
        Gateways { all, by_name }
    }

    /// The first of this name, whatever its namespace.
    pub(crate) fn named(&self, name: &str) -> Option<&ObjectName> {
        self.all.get(*self.by_name.get(name)?).map(|(gateway, _)| gateway)
    }

    /// As objects of `namespace` write them.
    pub(crate) fn as_written_in<'g>(&'g self, namespace: &'g str) -> impl Iterator<Item = &'g str> {
        let written = move |(gateway, whole): &'g (ObjectName, String)| {
            if gateway.namespace == namespace { gateway.name.as_str() } else { whole.as_str() }
        };
        self.all.iter().map(written)
    }
}
