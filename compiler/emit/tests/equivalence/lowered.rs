//! From YAML to a program.

use malha_mesh::{
    Cache, Mesh, MeshConfig, ProxySpec,
    program::{Program, Role},
};
use malha_syntax::{Location, Source, Sources};
use std::sync::Arc;

fn proxies() -> Vec<ProxySpec> {
    let gateway = ProxySpec {
        role: Role::Gateway,
        namespace: "istio-system".into(),
        name: "ingress".into(),
        labels: [("istio".into(), "ingress".into())].into(),
    };
    let sidecar = ProxySpec {
        role: Role::Sidecar,
        namespace: "default".into(),
        name: "client".into(),
        labels: [("app".into(), "client".into())].into(),
    };
    vec![gateway, sidecar]
}

/// A mesh, read, linked and lowered for a gateway and a sidecar.
pub(crate) struct Lowered {
    pub(crate) program: Program,
    sources: Sources,
}

impl Lowered {
    pub(crate) fn new(yaml: &str, config: &serde_json::Value) -> Self {
        let mut sources = Sources::default();
        let source = sources.add(Source::new("mesh.yaml", yaml));
        let reading = malha_syntax::read(source, yaml);
        let resources = malha_model::read_documents(&reading.documents).resources;
        let mesh = Mesh::link(resources.into_iter().map(Arc::new).collect(), MeshConfig::from_json(config));
        Lowered { program: malha_mesh::lower(&mesh, &proxies(), &mut Cache::default()), sources }
    }

    pub(crate) fn place(&self, location: Location) -> (String, u32) {
        let name = self.sources.get(location.source).map(|source| source.name.clone());
        (name.unwrap_or_default(), self.sources.line_column(location).line)
    }
}
