//! Who executes the rules of a VirtualService.

use hashbrown::HashMap;
use malha_mesh::{GatewayRef, Mesh, ProxySpec, VirtualService};

/// Who executes rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client<'a> {
    /// A gateway proxy.
    Gateway(&'a ProxySpec),
    /// A sidecar of a namespace, without labels.
    Sidecar(&'a str),
}

impl Client<'_> {
    pub(crate) fn proxy(self) -> ProxySpec {
        match self {
            Client::Gateway(proxy) => proxy.clone(),
            Client::Sidecar(namespace) => ProxySpec { namespace: namespace.into(), ..ProxySpec::default_sidecar() },
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        match self {
            Client::Gateway(proxy) => &proxy.namespace,
            Client::Sidecar(namespace) => namespace,
        }
    }
}

/// Proxies by what makes them execute rules.
pub(crate) struct Clients<'a> {
    mesh: &'a Mesh,
    /// The gateway proxies by the Gateways that configure them.
    by_gateway: HashMap<GatewayRef, Vec<&'a ProxySpec>>,
}

impl<'a> Clients<'a> {
    pub(crate) fn of(mesh: &'a Mesh) -> Self {
        let mut by_gateway: HashMap<GatewayRef, Vec<&ProxySpec>> = HashMap::new();
        for proxy in mesh.proxies() {
            for gateway in mesh.gateways_of(proxy) {
                by_gateway.entry(GatewayRef::Named(gateway.name.clone())).or_default().push(proxy);
            }
        }
        Clients { mesh, by_gateway }
    }

    /// Those that execute the rules of a VirtualService: gateways, and a sidecar of its own namespace, if no Sidecar there
    /// keeps the rules from it. A delegate is executed where its roots are: as if it bound to the mesh.
    pub(crate) fn executing(&self, rules: &'a VirtualService) -> Vec<Client<'a>> {
        let gateways = rules.gateways.iter().filter_map(|gateway| self.by_gateway.get(gateway)).flatten();
        let mut clients: Vec<Client<'_>> = gateways.map(|proxy| Client::Gateway(proxy)).collect();
        let sidecar = Client::Sidecar(&rules.name.namespace);
        let is_let_through =
            || self.mesh.sidecar(&sidecar.proxy()).is_none() || self.mesh.has_rules(&sidecar.proxy(), rules);
        if rules.hosts.is_empty() || (rules.binds_to(&GatewayRef::Mesh) && is_let_through()) {
            clients.push(sidecar);
        }
        clients
    }
}
