//! Which objects of a dump belong into a tree.

use super::{clean::clean, dump::Object};
use malha_model::Kind;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What goes into the tree, and what does not.
#[derive(Default)]
pub(super) struct Chosen {
    /// Clean, in the order of the dump; the last of those that are one object counts.
    pub(super) objects: Vec<Clean>,
    /// How many objects are left out, by reason.
    pub(super) left_out: BTreeMap<String, usize>,
    /// Sentences for people.
    pub(super) notes: Vec<String>,
}

/// An object without what the cluster added.
pub(super) struct Clean {
    pub(super) what: What,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) value: Value,
}

/// What an object of a tree is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Object(Kind),
    /// The ConfigMap with the settings of the mesh.
    MeshConfig,
}

/// Chooses, and cleans what is chosen.
pub(super) fn choose(objects: Vec<Object>, with_secrets: bool) -> Chosen {
    let makers = Makers::of(&objects);
    let mut chosen = Chosen::default();
    let mut known: HashMap<(String, String, String), usize> = HashMap::new();
    let (mut twice, mut settings) = (BTreeSet::new(), BTreeSet::new());
    for object in objects {
        let why_not = match object.kind {
            _ if object.at("metadata/deletionTimestamp").is_some() => Some("being deleted".to_owned()),
            None if is_mesh_config(&object) => None,
            None if object.kind_name.is_empty() => Some("without a kind".to_owned()),
            None => Some(format!("{}: not a kind that Malha reads", object.kind_name)),
            Some(Kind::Secret) if !is_for_tls(&object) => Some("Secret: holds no certificate or key".to_owned()),
            Some(Kind::Secret) if !with_secrets => Some("Secret: --secrets writes it".to_owned()),
            Some(kind) => makers.maker_of(&object).map(|maker| format!("{kind}: made by a {maker} that is here")),
        };
        if let Some(why_not) = why_not {
            *chosen.left_out.entry(why_not).or_default() += 1;
            continue;
        }
        // As kubectl has it.
        let namespace = if object.namespace().is_empty() { "default" } else { object.namespace() };
        let key = (object.kind_name.clone(), namespace.to_owned(), object.name().to_owned());
        let what = object.kind.map_or(What::MeshConfig, What::Object);
        let clean = Clean { what, namespace: key.1.clone(), name: key.2.clone(), value: clean(object) };
        let before = known.get(&key).and_then(|at| chosen.objects.get_mut(*at));
        if what == What::MeshConfig {
            settings.insert(format!("{}/{}", key.1, key.2));
        }
        if let Some(before) = before {
            if before.value != clean.value {
                twice.insert(format!("{} {}/{}", key.0, key.1, key.2));
                *before = clean;
            }
        } else {
            known.insert(key, chosen.objects.len());
            chosen.objects.push(clean);
        }
    }
    let differs = |name| format!("{name} is there twice and says different things: the later one counts");
    chosen.notes.extend(twice.into_iter().map(differs));
    if settings.len() > 1 {
        let all = settings.into_iter().collect::<Vec<_>>().join(" and ");
        chosen.notes.push(format!("{all} are settings of a mesh, of which the later ones of the input count"));
    }
    chosen
}

/// Whether a Secret has what gateways read of one.
fn is_for_tls(secret: &Object) -> bool {
    const KEYS: [&str; 7] = ["tls.crt", "tls.key", "ca.crt", "ca.crl", "cert", "key", "cacert"];
    let holds = |block: &str| {
        secret
            .at(block)
            .and_then(Value::as_object)
            .is_some_and(|values| KEYS.iter().any(|key| values.contains_key(*key)))
    };
    let is_of_account = secret.text("type") == "kubernetes.io/service-account-token";
    !is_of_account && (holds("data") || holds("stringData"))
}

/// Whether it is the ConfigMap that Istio reads its MeshConfig from.
fn is_mesh_config(object: &Object) -> bool {
    object.kind_name == "ConfigMap"
        && object.text("apiVersion") == "v1"
        && object.name() == "istio"
        && object.at("data/mesh").is_some_and(Value::is_string)
}

/// Who makes objects of their own accord.
struct Makers {
    /// The kind of each object that has a template for others, by its identifier in the cluster.
    kinds: HashMap<String, Kind>,
    /// Namespace and name of Services whose endpoints come from workloads that are here.
    services: HashSet<(String, String)>,
}

impl Makers {
    fn of(objects: &[Object]) -> Self {
        let mut kinds = HashMap::new();
        for object in objects {
            // What borrows its template from another is no workload by itself.
            let has_template = object.at("spec/template").or_else(|| object.at("spec/jobTemplate")).is_some();
            if let (Some(kind), true, false) = (object.kind, has_template, object.uid().is_empty()) {
                kinds.insert(object.uid().to_owned(), kind);
            }
        }
        let mut workloads: HashMap<&str, Vec<&Map<String, Value>>> = HashMap::new();
        for object in objects {
            let labels = match object.kind {
                Some(Kind::Pod) => object.at("metadata/labels"),
                Some(Kind::CronJob) => object.at("spec/jobTemplate/spec/template/metadata/labels"),
                Some(_) => object.at("spec/template/metadata/labels"),
                None => None,
            };
            if let Some(labels) = labels.and_then(Value::as_object) {
                workloads.entry(object.namespace()).or_default().push(labels);
            }
        }
        let selects = |service: &Object| {
            let selector = service.at("spec/selector").and_then(Value::as_object).filter(|it| !it.is_empty())?;
            let has_all =
                |labels: &&&Map<String, Value>| selector.iter().all(|(name, value)| labels.get(name) == Some(value));
            workloads.get(service.namespace())?.iter().find(has_all)?;
            Some((service.namespace().to_owned(), service.name().to_owned()))
        };
        let services = objects.iter().filter(|object| object.kind == Some(Kind::Service)).filter_map(selects).collect();
        Makers { kinds, services }
    }

    /// The kind of the object that has made this one and is in the dump, too.
    fn maker_of(&self, object: &Object) -> Option<Kind> {
        match object.kind? {
            Kind::Pod | Kind::ReplicaSet | Kind::ReplicationController | Kind::Job => {
                let owners = object.at("metadata/ownerReferences").and_then(Value::as_array)?;
                let controller = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
                self.kinds.get(controller.get("uid")?.as_str()?).copied()
            }
            Kind::EndpointSlice => {
                self.is_of_workloads(object, object.text("metadata/labels/kubernetes.io~1service-name"))
            }
            Kind::Endpoints => self.is_of_workloads(object, object.name()),
            _ => None,
        }
    }

    fn is_of_workloads(&self, object: &Object, service: &str) -> Option<Kind> {
        let key = (object.namespace().to_owned(), service.to_owned());
        self.services.contains(&key).then_some(Kind::Service)
    }
}
