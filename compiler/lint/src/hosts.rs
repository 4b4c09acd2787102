//! Hosts that configs name, and whether there is such a service: what the files show of it, and how sure that is.

use crate::{evidence::Known, rule::Context, slip::Slips};
use hashbrown::{HashMap, HashSet};
use malha_mesh::{
    Mesh, ObjectName,
    config::Completeness,
    host,
    names::{fully_qualified, service_hostname},
    registry::ServiceOrigin,
};
use malha_model::Spec;
use malha_syntax::{Severity, nearest};
use smol_str::SmolStr;
use std::sync::{Mutex, PoisonError};

/// A host that nobody in the files has.
#[derive(Clone, Debug)]
pub(crate) struct UnknownHost {
    /// Fully qualified.
    pub(crate) host: SmolStr,
    /// How sure it is.
    pub(crate) severity: Severity,
    /// What the files hold that comes near to it.
    pub(crate) near: Near,
    /// What is probably meant.
    pub(crate) instead: Option<SmolStr>,
}

/// What the files hold that comes near to a host that nobody has.
#[derive(Clone, Debug)]
pub(crate) enum Near {
    /// Nothing that is to be told.
    Nothing,
    /// It is cut short: a name with a dot is not completed (semantics 0.4).
    CutShort,
    /// A ServiceEntry has this wildcard, below which the name is: recorded, that is another host than the name.
    Wildcard(SmolStr),
}

/// In a namespace with more services than this no near name is looked for: a mesh may name many hosts in vain.
const MOST_COMPARED: usize = 256;

/// Namespaces that installers fill, Istio's and Kubernetes' own: what a repository holds of them is never all.
fn is_filled_by_others(namespace: &str, root: &str) -> bool {
    namespace == root || namespace == "istio-system" || namespace.starts_with("kube-")
}

/// What the files hold of services, found once.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// Namespaces with Kubernetes Services.
    namespaces: HashSet<SmolStr>,
    /// Hosts of objects that are refused: what is wrong with them is said already.
    refused: HashSet<SmolStr>,
    /// Names of Services, by short name.
    by_short_name: HashMap<SmolStr, Vec<SmolStr>>,
    /// Exact hosts of all services.
    slips: Slips,
    /// Wildcard hosts of ServiceEntries.
    wildcards: Vec<SmolStr>,
    told: Mutex<HashMap<(SmolStr, SmolStr), Option<UnknownHost>>>,
}

impl Hosts {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let domain = &mesh.config().cluster_domain;
        let services = mesh.registry().services();
        let mut refused = HashSet::new();
        for resource in mesh.refused() {
            match &resource.spec {
                Spec::Service(_) => {
                    refused.insert(service_hostname(&resource.name, &resource.namespace, domain));
                }
                Spec::ServiceEntry(entry) => refused.extend(entry.hosts.iter().map(|host| host.value.clone())),
                _ => {}
            }
        }
        let (wildcards, exact): (Vec<_>, Vec<_>) =
            services.iter().map(|service| &service.hostname).partition(|name| host::is_wildcard(name));
        let mut wildcards: Vec<SmolStr> = wildcards.into_iter().cloned().collect();
        wildcards.sort_by(|a, b| host::specificity(a, b));
        wildcards.dedup();
        let kubernetes = || services.iter().filter(|service| service.origin == ServiceOrigin::Kubernetes);
        let mut by_short_name: HashMap<SmolStr, Vec<SmolStr>> = HashMap::new();
        for service in kubernetes() {
            by_short_name.entry(service.name.clone()).or_default().push(service.hostname.clone());
        }
        Hosts {
            namespaces: kubernetes().map(|service| service.namespace.clone()).collect(),
            refused,
            by_short_name,
            slips: Slips::of(exact.into_iter().map(SmolStr::as_str)),
            wildcards,
            told: Mutex::default(),
        }
    }

    /// Whether an object that has the host is refused.
    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(name)
    }

    /// The most specific wildcard of a ServiceEntry that holds `name`.
    fn wildcard_over(&self, name: &str) -> Option<&SmolStr> {
        self.wildcards.iter().find(|wildcard| host::is_subset(name, wildcard))
    }
}

impl Context<'_> {
    /// What is to be said of the host that an object of `namespace` names as `written`, if nobody has it; none if there
    /// is such a service, or if that cannot be known.
    ///
    /// In a closed mesh every such host is wrong. Otherwise its service may live elsewhere, and it is told where the
    /// files hold Services of its namespace, or a name that is a slip away; in an open mesh only the latter.
    pub(crate) fn unknown_host(&self, written: &str, namespace: &str) -> Option<UnknownHost> {
        let known = self.known.hosts(self.mesh);
        let key = (SmolStr::new(written), SmolStr::new(namespace));
        // What a rule that panicked has left is as good as what it left before.
        let memory = || known.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = memory().get(&key) {
            return told.clone();
        }
        let told = unknown(self.mesh, &self.known, known, written, namespace);
        memory().insert(key, told.clone());
        told
    }
}

fn unknown(mesh: &Mesh, known: &Known, hosts: &Hosts, written: &str, namespace: &str) -> Option<UnknownHost> {
    let config = mesh.config();
    let domain = &config.cluster_domain;
    let name = fully_qualified(written, namespace, domain);
    let is_there = |name: &str| mesh.registry().services_of_host(name).next().is_some();
    let is_wildcard = host::is_wildcard(&name);
    if name.is_empty() || hosts.is_refused(&name) || is_there(&name) {
        return None;
    }
    if is_wildcard && mesh.registry().services().iter().any(|service| host::is_subset(&service.hostname, &name)) {
        return None;
    }
    let service = kubernetes_name(&name, domain);
    if service.as_ref().is_some_and(|service| service.namespace == "default" && service.name == "kubernetes") {
        return None;
    }
    let closed = config.registry == Completeness::Closed;
    let severity = if closed { Severity::Error } else { Severity::Warning };
    let told = |near, instead| Some(UnknownHost { host: name.clone(), severity, near, instead });

    // `orders.shop` looks like the Service `orders` of namespace `shop`, and is not (semantics 0.4).
    if let Some(whole) = cut_short(written, domain).filter(|whole| is_there(whole)) {
        return told(Near::CutShort, Some(whole));
    }
    if let Some(service) = service {
        let same_name = hosts.by_short_name.get(&service.name).map(Vec::as_slice).unwrap_or_default();
        let slip = hosts.slips.meant(&name);
        let is_whole = if is_filled_by_others(&service.namespace, &config.root_namespace) {
            // Nobody deploys an application there: a short name of one that lives elsewhere is meant to lead there.
            !written.contains('.') && !same_name.is_empty()
        } else {
            hosts.namespaces.contains(&service.namespace)
        };
        if !closed && slip.is_none() && !(config.registry == Completeness::Auto && is_whole) {
            return None;
        }
        let near = || {
            let own = mesh.registry().services_in(&service.namespace).map(|service| service.hostname.as_str());
            let own: Vec<&str> = own.take(MOST_COMPARED + 1).collect();
            let few = own.len() <= MOST_COMPARED;
            let near = nearest(&service.name, own.iter().filter(|_| few).filter_map(|host| host.split('.').next()));
            near.map(|near| service_hostname(near, &service.namespace, domain))
        };
        let instead = slip.cloned().or_else(near).or_else(|| match same_name {
            [only] => Some(only.clone()),
            _ => None,
        });
        return told(Near::Nothing, instead.filter(|instead| is_there(instead)));
    }
    // In a cluster of another domain, or of a set of clusters, such a name may well lead to a Service.
    if !closed && name.contains(".svc.") {
        return None;
    }
    if let Some(wildcard) = hosts.wildcard_over(&name).filter(|_| config.registry != Completeness::Open) {
        return told(Near::Wildcard(wildcard.clone()), None);
    }
    let slip = hosts.slips.meant(&name).cloned();
    if !closed && (slip.is_none() || !known.rules_of_host(mesh, &name).is_empty()) {
        return None;
    }
    told(Near::Nothing, slip)
}

/// The Kubernetes Service that a whole name means.
pub(crate) fn kubernetes_name(host: &str, domain: &str) -> Option<ObjectName> {
    let rest = host.strip_suffix(domain)?.strip_suffix(".svc.")?;
    let (name, namespace) = rest.split_once('.')?;
    let is_service = !name.is_empty() && !namespace.is_empty() && !namespace.contains('.') && name != "*";
    is_service.then(|| ObjectName::new(namespace, name))
}

/// The whole name of what people mean by `name.namespace` and `name.namespace.svc`.
fn cut_short(written: &str, domain: &str) -> Option<SmolStr> {
    let rest = written.strip_suffix(".svc").unwrap_or(written);
    let (name, namespace) = rest.split_once('.')?;
    (!namespace.contains('.') && !domain.is_empty()).then(|| service_hostname(name, namespace, domain))
}
