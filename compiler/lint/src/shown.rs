//! Workloads that the files show, whether or not they run: Pods in any state, templates scaled to nothing.
//!
//! The registry of the mesh holds what takes requests now. Whether a label was ever meant is asked of these.

use hashbrown::{HashMap, HashSet};
use malha_mesh::{Labels, Mesh, ObjectName, Resolution, Service, labels, satisfies};
use malha_model::{Kind, Resource, Spec, kubernetes::Workload};
use smol_str::SmolStr;

/// A workload, or an endpoint that is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The object that shows it.
    pub(crate) kind: Kind,
    pub(crate) name: ObjectName,
    /// Its labels.
    pub(crate) labels: Labels,
}

/// Workloads by namespace and label.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    all: Vec<Shown>,
    by_namespace: HashMap<SmolStr, Vec<u32>>,
    by_label: HashMap<(SmolStr, SmolStr, SmolStr), Vec<u32>>,
    /// Services whose endpoints are listed by address.
    listed: HashSet<ObjectName>,
}

impl Workloads {
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let mut workloads = Workloads::default();
        for resource in mesh.resources() {
            match &resource.spec {
                Spec::Pod(_) => workloads.add(resource, labels(&resource.metadata.labels)),
                // A Rollout may take the template of a Deployment, which shows its labels.
                Spec::Workload(workload) if resource.kind == Kind::Rollout && workload.template.is_none() => {}
                Spec::Workload(workload) => workloads.add(resource, labels_of_pods(workload)),
                Spec::CronJob(cron) => {
                    let job = cron.job_template.as_ref().and_then(|template| template.spec.as_ref());
                    workloads.add(resource, job.map(|job| labels_of_pods(job)).unwrap_or_default());
                }
                Spec::WorkloadEntry(entry) => {
                    let mut own = labels(&entry.labels);
                    own.extend(labels(&resource.metadata.labels));
                    workloads.add(resource, own);
                }
                Spec::Endpoints(_) => {
                    workloads.listed.insert(ObjectName::new(resource.namespace.clone(), resource.name.clone()));
                }
                Spec::EndpointSlice(_) => {
                    let service = resource.metadata.labels.get("kubernetes.io/service-name");
                    let name = service.map(|name| ObjectName::new(resource.namespace.clone(), name.value.clone()));
                    workloads.listed.extend(name);
                }
                _ => {}
            }
        }
        workloads
    }

    fn add(&mut self, resource: &Resource, labels: Labels) {
        let index = self.all.len() as u32;
        let namespace = &resource.namespace;
        self.by_namespace.entry(namespace.clone()).or_default().push(index);
        for (name, value) in &labels {
            self.by_label.entry((namespace.clone(), name.clone(), value.clone())).or_default().push(index);
        }
        let name = ObjectName::new(namespace.clone(), resource.name.clone());
        self.all.push(Shown { kind: resource.kind, name, labels });
    }

    /// Whether the files show any workload of `namespace`.
    pub(crate) fn shows(&self, namespace: &str) -> bool {
        self.by_namespace.contains_key(namespace)
    }

    /// The workloads of `namespace` with all labels of `selector`.
    pub(crate) fn matching<'a, 's>(
        &'a self,
        namespace: &str,
        selector: &'s Labels,
    ) -> impl Iterator<Item = &'a Shown> + use<'a, 's> {
        let by_label = selector.iter().map(|(name, value)| {
            let key = (SmolStr::new(namespace), name.clone(), value.clone());
            self.by_label.get(&key).map(Vec::as_slice).unwrap_or_default()
        });
        let all = || self.by_namespace.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let candidates = by_label.min_by_key(|indices| indices.len()).unwrap_or_else(all);
        let candidates = candidates.iter().filter_map(|index| self.all.get(*index as usize));
        candidates.filter(|workload| satisfies(&workload.labels, selector))
    }

    /// What may be an endpoint of a service, with all labels; none where the files do not show it.
    pub(crate) fn behind(&self, service: &Service) -> Option<Vec<Shown>> {
        // Requests go where the client meant them to, whatever the labels.
        if matches!(service.resolution, Resolution::Passthrough | Resolution::DynamicDns | Resolution::Alias(_)) {
            return None;
        }
        let mut found = Vec::new();
        for resource in service.objects() {
            let name = ObjectName::new(resource.namespace.clone(), resource.name.clone());
            match &resource.spec {
                Spec::Service(spec) => {
                    let selector = labels(&spec.selector);
                    if selector.is_empty() || self.listed.contains(&name) {
                        return None;
                    }
                    found.extend(self.matching(&resource.namespace, &selector).cloned());
                }
                Spec::ServiceEntry(entry) => {
                    match &entry.workload_selector {
                        Some(selector) => {
                            let selector = labels(&selector.labels);
                            found.extend(self.matching(&resource.namespace, &selector).cloned());
                        }
                        None if !entry.endpoints.is_empty() => found.extend(entry.endpoints.iter().map(|endpoint| {
                            Shown { kind: resource.kind, name: name.clone(), labels: labels(&endpoint.labels) }
                        })),
                        // The name itself is the endpoint, without labels (semantics E5, E12).
                        None if matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin) => {
                            found.push(Shown { kind: resource.kind, name, labels: Labels::new() });
                        }
                        None => {}
                    }
                }
                _ => {}
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// The labels that a template gives its Pods.
fn labels_of_pods(workload: &Workload) -> Labels {
    let metadata = workload.template.as_ref().and_then(|template| template.metadata.as_ref());
    metadata.map(|metadata| labels(&metadata.labels)).unwrap_or_default()
}

/// Whether the cluster gives workloads this label, so that no file need show it: where they run, and what made them.
pub(crate) fn is_given_by_cluster(label: &str) -> bool {
    const OF: [&str; 10] = [
        "topology.kubernetes.io/",
        "topology.istio.io/",
        "failure-domain.beta.kubernetes.io/",
        "beta.kubernetes.io/",
        "kubernetes.io/hostname",
        "statefulset.kubernetes.io/",
        "apps.kubernetes.io/",
        "batch.kubernetes.io/",
        "service.istio.io/",
        "security.istio.io/",
    ];
    label.ends_with("pod-template-hash")
        || label == "controller-revision-hash"
        || OF.iter().any(|prefix| label.starts_with(prefix))
}
