//! Where destinations lead, looked up once for each proxy.

use super::policies;
use crate::config::MeshConfig;
use crate::names::cluster_server_name;
use crate::program::{Cluster, Destination, HashKey, Retries, Role};
use crate::registry::Service;
use crate::{GatewayRef, Mesh, ProxySpec};
use hashbrown::HashMap;
use malha_model::Spanned;
use malha_model::istio::{self, PortSelector};
use malha_syntax::Span;
use smol_str::SmolStr;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Where a destination leads, and what its consistent hash reads.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub(super) struct Leads {
    pub(super) host: SmolStr,
    pub(super) port: u32,
    pub(super) subset: Option<SmolStr>,
    /// None: there is no such cluster.
    pub(super) cluster: Option<SmolStr>,
    pub(super) hash: Option<HashKey>,
}

/// A destination, as yet without weight and header operations.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) destination: Destination,
    pub(super) hash: Option<HashKey>,
}

impl From<&Leads> for Target {
    fn from(leads: &Leads) -> Self {
        let Leads { host, port, subset, cluster, hash } = leads.clone();
        Target { destination: Destination { host, port, subset, cluster, ..Destination::default() }, hash }
    }
}

/// What a destination is looked up by: namespace, host, subset, port, whether the rule says it, port of the listener.
type Asked = (SmolStr, SmolStr, Option<SmolStr>, Option<u32>, bool, u32);

/// Looks destinations up for one proxy, each once, and remembers the clusters that are in use; and what holds for all
/// destinations where their rules say nothing.
pub(super) struct Resolver<'a> {
    mesh: &'a Mesh,
    proxy: &'a ProxySpec,
    known: RefCell<HashMap<Asked, Rc<Leads>>>,
    used: RefCell<BTreeMap<SmolStr, Arc<Cluster>>>,
    /// The mesh's own retries, for destinations that are chosen by hash and for others.
    retries: [OnceCell<Option<Arc<Retries>>>; 2],
}

impl<'a> Resolver<'a> {
    pub(super) fn new(mesh: &'a Mesh, proxy: &'a ProxySpec) -> Self {
        Resolver { mesh, proxy, known: RefCell::default(), used: RefCell::default(), retries: Default::default() }
    }

    /// The clusters of all destinations that were looked up, by name.
    pub(super) fn into_clusters(self) -> Vec<Arc<Cluster>> {
        self.used.into_inner().into_values().collect()
    }

    /// Where a destination of a config in `namespace` leads, for requests of a listener on `port`; `missing` is its
    /// port where it says none.
    fn resolve(&self, namespace: &str, destination: &istio::Destination, port: u32, missing: Option<u32>) -> Rc<Leads> {
        let host = destination.host.as_ref().map(|host| host.value.clone()).unwrap_or_default();
        let subset = destination.subset.as_ref().map(|subset| subset.value.clone());
        let number = |selector: &PortSelector| selector.number.as_ref().map_or(0, |number| number.value);
        let given = destination.port.as_ref().map(|selector| number(selector)).or(missing);
        let is_said = destination.port.is_some();
        let asked = (namespace.into(), host, subset, given, is_said, port);
        if let Some(leads) = self.known.borrow().get(&asked) {
            return Rc::clone(leads);
        }
        let whole = |number| {
            let number = Some(Spanned::new(number, Span::default(), Span::default()));
            Spanned::new(PortSelector { number }, Span::default(), Span::default())
        };
        let destination = istio::Destination { port: given.map(whole), ..destination.clone() };
        let found = self.mesh.destination(self.proxy, namespace, &destination, port);
        // Settings of a port are asked for a hash only where the rule names the port (recorded; semantics D23).
        let named = is_said.then_some(found.port);
        let leads = Rc::new(self.remember(found.host, found.port, named, found.subset, found.cluster));
        self.known.borrow_mut().insert(asked, Rc::clone(&leads));
        leads
    }

    /// The retries of a rule that says nothing of them (semantics C47).
    pub(super) fn default_retries(&self, is_hashed: bool) -> Option<Arc<Retries>> {
        let [plain, hashed] = &self.retries;
        let made = if is_hashed { hashed } else { plain };
        made.get_or_init(|| policies::retries(None, self.mesh.config(), is_hashed).map(Arc::new)).clone()
    }

    /// Where a port of `service` leads.
    pub(super) fn service(&self, service: &Service, port: u32) -> Leads {
        let cluster = self.mesh.cluster(self.proxy, &service.hostname, port, None);
        self.remember(service.hostname.clone(), port, Some(port), None, cluster)
    }

    /// Where a destination leads that is taken as it is written: its host is not completed.
    pub(super) fn as_written(&self, destination: &istio::Destination) -> Leads {
        let host = destination.host.as_ref().map(|host| host.value.clone()).unwrap_or_default();
        let subset = destination.subset.as_ref().map(|subset| subset.value.clone());
        let number = destination.port.as_ref().and_then(|port| port.number.as_ref());
        let port = number.map_or(0, |number| number.value);
        let cluster = self.mesh.cluster(self.proxy, &host, port, subset.as_deref());
        self.remember(host, port, Some(port), subset, cluster)
    }

    /// Where a gateway leads that passes the mesh's own TLS on: a cluster beside that of requests, by whose name clients
    /// ask for it, and to which nothing but their bytes is sent (semantics A.6).
    pub(super) fn by_server_name(&self, service: &Service, port: u32, subset: Option<&SmolStr>) -> Leads {
        let name = cluster_server_name(port, subset.map(SmolStr::as_str), &service.hostname);
        let cluster = self.mesh.cluster(self.proxy, &service.hostname, port, subset.map(SmolStr::as_str));
        let cluster = cluster.map(|mut cluster| {
            let own = Arc::make_mut(&mut cluster);
            own.name = name;
            if let Some(policy) = own.policy.source.as_mut().and_then(|policy| Arc::make_mut(policy).as_object_mut()) {
                policy.retain(|block, _| !matches!(block.as_str(), "tls" | "tunnel"));
            }
            cluster
        });
        self.remember(service.hostname.clone(), port, Some(port), subset.cloned(), cluster)
    }

    fn remember(
        &self,
        host: SmolStr,
        port: u32,
        named: Option<u32>,
        subset: Option<SmolStr>,
        cluster: Option<Arc<Cluster>>,
    ) -> Leads {
        let hash = self.mesh.hash_key(self.proxy, &host, named, subset.as_deref());
        let name = cluster.map(|cluster| {
            let name = cluster.name.clone();
            self.used.borrow_mut().entry(name.clone()).or_insert(cluster);
            name
        });
        Leads { host, port, subset, cluster: name, hash }
    }
}

/// What the rules of one VirtualService are lowered for.
pub(super) struct Scope<'a> {
    pub(super) resolver: &'a Resolver<'a>,
    pub(super) proxy: &'a ProxySpec,
    /// The gateway, or `mesh`.
    pub(super) gateway: &'a GatewayRef,
    /// Of the VirtualService.
    pub(super) namespace: &'a str,
    /// Number of the Gateway's server, or of the service port; 0: all ports.
    pub(super) port: u32,
    /// Whether the Gateway's server has a `tls` block (semantics A44).
    pub(super) is_tls: bool,
}

impl Scope<'_> {
    pub(super) fn config(&self) -> &MeshConfig {
        self.resolver.mesh.config()
    }

    /// Where a destination of an HTTP rule leads.
    ///
    /// A sidecar's route table sees services only by its own port, so that a destination without one is on that port; if
    /// it is for all ports (0), on the only one of its service.
    pub(super) fn http_leads(&self, destination: &istio::Destination) -> Rc<Leads> {
        let missing = Some(self.port).filter(|&port| self.proxy.role == Role::Sidecar && port != 0);
        self.resolver.resolve(self.namespace, destination, self.port, missing)
    }

    /// The target of an HTTP rule's destination.
    pub(super) fn http_target(&self, destination: &istio::Destination) -> Target {
        Target::from(&*self.http_leads(destination))
    }

    /// The target of a `tcp` or `tls` rule's destination.
    pub(super) fn layer4_target(&self, destination: &istio::Destination) -> Target {
        Target::from(&*self.resolver.resolve(self.namespace, destination, self.port, None))
    }
}
