//! Workloads: Pods, what makes Pods, and WorkloadEntries.

use crate::{
    labels::{Labels, labels, satisfies},
    locality,
    names::ObjectName,
};
use hashbrown::HashMap;
use malha_model::{Resource, Spanned, Spec, istio, kubernetes};
use smol_str::SmolStr;
use std::{collections::BTreeMap, sync::Arc};

/// The labels that a ReplicaSet of a Deployment, or of a Rollout, adds to its Pods.
const TEMPLATE_HASHES: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];

/// Copies of a template beyond this many are not told apart: no test of a mesh needs more.
const MOST_REPLICAS: u32 = 256;

/// Something that endpoints stand for.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its namespace and name.
    pub name: ObjectName,
    /// What says it.
    pub kind: WorkloadKind,
    /// Its labels.
    pub labels: Labels,
    /// Its address; none where the input does not say.
    pub address: Option<SmolStr>,
    /// Its ports by name.
    pub ports: BTreeMap<SmolStr, u32>,
    /// How many of it there are.
    pub replicas: u32,
    /// Its share; 1 where none is given (semantics D25).
    pub weight: u32,
    /// `region/zone/subzone`.
    pub locality: Option<SmolStr>,
    /// The object.
    pub resource: Arc<Resource>,
}

/// What says a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// A Pod.
    Pod,
    /// What makes Pods by a template: a Deployment, a StatefulSet, a Rollout, ...
    Template,
    /// A WorkloadEntry.
    WorkloadEntry,
}

impl Workload {
    /// The containers of a Pod or a template.
    pub fn containers(&self) -> &[Spanned<kubernetes::Container>] {
        pod_spec(&self.resource).map(|spec| spec.containers.as_slice()).unwrap_or_default()
    }

    /// The service account that it runs as, where the object says one.
    pub fn service_account(&self) -> Option<&str> {
        let written = match &self.resource.spec {
            Spec::WorkloadEntry(entry) => entry.service_account.as_ref(),
            _ => pod_spec(&self.resource)?.service_account_name.as_ref(),
        };
        written.map(|name| name.value.as_str()).filter(|name| !name.is_empty())
    }
}

fn pod_spec(resource: &Resource) -> Option<&kubernetes::PodSpec> {
    let spec = match &resource.spec {
        Spec::Pod(pod) => pod.spec.as_ref(),
        Spec::Workload(workload) => workload.template.as_ref().and_then(|template| template.spec.as_ref()),
        _ => None,
    };
    spec.map(|spec| &spec.value)
}

/// All workloads, found by label; Pods by name too.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    all: Vec<Workload>,
    /// Indices by namespace.
    by_namespace: HashMap<SmolStr, Vec<u32>>,
    /// Indices by namespace, label and its value.
    by_label: HashMap<(SmolStr, SmolStr, SmolStr), Vec<u32>>,
    pods: HashMap<ObjectName, u32>,
}

impl Workloads {
    pub(super) fn link(resources: &[Arc<Resource>]) -> Self {
        let mut pods = Workloads::default();
        let mut templates = Vec::new();
        for resource in resources {
            match &resource.spec {
                Spec::Pod(pod) => pods.extend(of_pod(resource, pod)),
                Spec::Workload(workload) => templates.extend(of_template(resource, workload)),
                Spec::WorkloadEntry(entry) => pods.extend(Some(of_entry(resource, entry))),
                _ => {}
            }
        }
        // A dump of a cluster holds Pods beside what made them: those Pods are the workload then. In the same way a
        // Deployment stands for its ReplicaSets.
        let mut all = Workloads::default();
        let is_one_of_several =
            |template: &Workload| TEMPLATE_HASHES.iter().any(|hash| template.labels.contains_key(*hash));
        templates.sort_by_key(is_one_of_several);
        for template in templates {
            let namespace = &template.name.namespace;
            let has_pods =
                pods.matching(namespace, &template.labels).any(|workload| workload.kind == WorkloadKind::Pod);
            let mut made_by = template.labels.clone();
            made_by.retain(|name, _| !TEMPLATE_HASHES.contains(&name.as_str()));
            let is_made = is_one_of_several(&template)
                && all.matching(namespace, &made_by).any(|workload| !is_one_of_several(workload));
            if !has_pods && !is_made {
                all.extend(Some(template));
            }
        }
        all.extend(pods.all);
        all
    }

    pub(super) fn all(&self) -> &[Workload] {
        &self.all
    }

    pub(super) fn pod(&self, name: &ObjectName) -> Option<&Workload> {
        self.all.get(*self.pods.get(name)? as usize)
    }

    pub(super) fn matching<'a>(&'a self, namespace: &str, selector: &'a Labels) -> impl Iterator<Item = &'a Workload> {
        let by_label = selector.iter().map(|(name, value)| {
            let key = (SmolStr::new(namespace), name.clone(), value.clone());
            self.by_label.get(&key).map(Vec::as_slice).unwrap_or_default()
        });
        let rarest = by_label.min_by_key(|indices| indices.len());
        let all = || self.by_namespace.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let candidates = rarest.unwrap_or_else(all).iter().filter_map(|index| self.all.get(*index as usize));
        candidates.filter(|workload| satisfies(&workload.labels, selector))
    }

    fn extend(&mut self, workloads: impl IntoIterator<Item = Workload>) {
        for workload in workloads {
            let index = self.all.len() as u32;
            let namespace = &workload.name.namespace;
            self.by_namespace.entry(namespace.clone()).or_default().push(index);
            for (name, value) in &workload.labels {
                self.by_label.entry((namespace.clone(), name.clone(), value.clone())).or_default().push(index);
            }
            if workload.kind == WorkloadKind::Pod {
                self.pods.insert(workload.name.clone(), index);
            }
            self.all.push(workload);
        }
    }
}

fn of_pod(resource: &Arc<Resource>, pod: &kubernetes::Pod) -> Option<Workload> {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_ref()).map(|phase| phase.value.as_str());
    if matches!(phase, Some("Succeeded" | "Failed")) || !is_ready(pod) {
        return None;
    }
    let address = status.and_then(|status| {
        let first = status.pod_ips.first().and_then(|address| address.ip.as_ref());
        status.pod_ip.as_ref().or(first)
    });
    let own = labels(&resource.metadata.labels);
    Some(Workload {
        name: ObjectName::new(resource.namespace.clone(), resource.name.clone()),
        kind: WorkloadKind::Pod,
        locality: locality::of_labels(&own),
        labels: own,
        address: address.map(|address| address.value.clone()),
        ports: container_ports(pod_spec(resource)),
        replicas: 1,
        weight: 1,
        resource: Arc::clone(resource),
    })
}

/// Whether nothing says that the Pod takes no requests.
fn is_ready(pod: &kubernetes::Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.filter(|condition| condition.r#type.as_ref().is_some_and(|kind| kind.value == "Ready"));
    ready.all(|condition| condition.status.as_ref().is_none_or(|status| status.value == "True"))
}

fn of_template(resource: &Arc<Resource>, workload: &kubernetes::Workload) -> Option<Workload> {
    let template = workload.template.as_ref()?;
    let replicas = workload.replicas.as_ref().map_or(1, |replicas| replicas.value);
    let replicas = u32::try_from(replicas).unwrap_or(0).min(MOST_REPLICAS);
    if replicas == 0 {
        return None;
    }
    let own = template.metadata.as_ref().map(|metadata| labels(&metadata.labels)).unwrap_or_default();
    Some(Workload {
        name: ObjectName::new(resource.namespace.clone(), resource.name.clone()),
        kind: WorkloadKind::Template,
        locality: locality::of_labels(&own),
        labels: own,
        address: None,
        ports: container_ports(pod_spec(resource)),
        replicas,
        weight: 1,
        resource: Arc::clone(resource),
    })
}

/// The ports of containers that have names. Where a name comes twice the first counts, as in Kubernetes.
fn container_ports(spec: Option<&kubernetes::PodSpec>) -> BTreeMap<SmolStr, u32> {
    let mut ports = BTreeMap::new();
    for port in spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| &container.ports) {
        let (Some(name), Some(number)) = (&port.name, &port.container_port) else { continue };
        let is_tcp = port.protocol.as_ref().is_none_or(|protocol| protocol.value == "TCP");
        if let (true, Ok(number)) = (is_tcp, u32::try_from(number.value)) {
            ports.entry(name.value.clone()).or_insert(number);
        }
    }
    ports
}

/// The locality of a WorkloadEntry: as it says, else as its labels do (semantics E12).
pub(super) fn written_locality(entry: &istio::WorkloadEntry, labels: &Labels) -> Option<SmolStr> {
    let written = entry.locality.as_ref().map(|locality| locality.value.clone());
    written.filter(|locality| !locality.is_empty()).or_else(|| locality::of_labels(labels))
}

fn of_entry(resource: &Arc<Resource>, entry: &istio::WorkloadEntry) -> Workload {
    let mut own = labels(&entry.labels);
    own.extend(labels(&resource.metadata.labels));
    Workload {
        name: ObjectName::new(resource.namespace.clone(), resource.name.clone()),
        kind: WorkloadKind::WorkloadEntry,
        locality: written_locality(entry, &own),
        labels: own,
        address: entry.address.as_ref().map(|address| address.value.clone()),
        ports: entry.ports.iter().map(|(name, number)| (name.value.clone(), number.value)).collect(),
        replicas: 1,
        weight: entry.weight.as_ref().map_or(1, |weight| weight.value.max(1)),
        resource: Arc::clone(resource),
    }
}
