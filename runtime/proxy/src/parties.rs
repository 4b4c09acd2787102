//! Who calls whom, in the words of Istio's standard metrics. A request is counted by numbers; what they stand for is
//! found when a table is put in force, and asked for only when somebody reads the counters.

use crate::metrics::lock;
use malha_table::view::{Cluster, Endpoint, Proxy};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// The number of a party that nothing is known of.
pub(crate) const UNKNOWN: u32 = 0;
/// The destination of what is passed on to hosts that the mesh does not know.
pub(crate) const PASSTHROUGH: u32 = 1;
/// The destination of what is refused since the mesh does not know its host.
pub(crate) const BLACK_HOLE: u32 = 2;

/// The destination of what goes to hosts that the mesh does not know by DNS.
pub(crate) const BY_HOST: u32 = 3;

/// Envoy's name for the cluster of what is passed on to hosts that the mesh does not know.
pub(crate) const PASSTHROUGH_CLUSTER_NAME: &str = "PassthroughCluster";
/// The same for what goes there by DNS (semantics B39).
pub(crate) const BY_HOST_CLUSTER_NAME: &str = "AllowAnyDynamicDNSCluster";

/// The number of the cluster of what is passed on to hosts that the mesh does not know; [`UNKNOWN`] is that of none.
pub(crate) const PASSTHROUGH_CLUSTER: u32 = 1;
/// The same for what goes there by DNS.
pub(crate) const BY_HOST_CLUSTER: u32 = 2;

/// What a label says where nothing is known.
const NOT_KNOWN: &str = "unknown";

/// Everyone whom some table of this proxy named. They only become more, as many as the tables name workloads and
/// services: nothing in a request makes one.
#[derive(Debug)]
pub(crate) struct Parties {
    sources: Mutex<Numbers<Workload>>,
    destinations: Mutex<Numbers<Destination>>,
    clusters: Mutex<Numbers<Arc<str>>>,
}

/// What is known of a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Workload {
    pub(crate) name: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) app: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) canonical_service: Arc<str>,
    pub(crate) canonical_revision: Arc<str>,
}

/// A service, and the workload that took the request, if one did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Destination {
    /// Its host.
    pub(crate) service: Arc<str>,
    pub(crate) service_name: Arc<str>,
    pub(crate) service_namespace: Arc<str>,
    pub(crate) workload: Workload,
}

/// Values, each with a number that it keeps.
#[derive(Debug)]
struct Numbers<T> {
    by_value: BTreeMap<T, u32>,
    by_number: Vec<T>,
}

impl<T: Ord + Clone> Numbers<T> {
    fn of(values: impl IntoIterator<Item = T>) -> Self {
        let mut numbers = Numbers { by_value: BTreeMap::new(), by_number: Vec::new() };
        for value in values {
            numbers.number(value);
        }
        numbers
    }

    fn number(&mut self, value: T) -> u32 {
        if let Some(&number) = self.by_value.get(&value) {
            return number;
        }
        let number = self.by_number.len() as u32;
        self.by_number.push(value.clone());
        self.by_value.insert(value, number);
        number
    }
}

impl Default for Parties {
    fn default() -> Self {
        let to = |name: &str| Destination { service_name: name.into(), ..Destination::unknown() };
        Parties {
            sources: Mutex::new(Numbers::of([Workload::unknown()])),
            destinations: Mutex::new(Numbers::of([
                Destination::unknown(),
                to(PASSTHROUGH_CLUSTER_NAME),
                to("BlackHoleCluster"),
                to(BY_HOST_CLUSTER_NAME),
            ])),
            clusters: Mutex::new(Numbers::of(["", PASSTHROUGH_CLUSTER_NAME, BY_HOST_CLUSTER_NAME].map(Arc::from))),
        }
    }
}

impl Parties {
    /// The number of a proxy, as the source of its requests.
    pub(crate) fn source(&self, proxy: &Proxy<'_>) -> u32 {
        lock(&self.sources).number(Workload::of(Some((proxy.namespace(), proxy.name())), &proxy.labels()))
    }

    /// The number of a cluster, for requests that no endpoint of it took.
    pub(crate) fn cluster(&self, cluster: &Cluster<'_>) -> u32 {
        lock(&self.destinations).number(Destination::of(cluster.host(), Workload::unknown()))
    }

    /// The number of an endpoint of a cluster.
    pub(crate) fn endpoint(&self, cluster: &Cluster<'_>, endpoint: &Endpoint<'_>) -> u32 {
        let workload = Workload::of(endpoint.workload(), &endpoint.labels());
        lock(&self.destinations).number(Destination::of(cluster.host(), workload))
    }

    /// The number of a cluster, by its name.
    pub(crate) fn cluster_name(&self, name: &str) -> u32 {
        lock(&self.clusters).number(name.into())
    }

    /// The names of all clusters, by their numbers.
    pub(crate) fn cluster_names(&self) -> Vec<Arc<str>> {
        lock(&self.clusters).by_number.clone()
    }

    /// All sources, by their numbers.
    pub(crate) fn sources(&self) -> Vec<Workload> {
        lock(&self.sources).by_number.clone()
    }

    /// All destinations, by their numbers.
    pub(crate) fn destinations(&self) -> Vec<Destination> {
        lock(&self.destinations).by_number.clone()
    }
}

/// What a proxy is called in traces: its canonical service, in its namespace.
pub(crate) fn service_name(proxy: &Proxy<'_>) -> Arc<str> {
    let workload = Workload::of(Some((proxy.namespace(), proxy.name())), &proxy.labels());
    format!("{}.{}", workload.canonical_service, workload.namespace).into()
}

impl Workload {
    fn unknown() -> Self {
        let unknown: Arc<str> = NOT_KNOWN.into();
        Workload {
            name: Arc::clone(&unknown),
            namespace: Arc::clone(&unknown),
            app: Arc::clone(&unknown),
            version: Arc::clone(&unknown),
            canonical_service: Arc::clone(&unknown),
            canonical_revision: unknown,
        }
    }

    /// From its name, as (namespace, name), and its labels.
    fn of<'t>(named: Option<(&str, &str)>, labels: &(impl Iterator<Item = (&'t str, &'t str)> + Clone)) -> Self {
        let label = |keys: &[&str]| keys.iter().find_map(|key| labels.clone().find(|(name, _)| name == key));
        let value = |keys: &[&str]| label(keys).map(|(_, value)| value);
        let (namespace, name) = named.unzip();
        let is_known = named.is_some() || labels.clone().next().is_some();
        let service = value(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]).or(name);
        let revision = value(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
        let text = |value: Option<&str>| value.unwrap_or(NOT_KNOWN).into();
        Workload {
            name: text(name),
            namespace: text(namespace),
            app: text(value(&["app"])),
            version: text(value(&["version"])),
            canonical_service: text(service),
            canonical_revision: text(revision.or(is_known.then_some("latest"))),
        }
    }
}

impl Destination {
    fn unknown() -> Self {
        let unknown: Arc<str> = NOT_KNOWN.into();
        Destination {
            service: Arc::clone(&unknown),
            service_name: Arc::clone(&unknown),
            service_namespace: unknown,
            workload: Workload::unknown(),
        }
    }

    /// A service of Kubernetes has name and namespace in its host; any other is called by its host, and where its
    /// `ServiceEntry` lives is not in a table.
    fn of(host: &str, workload: Workload) -> Self {
        let of_kubernetes = host.split_once(".svc.").and_then(|(service, _)| service.split_once('.'));
        let (name, namespace) = of_kubernetes.unwrap_or((host, NOT_KNOWN));
        Destination { service: host.into(), service_name: name.into(), service_namespace: namespace.into(), workload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_kubernetes_tell_their_namespace() {
        for (host, name, namespace) in [
            ("cart.shop.svc.cluster.local", "cart", "shop"),
            ("api.example.com", "api.example.com", "unknown"),
            ("odd.svc.example.com", "odd.svc.example.com", "unknown"),
        ] {
            let destination = Destination::of(host, Workload::unknown());
            assert_eq!((&*destination.service_name, &*destination.service_namespace), (name, namespace), "{host}");
        }
    }

    #[test]
    fn labels_tell_the_canonical_service() {
        let of = |named, labels: &[(&'static str, &'static str)]| Workload::of(named, &labels.iter().copied());
        let named = Some(("shop", "cart-v2"));
        let plain = of(named, &[]);
        assert_eq!(
            (&*plain.canonical_service, &*plain.canonical_revision, &*plain.app),
            ("cart-v2", "latest", "unknown")
        );
        let labelled = of(named, &[("app", "cart"), ("version", "v2"), ("app.kubernetes.io/name", "basket")]);
        assert_eq!((&*labelled.canonical_service, &*labelled.canonical_revision), ("basket", "v2"));
        assert_eq!((&*labelled.app, &*labelled.version), ("cart", "v2"));
        assert_eq!(of(None, &[]), Workload::unknown());
    }

    #[test]
    fn equal_parties_share_their_number() {
        let mut numbers = Numbers::of(["a", "b"]);
        assert_eq!((numbers.number("b"), numbers.number("c"), numbers.number("a")), (1, 2, 0));
        let parties = Parties::default();
        assert_eq!(&*parties.destinations()[PASSTHROUGH as usize].service_name, "PassthroughCluster");
        assert_eq!(&*parties.destinations()[BY_HOST as usize].service_name, BY_HOST_CLUSTER_NAME);
        assert_eq!(&*parties.cluster_names()[BY_HOST_CLUSTER as usize], BY_HOST_CLUSTER_NAME);
        assert_eq!(&*parties.destinations()[BLACK_HOLE as usize].service_name, "BlackHoleCluster");
        assert_eq!(parties.sources()[UNKNOWN as usize], Workload::unknown());
    }
}
