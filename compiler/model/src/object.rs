//! Objects: which of a document's objects are ours, and reading those into resources.

use crate::{
    Kind, Metadata, Resource, Spec,
    limits::Limits,
    names::check_metadata,
    read::{Manner, Message, Reader, Step, Value, list},
    resource::ISTIO_GROUP,
    rules::{UNKNOWN_API_VERSION, UNKNOWN_KIND},
    schema::ISTIO_VERSIONS,
    webhook,
};
use malha_syntax::{Document, Edit, Finding, Fix, Group, Location, Node, NodeKind, nearest};
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

/// What became of documents.
#[derive(Clone, Debug, Default)]
pub struct ReadResources {
    /// The objects of our kinds, in order. Those that the cluster would refuse are marked as such.
    pub resources: Vec<Resource>,
    /// What is wrong with them, in order.
    pub findings: Vec<Finding>,
    /// What was passed over, in order.
    pub others: Vec<OtherObject>,
}

/// An object, or a document, that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherObject {
    /// Where it is.
    pub location: Location,
    /// Its API version, as far as it has one.
    pub api_version: Option<SmolStr>,
    /// Its kind, as far as it has one.
    pub kind: Option<SmolStr>,
    /// Why it was passed over.
    pub reason: PassedOver,
}

/// Why something was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassedOver {
    /// It is of a kind that Malha does not read.
    OtherKind,
    /// It is a Helm or Jinja template.
    Template,
    /// It is a kustomization: its objects exist once kustomize has built them.
    Kustomization,
    /// It is a patch for kustomize, and no object of its own.
    KustomizePatch,
    /// It has no `apiVersion` and `kind`, as the values of a chart or some other file.
    NoKind,
}

/// Who judges an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judges {
    /// The schema alone.
    Schema,
    /// The schema, and then Istio's webhook.
    SchemaAndWebhook,
}

/// Reads the objects of a document. Lists (`kind: List`, `VirtualServiceList`) are taken apart.
///
/// Never fails: what cannot be read has a finding, and the rest of the object is there.
pub fn read_resources(document: &Document) -> ReadResources {
    read_judged(document, Judges::SchemaAndWebhook)
}

/// As [`read_resources`], but in a cluster where no webhook of Istio's looks at objects: what the schemas refuse is
/// refused, and nothing more.
pub fn read_resources_by_schema(document: &Document) -> ReadResources {
    read_judged(document, Judges::Schema)
}

fn read_judged(document: &Document, judges: Judges) -> ReadResources {
    let mut read = ReadResources::default();
    let location = Location { source: document.source, span: document.span };
    if document.template.is_some() {
        read.others.push(OtherObject { location, api_version: None, kind: None, reason: PassedOver::Template });
    } else if let Some(root) = document.root().filter(|root| !root.is_null()) {
        read_object(root, None, 0, judges, &mut read);
    }
    if document.refused {
        read.resources.iter_mut().for_each(|resource| resource.refused = true);
    }
    read
}

/// Reads the objects of several documents; see [`read_resources`].
pub fn read_documents<'d>(documents: impl IntoIterator<Item = &'d Document>) -> ReadResources {
    let mut all = ReadResources::default();
    for document in documents {
        let mut read = read_resources(document);
        all.resources.append(&mut read.resources);
        all.findings.append(&mut read.findings);
        all.others.append(&mut read.others);
    }
    all
}

/// Lists in lists; nobody writes more.
const DEEPEST_LIST: usize = 3;

/// The API version and the kind that a typed list gives its items.
type Inherited<'d> = Option<(&'d str, &'d str)>;

fn read_object<'d>(node: Node<'d>, inherited: Inherited<'d>, depth: usize, judges: Judges, read: &mut ReadResources) {
    let text = |name| node.get(name).filter(|value| !value.is_null()).map(Node::text).filter(|text| !text.is_empty());
    let api_version = text("apiVersion").or(inherited.map(|(api_version, _)| api_version));
    let kind = text("kind").or(inherited.map(|(_, kind)| kind));
    let pass_over = |read: &mut ReadResources, reason| {
        let location = Location { source: node.document().source, span: node.span() };
        read.others.push(OtherObject {
            location,
            api_version: api_version.map(SmolStr::new),
            kind: kind.map(SmolStr::new),
            reason,
        });
    };
    if node.get("$patch").is_some() || is_json_patch(node) {
        return pass_over(read, PassedOver::KustomizePatch);
    }
    let (Some(api_version), Some(kind)) = (api_version, kind) else {
        // A kustomization may leave both out.
        let parts = ["resources", "patches", "patchesStrategicMerge", "configMapGenerator"];
        let kustomization = parts.iter().any(|part| node.get(part).is_some_and(|it| it.kind() == NodeKind::Sequence));
        return pass_over(read, if kustomization { PassedOver::Kustomization } else { PassedOver::NoKind });
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if group == "kustomize.config.k8s.io" {
        return pass_over(read, PassedOver::Kustomization);
    }
    if let Some(item_kind) = kind.strip_suffix("List")
        && let Some(items) = node.get("items").filter(|items| items.kind() == NodeKind::Sequence)
        && depth < DEEPEST_LIST
    {
        let inherited = (!item_kind.is_empty()).then_some((api_version, item_kind));
        for item in items.items() {
            read_object(item, inherited, depth + 1, judges, read);
        }
        return;
    }
    let mut findings = Vec::new();
    let found = find_kind(node, group, version, kind, &mut findings);
    let Some(found) = found else {
        read.findings.append(&mut findings);
        return pass_over(read, PassedOver::OtherKind);
    };
    match read_resource(node, found, api_version, judges, findings) {
        Some((resource, mut findings)) => {
            read.resources.push(resource);
            read.findings.append(&mut findings);
        }
        None => pass_over(read, PassedOver::KustomizePatch),
    }
}

/// Whether the document is a JSON patch: a list of operations.
fn is_json_patch(node: Node<'_>) -> bool {
    let mut items = node.items().peekable();
    items.peek().is_some() && items.all(|item| item.get("op").is_some() && item.get("path").is_some())
}

/// Kinds of Istio's networking API that Malha does not read.
const OTHER_ISTIO_KINDS: [&str; 3] = ["EnvoyFilter", "ProxyConfig", "WorkloadGroup"];

/// Our kind of that name. Says so where it looks like one of Istio's and is none.
fn find_kind(node: Node<'_>, group: &str, version: &str, kind: &str, findings: &mut Vec<Finding>) -> Option<Kind> {
    let known = crate::SCHEMA_KINDS;
    let mut report = |rule, field: &str, message: String, meant: Option<String>| {
        let span = node.get(field).map_or(node.span(), Node::span);
        let location = Location { source: node.document().source, span };
        let finding = Finding::new(rule, location, message).field(field);
        findings.push(match meant {
            Some(meant) => finding.help(format!("did you mean `{meant}`?")).fix(Fix {
                safe: false,
                title: format!("replace it with `{meant}`"),
                edits: vec![Edit { location, text: meant }],
            }),
            None => finding,
        });
    };
    if group == ISTIO_GROUP {
        let found = Kind::find(group, kind);
        if found.is_none() && !OTHER_ISTIO_KINDS.contains(&kind) {
            let meant = nearest(kind, known).map(str::to_owned);
            report(&UNKNOWN_KIND, "kind", format!("`{kind}` is not a kind of {ISTIO_GROUP}"), meant);
        }
        if found.is_some() && !ISTIO_VERSIONS.contains(&version) {
            let message =
                format!("{ISTIO_GROUP} has no version `{version}`; its versions are {}", list(&ISTIO_VERSIONS, "and"));
            report(&UNKNOWN_API_VERSION, "apiVersion", message, Some(format!("{ISTIO_GROUP}/v1")));
        }
        return found;
    }
    // Nobody else has these kinds, so a group that is almost Istio's is a slip.
    let ours = ["DestinationRule", "ServiceEntry", "Sidecar", "VirtualService", "WorkloadEntry"].contains(&kind);
    if ours && (group == "istio.io" || nearest(group, [ISTIO_GROUP]).is_some()) {
        let message = format!("`{group}` is not the API group of a {kind}");
        report(&UNKNOWN_API_VERSION, "apiVersion", message, Some(format!("{ISTIO_GROUP}/v1")));
        return Kind::find(ISTIO_GROUP, kind);
    }
    Kind::find(group, kind)
}

/// Reads one object of a known kind, of which `findings` are known already; `None` if it proves to be a patch.
fn read_resource(
    node: Node<'_>,
    kind: Kind,
    api_version: &str,
    judges: Judges,
    findings: Vec<Finding>,
) -> Option<(Resource, Vec<Finding>)> {
    let document = node.document();
    let mut reader = Reader::new(document.source, Manner::Lenient);
    reader.findings = findings;
    let metadata = read_metadata(node, &mut reader);
    check_metadata(node, kind, &metadata, &mut reader);
    if kind.is_istio() {
        reader.manner = Manner::Strict;
    }
    let spec = read_spec(node, kind, &mut reader);
    if reader.patch {
        return None;
    }
    if judges == Judges::SchemaAndWebhook {
        webhook::judge(node, &metadata, &spec, &mut reader);
    }
    let namespace = match (&metadata.namespace, kind) {
        (_, Kind::Namespace) => SmolStr::default(),
        (Some(namespace), _) if !namespace.is_empty() => namespace.value.clone(),
        _ => SmolStr::new_static("default"),
    };
    let mut findings = reader.findings;
    let resource = Resource {
        api_version: SmolStr::new(api_version),
        kind,
        namespace,
        name: metadata.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        metadata,
        spec,
        source: document.source,
        span: node.span(),
        refused: findings.iter().any(|finding| finding.rule.group == Group::Admission),
        content_hash: content_hash(node),
    };
    for finding in &mut findings {
        finding.resource = Some(resource.resource_name());
    }
    Some((resource, findings))
}

fn read_metadata<'d>(node: Node<'d>, reader: &mut Reader<'d>) -> Metadata {
    let metadata = node.get("metadata").filter(|metadata| !metadata.is_null());
    let read = metadata.and_then(|metadata| {
        reader.within(Step::Key("metadata"), |reader| Metadata::read(metadata, &Limits::NONE, reader))
    });
    read.unwrap_or_default()
}

fn read_spec<'d>(node: Node<'d>, kind: Kind, reader: &mut Reader<'d>) -> Spec {
    match kind {
        Kind::Gateway => Spec::Gateway(Box::new(below_spec(node, kind, reader))),
        Kind::VirtualService => Spec::VirtualService(Box::new(below_spec(node, kind, reader))),
        Kind::DestinationRule => Spec::DestinationRule(Box::new(below_spec(node, kind, reader))),
        Kind::ServiceEntry => Spec::ServiceEntry(Box::new(below_spec(node, kind, reader))),
        Kind::WorkloadEntry => Spec::WorkloadEntry(Box::new(below_spec(node, kind, reader))),
        Kind::Sidecar => Spec::Sidecar(Box::new(below_spec(node, kind, reader))),
        Kind::PeerAuthentication => Spec::PeerAuthentication(Box::new(below_spec(node, kind, reader))),
        Kind::RequestAuthentication => Spec::RequestAuthentication(Box::new(below_spec(node, kind, reader))),
        Kind::Service => Spec::Service(Box::new(below_spec(node, kind, reader))),
        Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::ReplicaSet
        | Kind::Job
        | Kind::ReplicationController
        | Kind::DeploymentConfig
        | Kind::Rollout
        | Kind::CloneSet => Spec::Workload(Box::new(below_spec(node, kind, reader))),
        Kind::CronJob => Spec::CronJob(Box::new(below_spec(node, kind, reader))),
        Kind::Endpoints => Spec::Endpoints(Box::new(whole(node, reader))),
        Kind::EndpointSlice => Spec::EndpointSlice(Box::new(whole(node, reader))),
        Kind::Pod => Spec::Pod(Box::new(whole(node, reader))),
        Kind::Namespace => Spec::Namespace(Box::new(whole(node, reader))),
        Kind::Secret => Spec::Secret(Box::new(whole(node, reader))),
        Kind::Certificate | Kind::SealedSecret | Kind::ExternalSecret => {
            Spec::SecretSource(Box::new(below_spec(node, kind, reader)))
        }
    }
}

/// Reads a kind whose content lies below `spec`.
fn below_spec<'d, T: Value + Default>(node: Node<'d>, kind: Kind, reader: &mut Reader<'d>) -> T {
    let object = Message {
        name: kind.name(),
        fields: &["apiVersion", "kind", "metadata", "spec", "status"],
        inner: &[("spec", T::FIELDS), ("metadata", Metadata::FIELDS)],
    };
    for (key, _) in node.entries().filter(|(key, _)| !object.fields.contains(&key.text())) {
        reader.unknown_field(key, &object);
    }
    match node.get("spec") {
        Some(spec) if !spec.is_null() => {
            reader.within(Step::Key("spec"), |reader| T::read(spec, &Limits::NONE, reader)).unwrap_or_default()
        }
        _ => {
            if !reader.lenient() {
                reader.missing_field(node, kind.name(), "spec");
            }
            T::default()
        }
    }
}

/// Reads a kind whose content lies beside `metadata`.
fn whole<'d, T: Value + Default>(node: Node<'d>, reader: &mut Reader<'d>) -> T {
    T::read(node, &Limits::NONE, reader).unwrap_or_default()
}

/// A hash of the object's text. In a list that has anchors, an object may hold what is written elsewhere, so all of
/// the document counts.
fn content_hash(node: Node<'_>) -> u64 {
    let document = node.document();
    let (text, start) = (document.text(), document.span.start);
    let own =
        text.get(node.span().start.saturating_sub(start) as usize..node.span().end.saturating_sub(start) as usize);
    match own {
        Some(own) if !text.contains('&') => xxh3_64(own.as_bytes()),
        _ => xxh3_64(text.as_bytes()) ^ u64::from(node.span().start.saturating_sub(start)),
    }
}
