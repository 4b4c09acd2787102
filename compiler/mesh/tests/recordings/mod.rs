//! The recorded meshes of `conformance/routing.jsonl.gz`, read and linked.

use flate2::read::GzDecoder;
use malha_mesh::{Mesh, MeshConfig, ProxySpec, program::Role};
use malha_model::Resource;
use malha_syntax::SourceId;
use serde_json::Value;
use smol_str::SmolStr;
use std::{fs::File, io::BufReader, path::Path, sync::Arc};

/// Calls `each` with every recorded case.
pub(crate) fn each_case(mut each: impl FnMut(&Value)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/routing.jsonl.gz");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(GzDecoder::new(file));
    let cases = serde_json::Deserializer::from_reader(lines).into_iter::<Value>();
    cases.for_each(|case| each(&case.expect("a case is JSON")));
}

/// The objects of a case that Istio accepted, linked.
pub(crate) fn link(case: &Value) -> Mesh {
    let refused = |resource: &Resource| {
        let verdicts = case["validation"].as_array().into_iter().flatten();
        verdicts.into_iter().any(|verdict| {
            verdict["accepted"] == false
                && verdict["kind"] == resource.kind.name()
                && verdict["namespace"] == resource.namespace.as_str()
                && verdict["name"] == resource.name.as_str()
        })
    };
    let text = case["case"].as_str().expect("a case has its input");
    let reading = malha_syntax::read(SourceId(0), text);
    let read = malha_model::read_documents(&reading.documents);
    let resources = read.resources.into_iter().filter(|resource| !refused(resource)).map(Arc::new).collect();
    Mesh::link(resources, MeshConfig::from_json(&case["proxies"]["meshConfig"]))
}

/// The proxies of a case.
pub(crate) fn proxies(case: &Value) -> Vec<ProxySpec> {
    let text = |value: &Value| SmolStr::new(value.as_str().unwrap_or_default());
    let proxies = case["proxies"]["proxies"].as_array().into_iter().flatten();
    proxies
        .map(|proxy| ProxySpec {
            role: if proxy["type"] == "gateway" { Role::Gateway } else { Role::Sidecar },
            namespace: text(&proxy["namespace"]),
            name: text(&proxy["name"]),
            labels: proxy["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (SmolStr::new(name), text(value)))
                .collect(),
        })
        .collect()
}
