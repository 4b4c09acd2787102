//! What the sidecar of one workload sees: all that is exported to its namespace, or what its Sidecar lets through
//! (semantics E29 to E38).

mod hosts;
mod select;
#[cfg(test)]
mod tests;

use crate::{
    config::OutboundMode,
    labels::{labels, satisfies},
    mesh::Mesh,
    names::GatewayRef,
    program::Role,
    proxy::ProxySpec,
    registry::{Protocol, Service, ServiceView},
    virtual_service::VirtualService,
};
use hashbrown::HashMap;
use malha_model::{
    Resource, Spec,
    istio::{Destination, Sidecar, sidecar::OutboundTrafficPolicyMode},
};
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// What a Sidecar lets through to the proxies of one namespace.
#[derive(Debug)]
pub(crate) struct Egress {
    /// In the order of the file; without `egress` there is one, which lets everything through (semantics E30).
    pub(crate) listeners: Vec<EgressListener>,
    /// The services of all listeners, and those that only rules lead to.
    view: ServiceView,
    outbound: OutboundMode,
    /// Where what no service takes goes, if the Sidecar says so.
    beyond: Option<Destination>,
}

/// One `egress[]` entry: a listener of its own, or that which makes one for each port that is left.
#[derive(Debug)]
pub(crate) struct EgressListener {
    /// Its own port; none: those of the services, as far as no listener before it has them.
    pub(crate) port: Option<EgressPort>,
    /// Where it listens, if not at the addresses of the services.
    pub(crate) bind: Option<SmolStr>,
    /// One for each host; of a listener with a port only that port is left of each.
    pub(crate) services: Vec<Arc<Service>>,
    /// Those first that win (semantics A22).
    pub(crate) virtual_services: Vec<Arc<VirtualService>>,
}

/// The port that an `egress[]` entry names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EgressPort {
    /// 0: a socket.
    pub(crate) number: u32,
    /// What clients speak to it, whatever the services do.
    pub(crate) protocol: Protocol,
}

impl EgressPort {
    /// Whether services are cut down to this port: not where the listener is a proxy for all ports, or a socket.
    pub(crate) fn is_of_services(self) -> bool {
        self.number != 0 && self.protocol != Protocol::HttpProxy
    }
}

/// The Sidecars of a mesh.
#[derive(Debug, Default)]
pub(crate) struct Sidecars {
    /// Those with a selector first, else in the order of semantics 0.1.
    list: Vec<Arc<Resource>>,
    by_namespace: HashMap<SmolStr, Vec<usize>>,
    /// The one for namespaces that have none.
    root: Option<usize>,
    /// What each lets through to its own namespace.
    own: Vec<OnceLock<Egress>>,
    /// What the one of the root namespace lets through, by the namespace of the proxy.
    inherited: HashMap<SmolStr, OnceLock<Egress>>,
    /// The same for namespaces that no object lives in or names: these are alike.
    elsewhere: OnceLock<Egress>,
}

impl Sidecars {
    /// Links those of `resources`, which are in the order of semantics 0.1; `namespaces` are those that objects live in
    /// or name.
    pub(crate) fn link(
        resources: &[Arc<Resource>],
        root_namespace: &str,
        namespaces: impl FnOnce() -> Vec<SmolStr>,
    ) -> Self {
        let mut list: Vec<Arc<Resource>> =
            resources.iter().filter(|resource| matches!(resource.spec, Spec::Sidecar(_))).cloned().collect();
        list.sort_by_key(|resource| !has_selector(resource));
        let mut by_namespace: HashMap<SmolStr, Vec<usize>> = HashMap::new();
        for (index, resource) in list.iter().enumerate() {
            by_namespace.entry(resource.namespace.clone()).or_default().push(index);
        }
        let root = list.iter().position(|resource| resource.namespace == root_namespace && !has_selector(resource));
        let inherited = if root.is_some() { namespaces() } else { Vec::new() };
        Sidecars {
            own: list.iter().map(|_| OnceLock::new()).collect(),
            inherited: inherited.into_iter().map(|namespace| (namespace, OnceLock::new())).collect(),
            elsewhere: OnceLock::new(),
            list,
            by_namespace,
            root,
        }
    }

    /// The index of the one that `proxy` has, and whether it is of another namespace (semantics E29).
    fn find(&self, proxy: &ProxySpec) -> Option<(usize, bool)> {
        if proxy.role != Role::Sidecar {
            return None;
        }
        let own = self.by_namespace.get(&proxy.namespace).into_iter().flatten();
        let mut fitting = own.copied().filter(|index| self.list.get(*index).is_some_and(|one| fits(one, proxy)));
        fitting.next().map(|index| (index, false)).or_else(|| self.root.map(|index| (index, true)))
    }
}

fn spec(resource: &Resource) -> Option<&Sidecar> {
    match &resource.spec {
        Spec::Sidecar(sidecar) => Some(sidecar),
        _ => None,
    }
}

/// A selector without labels is one that every workload satisfies.
fn has_selector(resource: &Resource) -> bool {
    spec(resource).is_some_and(|sidecar| sidecar.workload_selector.is_some())
}

fn fits(resource: &Resource, proxy: &ProxySpec) -> bool {
    let selector = spec(resource).and_then(|sidecar| sidecar.workload_selector.as_ref());
    selector.is_none_or(|selector| satisfies(&proxy.labels, &labels(&selector.labels)))
}

impl Mesh {
    /// The Sidecar that `proxy` has; none for a gateway (semantics E29).
    pub fn sidecar(&self, proxy: &ProxySpec) -> Option<&Arc<Resource>> {
        let (index, _) = self.sidecars.find(proxy)?;
        self.sidecars.list.get(index)
    }

    /// The services that `proxy` sees and reaches.
    pub fn view(&self, proxy: &ProxySpec) -> &ServiceView {
        self.egress(proxy).map_or_else(|| self.registry().view(&proxy.namespace), |egress| &egress.view)
    }

    /// Whether the sidecar `proxy` has `rules`: they bind to the mesh, it sees them, and its Sidecar lets them through.
    pub fn has_rules(&self, proxy: &ProxySpec, rules: &VirtualService) -> bool {
        match self.egress(proxy) {
            None => rules.binds_to(&GatewayRef::Mesh) && rules.visibility.includes(&proxy.namespace),
            Some(egress) => {
                let mut known = egress.listeners.iter().flat_map(|listener| &listener.virtual_services);
                known.any(|known| known.name == rules.name)
            }
        }
    }

    /// What happens to the traffic of `proxy` for unknown destinations (semantics E21, E37).
    pub fn outbound(&self, proxy: &ProxySpec) -> OutboundMode {
        self.egress(proxy).map_or(self.config().outbound, |egress| egress.outbound)
    }

    /// Where the traffic of `proxy` for unknown destinations goes, if its Sidecar names a place for it (semantics E37).
    pub(crate) fn egress_proxy(&self, proxy: &ProxySpec) -> Option<&Destination> {
        self.egress(proxy)?.beyond.as_ref()
    }

    /// What the Sidecar of `proxy` lets through; none: it has no Sidecar.
    pub(crate) fn egress(&self, proxy: &ProxySpec) -> Option<&Egress> {
        let sidecars = &self.sidecars;
        let (index, is_inherited) = sidecars.find(proxy)?;
        let known = if is_inherited {
            sidecars.inherited.get(&proxy.namespace).unwrap_or(&sidecars.elsewhere)
        } else {
            sidecars.own.get(index)?
        };
        let sidecar = spec(sidecars.list.get(index)?)?;
        Some(known.get_or_init(|| Egress::new(self, sidecar, &proxy.namespace)))
    }

    /// The listener of a proxy without a Sidecar: it lets through whatever its namespace sees.
    pub(crate) fn open_listener(&self, proxy: &ProxySpec) -> EgressListener {
        let virtual_services = self.virtual_services_for(&GatewayRef::Mesh, &proxy.namespace);
        EgressListener {
            port: None,
            bind: None,
            services: self.registry().view(&proxy.namespace).services().to_vec(),
            virtual_services: virtual_services.into_iter().cloned().collect(),
        }
    }
}

impl Egress {
    fn new(mesh: &Mesh, sidecar: &Sidecar, namespace: &str) -> Self {
        let listeners = select::listeners(mesh, sidecar, namespace);
        let view = select::view(mesh, &listeners, namespace);
        let outbound = match &sidecar.outbound_traffic_policy {
            None => mesh.config().outbound,
            // Of a policy that says no mode the first counts (semantics E37).
            Some(policy) => match policy.mode.as_ref().map(|mode| mode.value) {
                Some(OutboundTrafficPolicyMode::AllowAny) => OutboundMode::AllowAny,
                Some(OutboundTrafficPolicyMode::RegistryOnly) | None => OutboundMode::RegistryOnly,
            },
        };
        let policy = sidecar.outbound_traffic_policy.as_ref();
        let beyond = policy.and_then(|policy| policy.egress_proxy.as_ref()).map(|proxy| proxy.value.clone());
        let beyond = beyond.filter(|_| outbound == OutboundMode::AllowAny);
        Egress { listeners, view, outbound, beyond }
    }
}
