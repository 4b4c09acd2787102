//! Services, and subsets, without endpoints.

use super::{Part, Places, Reason, Told, named};
use crate::words::some;
use malha_mesh::{
    Mesh, ProxySpec, Service,
    destination_rule::DestinationRule,
    program::{Endpoint, Role},
    registry::{Resolution, ServiceOrigin, ServicePort, TargetPort},
};
use malha_model::{Spanned, Spec, istio::destination_rule::Subset};
use malha_syntax::nearest;
use std::collections::{BTreeMap, BTreeSet};

/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The service has no endpoints, whatever their labels; none if it has some.
pub(super) fn none_at_all(
    mesh: &Mesh,
    proxy: &ProxySpec,
    service: &Service,
    port: &ServicePort,
    places: Places<'_>,
) -> Option<Told> {
    if !mesh.registry().endpoints(service, port).is_empty() {
        return None;
    }
    let (why, help) = match (&service.selector, service.origin) {
        _ if is_listed(mesh, service) => {
            ("its EndpointSlices or Endpoints list no ready address for this port".to_owned(), None)
        }
        (Some(_), _) => unselected(mesh, service, port),
        (None, ServiceOrigin::Kubernetes) => (
            "it has no selector, and no EndpointSlice or Endpoints object lists addresses for it".to_owned(),
            Some("give it a selector, or add its endpoints to the files".to_owned()),
        ),
        (None, ServiceOrigin::ServiceEntry)
            if service.resolution == Resolution::Passthrough && proxy.role == Role::Gateway =>
        {
            let why = "it has `resolution: NONE`, and a gateway has no address of the client's to go to";
            (why.to_owned(), Some("set `resolution: DNS`, or list its endpoints".to_owned()))
        }
        (None, ServiceOrigin::ServiceEntry) => (
            "it lists none and has no `workloadSelector`".to_owned(),
            Some("list them under `endpoints`, or set `resolution: DNS`".to_owned()),
        ),
    };
    let message = format!("{} has no endpoints for port {}: {why}", named(&service.resource, places), port.number);
    Some(Told { reason: Reason::NoEndpoints, part: Part::Host, message, help })
}

/// Whether the cluster itself says which endpoints it has.
fn is_listed(mesh: &Mesh, service: &Service) -> bool {
    service.origin == ServiceOrigin::Kubernetes
        && mesh.resources().iter().filter(|resource| resource.namespace == service.namespace).any(|resource| {
            match &resource.spec {
                Spec::EndpointSlice(_) => {
                    resource.metadata.labels.get(SERVICE_NAME).is_some_and(|name| name.value == service.name)
                }
                Spec::Endpoints(_) => resource.name == service.name,
                _ => false,
            }
        })
}

/// Why its selector finds nothing, and what it may have meant.
fn unselected(mesh: &Mesh, service: &Service, port: &ServicePort) -> (String, Option<String>) {
    let selector = service.selector.clone().unwrap_or_default();
    let wanted = labels(&selector);
    let finds_some = mesh.registry().workloads_with(&service.namespace, &selector).next().is_some();
    if let (true, TargetPort::Name(name)) = (finds_some, &port.target) {
        let why = format!("nothing that its selector `{wanted}` finds has a container's port named `{name}`");
        return (why, Some(format!("name the port `{name}` there, or give `targetPort` a number")));
    }
    let why = format!(
        "no Pod, Deployment or WorkloadEntry that is ready in namespace `{}` has the labels `{wanted}` of its selector",
        service.namespace
    );
    let own = || mesh.registry().workloads().iter().filter(|other| other.name.namespace == service.namespace);
    let close = selector.iter().find_map(|(name, value)| {
        let values: BTreeSet<&str> = own().filter_map(|other| Some(other.labels.get(name)?.as_str())).collect();
        let close = if values.contains(value.as_str()) { None } else { nearest(value, values.iter().copied()) };
        close.map(|close| format!("did you mean `{name}={close}`?"))
    });
    (why, close.or_else(|| Some("add what runs there to the files, or mend the selector".to_owned())))
}

/// The subset has no endpoints; none if it has some.
pub(super) fn none_of_subset(
    mesh: &Mesh,
    service: &Service,
    port: &ServicePort,
    rule: &DestinationRule,
    subset: &Spanned<Subset>,
    places: Places<'_>,
) -> Option<Told> {
    let all = mesh.registry().endpoints(service, port);
    let wanted: BTreeMap<_, _> =
        subset.labels.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect();
    let has = |endpoint: &&Endpoint| wanted.iter().all(|(name, value)| endpoint.labels.get(name) == Some(value));
    if all.iter().any(|endpoint| has(&endpoint)) {
        return None;
    }
    let mut sets: BTreeMap<String, usize> = BTreeMap::new();
    for endpoint in all {
        *sets.entry(labels(&endpoint.labels)).or_default() += 1;
    }
    let sets: Vec<String> = sets.iter().map(|(set, count)| format!("`{set}` ({count})")).collect();
    let (name, wanted) = (subset.name.as_ref().map_or("", |name| name.as_str()), labels(&wanted));
    let by = rule.rules.first().map(|resource| named(resource, places)).unwrap_or_default();
    let message = format!(
        "subset `{name}` is defined by {by} as `{wanted}`, which no endpoint of `{}` has; there are {}",
        service.hostname,
        some(&sets)
    );
    let help = Some("give the subset labels that endpoints have, or the endpoints those labels".to_owned());
    Some(Told { reason: Reason::SubsetWithoutEndpoints, part: Part::Subset, message, help })
}

/// As `kubectl` writes them.
fn labels<K: AsRef<str>, V: AsRef<str>>(labels: &BTreeMap<K, V>) -> String {
    if labels.is_empty() {
        return "no labels".to_owned();
    }
    let texts: Vec<String> =
        labels.iter().map(|(name, value)| format!("{}={}", name.as_ref(), value.as_ref())).collect();
    texts.join(",")
}
