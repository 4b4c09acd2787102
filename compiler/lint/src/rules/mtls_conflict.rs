use crate::rule::{Context, Example, Rule};
use malha_mesh::{Mesh, Service, config::Completeness, host, names::fully_qualified, registry::{ServiceOrigin, Workload}};
use malha_model::{Entries, Resource, Spec, istio::PeerAuthentication, istio::destination_rule::ClientTlsMode};
use malha_syntax::{Finding, Group, RuleInfo};
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

pub(super) static RULE: Rule = Rule {
    info: &RuleInfo {
        code: "C008",
        name: "mtls-conflict",
        group: Group::Suspicious,
        aliases: &["KIA0207", "KIA0208"],
    },
    what: "A DestinationRule speaks to a service without mutual TLS that a PeerAuthentication demands, or with what it refuses.",
    why: "A workload with a sidecar that takes only mutual TLS (`STRICT`) resets plain connections, and one that takes none \
          (`DISABLE`) cannot answer mutual TLS: requests get 503 with the flag UC or UF. Without a `tls` in the \
          DestinationRule Istio finds out by itself what each workload takes. Workloads without a sidecar take plain bytes \
          whatever is demanded.",
    bad: Example::yaml(
        "apiVersion: v1
kind: Namespace
metadata:
  name: default
  labels: {istio-injection: enabled}
---
apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  selector: {app: orders}
  ports:
    - {name: http, port: 8000}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
spec:
  mtls: {mode: STRICT}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  trafficPolicy:
    tls: {mode: DISABLE}
",
    ),
    good: Example::yaml(
        "apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  selector: {app: orders}
  ports:
    - {name: http, port: 8000}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
spec:
  mtls: {mode: STRICT}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: orders
spec:
  host: orders
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL}
",
    ),
    facts: &["D51", "D57"],
    check: Some(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let peers = Peers::of(context.mesh);
    if peers.by_namespace.is_empty() {
        return;
    }
    for resource in context.mesh.resources() {
        let Spec::DestinationRule(spec) = &resource.spec else { continue };
        let Some(mode) = spec.traffic_policy.as_ref().and_then(|policy| policy.tls.as_ref()?.mode.as_ref()) else { continue };
        let refused = match mode.value {
            ClientTlsMode::Disable => "STRICT",
            ClientTlsMode::IstioMutual => "DISABLE",
            ClientTlsMode::Simple | ClientTlsMode::Mutual => continue,
        };
        let Some(written) = &spec.host else { continue };
        let wanted = fully_qualified(written, &resource.namespace, &context.mesh.config().cluster_domain);
        let services = services(context.mesh, &wanted);
        // Without a sidecar nobody takes mutual TLS, and nobody demands it.
        let is_told = |service: &Service| refused == "DISABLE" || peers.have_sidecars(context.mesh, service);
        let mut services = services.into_iter().filter(|service| is_told(service));
        let clash = services.find_map(|service| Some((service, peers.demand(context.mesh, service, refused)?)));
        let Some((service, policy)) = clash else { continue };
        let (how, takes) = match mode.value {
            ClientTlsMode::Disable => ("without TLS", "takes nothing but mutual TLS"),
            _ => ("with mutual TLS", "does not take it"),
        };
        let message = format!("clients speak to `{}` {how}, which {takes} where it has a sidecar", service.hostname);
        let finding = Finding::new(RULE.info, resource.location(mode.span), message)
            .help("leave `tls` out, so that Istio speaks what each workload takes; or change the PeerAuthentication")
            .related(crate::place::named(policy), format!("demands {refused}"))
            .resource(resource.resource_name())
            .field("spec.trafficPolicy.tls.mode");
        findings.push(finding);
    }
}

/// The Kubernetes Services of a host, which may be a wildcard.
fn services<'a>(mesh: &'a Mesh, wanted: &str) -> Vec<&'a Arc<Service>> {
    let found: Vec<&Arc<Service>> = if host::is_wildcard(wanted) {
        mesh.registry().services().iter().filter(|service| host::is_subset(&service.hostname, wanted)).collect()
    } else {
        mesh.registry().services_of_host(wanted).collect()
    };
    found.into_iter().filter(|service| service.origin == ServiceOrigin::Kubernetes).collect()
}

/// The PeerAuthentications of a mesh, and where there are sidecars that they are for.
struct Peers<'a> {
    /// Namespaces that ask for sidecars.
    injecting: HashSet<&'a str>,
    by_namespace: HashMap<&'a str, Vec<(&'a Resource, &'a PeerAuthentication)>>,
}

impl<'a> Peers<'a> {
    fn of(mesh: &'a Mesh) -> Peers<'a> {
        let mut peers = Peers { injecting: HashSet::new(), by_namespace: HashMap::new() };
        for resource in mesh.resources() {
            match &resource.spec {
                Spec::PeerAuthentication(policy) => {
                    peers.by_namespace.entry(&resource.namespace).or_default().push((resource, policy));
                }
                Spec::Namespace(_) if injects(resource) => _ = peers.injecting.insert(&resource.name),
                _ => {}
            }
        }
        peers
    }

    /// Whether the files show that a service's workloads have sidecars: their namespace asks for them, or they do, or there
    /// is nothing but what the files show.
    fn have_sidecars(&self, mesh: &Mesh, service: &Service) -> bool {
        let selector = service.selector.as_ref().filter(|selector| !selector.is_empty());
        let says = |workload: &Workload| inject(workload) == Some("true");
        mesh.config().registry == Completeness::Closed
            || self.injecting.contains(service.namespace.as_str())
            || selector.is_some_and(|selector| mesh.registry().workloads_with(&service.namespace, selector).any(says))
    }

    /// The policy by which all workloads of a service take what `wanted` says; none if nobody can tell.
    ///
    /// What selects workloads beats what holds for the namespace, and that what holds for the mesh. A policy that says
    /// nothing of it leaves it to the next.
    fn demand(&self, mesh: &Mesh, service: &Service, wanted: &str) -> Option<&'a Resource> {
        let selector = service.selector.as_ref().filter(|selector| !selector.is_empty())?;
        let mut workloads = mesh.registry().workloads_with(&service.namespace, selector);
        if workloads.any(has_no_sidecar) {
            return None;
        }
        let own = self.by_namespace.get(service.namespace.as_str()).map(Vec::as_slice).unwrap_or_default();
        let of_mesh = self.by_namespace.get(mesh.config().root_namespace.as_str()).map(Vec::as_slice).unwrap_or_default();
        let (selecting, whole): (Vec<_>, Vec<_>) = own.iter().copied().partition(|(_, policy)| policy.selector.is_some());
        for (resource, policy) in selecting {
            let labels = policy.selector.as_ref().map(|selector| &selector.match_labels)?;
            if !meets(labels, selector) {
                continue;
            }
            // It may be for some of the workloads alone, and say otherwise of some ports.
            if !policy.port_level_mtls.is_empty() || !is_within(labels, selector) {
                return None;
            }
            if let Some(mode) = mode(policy) {
                return (mode == wanted).then_some(resource);
            }
        }
        let whole = whole.into_iter().chain(of_mesh.iter().copied().filter(|(_, policy)| policy.selector.is_none()));
        let mut decided = whole.filter_map(|(resource, policy)| Some((resource, mode(policy)?)));
        let (resource, mode) = decided.next()?;
        (mode == wanted).then_some(resource)
    }
}

fn mode(policy: &PeerAuthentication) -> Option<&str> {
    let mode = policy.mtls.as_ref()?.mode.as_ref()?.as_str();
    (mode != "UNSET").then_some(mode)
}

/// Whether workloads with the labels of the one may have those of the other.
fn meets(labels: &Entries<SmolStr>, other: &BTreeMap<SmolStr, SmolStr>) -> bool {
    labels.iter().all(|(name, value)| other.get(&name.value).is_none_or(|own| *own == value.value))
}

/// Whether workloads with the labels of `other` all have these.
fn is_within(labels: &Entries<SmolStr>, other: &BTreeMap<SmolStr, SmolStr>) -> bool {
    labels.iter().all(|(name, value)| other.get(&name.value) == Some(&value.value))
}

/// Whether a namespace asks for sidecars.
fn injects(namespace: &Resource) -> bool {
    let labels = &namespace.metadata.labels;
    labels.get("istio-injection").is_some_and(|value| value.value == "enabled") || labels.get("istio.io/rev").is_some()
}

/// Whether a workload can have no sidecar: it says so, or it shares the network of its node.
fn has_no_sidecar(workload: &Workload) -> bool {
    let shares_network = match &workload.resource.spec {
        Spec::Workload(spec) => spec.template.as_ref().and_then(|template| template.spec.as_ref()?.host_network.as_ref()),
        Spec::Pod(pod) => pod.spec.as_ref().and_then(|spec| spec.host_network.as_ref()),
        _ => None,
    };
    inject(workload) == Some("false") || shares_network.is_some_and(|shares| shares.value)
}

/// What a workload says of a sidecar.
fn inject(workload: &Workload) -> Option<&str> {
    const INJECT: &str = "sidecar.istio.io/inject";
    let metadata = match &workload.resource.spec {
        Spec::Workload(template) => template.template.as_ref().and_then(|template| template.metadata.as_ref()),
        _ => None,
    };
    let annotations = metadata.map_or(&workload.resource.metadata.annotations, |metadata| &metadata.annotations);
    let annotated = annotations.get(INJECT).map(|value| value.value.as_str());
    workload.labels.get(INJECT).map(SmolStr::as_str).or(annotated)
}
