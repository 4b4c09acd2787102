//! How sure it is that what the input does not hold does not exist.

use crate::{hosts::Hosts, namespaces::Namespaces, rule::Context, shown::Workloads, slip::Names};
use hashbrown::{HashMap, HashSet};
use malha_mesh::{Mesh, ObjectName, config::Completeness, names::MESH_GATEWAY};
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
    delegates: OnceLock<Names>,
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
    pub(crate) fn delegates(&self, mesh: &Mesh) -> &Names {
        let services = || mesh.virtual_services().iter().filter(|service| service.hosts.is_empty());
        self.delegates.get_or_init(|| services().map(|service| service.name.to_string()).collect())
    }
}

/// The Gateways of a mesh.
pub(crate) struct Gateways {
    /// The first of each name.
    by_name: HashMap<SmolStr, ObjectName>,
    /// With their namespaces.
    whole: Names,
    /// Those of a namespace as it writes them, and `mesh`.
    own: HashMap<SmolStr, Names>,
    /// What all namespaces may write without one.
    for_all: Names,
}

impl Gateways {
    fn of(mesh: &Mesh) -> Self {
        let mut by_name = HashMap::new();
        let mut own: HashMap<SmolStr, Vec<SmolStr>> = HashMap::new();
        for gateway in mesh.gateways() {
            by_name.entry(gateway.name.name.clone()).or_insert_with(|| gateway.name.clone());
            own.entry(gateway.name.namespace.clone()).or_default().push(gateway.name.name.clone());
        }
        let with_mesh = |names: Vec<SmolStr>| names.into_iter().chain([SmolStr::new_static(MESH_GATEWAY)]).collect();
        Gateways {
            by_name,
            whole: mesh.gateways().iter().map(|gateway| gateway.name.to_string()).collect(),
            own: own.into_iter().map(|(namespace, names)| (namespace, with_mesh(names))).collect(),
            for_all: with_mesh(Vec::new()),
        }
    }

    /// The first of this name, whatever its namespace.
    pub(crate) fn named(&self, name: &str) -> Option<&ObjectName> {
        self.by_name.get(name)
    }

    /// The one that an object of `namespace` probably means by `written`, as it may write it.
    pub(crate) fn near(&self, written: &str, namespace: &str) -> Option<&str> {
        if written.contains('/') {
            return self.whole.near(written);
        }
        self.own.get(namespace).unwrap_or(&self.for_all).near(written)
    }
}
