//! Meshes from snippets, for the tests of this crate.

use crate::{config::MeshConfig, labels::Labels, mesh::Mesh, program::Role, proxy::ProxySpec};
use malha_model::Resource;
use malha_syntax::SourceId;
use std::sync::Arc;

/// An object: `head` is `KIND NAMESPACE/NAME` and perhaps labels as `{app: a}`, `body` the fields beside `metadata`.
pub(crate) fn object(head: &str, body: &str) -> String {
    let mut words = head.splitn(3, ' ');
    let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let labels = words.next().unwrap_or("{}");
    let (namespace, name) = name.split_once('/').unwrap_or_default();
    let api_version = match kind {
        "Service" | "Pod" | "Endpoints" => "v1",
        "Deployment" | "ReplicaSet" | "StatefulSet" => "apps/v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "Rollout" => "argoproj.io/v1alpha1",
        _ => "networking.istio.io/v1",
    };
    let metadata = format!("{{name: {name}, namespace: {namespace}, labels: {labels}}}");
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {metadata}\n{body}\n")
}

/// The resources of several objects, in one source.
pub(crate) fn resources(objects: &[String]) -> Vec<Arc<Resource>> {
    let reading = malha_syntax::read(SourceId(0), &objects.join("---\n"));
    let read = malha_model::read_documents(&reading.documents);
    let findings: Vec<&String> =
        reading.findings.iter().chain(&read.findings).map(|finding| &finding.message).collect();
    assert!(findings.is_empty(), "{findings:?}");
    read.resources.into_iter().map(Arc::new).collect()
}

/// The mesh of several objects.
pub(crate) fn mesh(objects: &[String]) -> Mesh {
    mesh_with(objects, MeshConfig::default())
}

/// The mesh of several objects that a cluster without Istio's webhook holds.
pub(crate) fn unjudged(objects: &[String]) -> Mesh {
    let reading = malha_syntax::read(SourceId(0), &objects.join("---\n"));
    let read = reading.documents.iter().map(malha_model::read_resources_by_schema);
    Mesh::link(read.flat_map(|read| read.resources).map(Arc::new).collect(), MeshConfig::default())
}

/// The mesh of several objects under a configuration.
pub(crate) fn mesh_with(objects: &[String], config: MeshConfig) -> Mesh {
    Mesh::link(resources(objects), config)
}

/// A sidecar of `namespace`.
pub(crate) fn sidecar(namespace: &str) -> ProxySpec {
    ProxySpec { namespace: namespace.into(), ..ProxySpec::default_sidecar() }
}

/// A gateway proxy of `namespace` with one label.
pub(crate) fn gateway(namespace: &str, (label, value): (&str, &str)) -> ProxySpec {
    let labels = Labels::from([(label.into(), value.into())]);
    ProxySpec { role: Role::Gateway, namespace: namespace.into(), name: "gateway".into(), labels }
}
