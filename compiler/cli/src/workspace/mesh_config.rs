//! What `malha.toml` and the `MeshConfig` that it names say about the mesh as a whole.

use crate::{
    config::{Outbound, Registry},
    failure::Failure,
    inputs::MeshInput,
    values::json,
};
use malha_mesh::{
    MeshConfig,
    config::{Completeness, ConfiguredGateway, IstioVersion, OutboundMode},
};
use malha_syntax::{Document, Source, SourceId, read};
use serde_json::Value;
use smol_str::SmolStr;
use std::{collections::BTreeMap, fs, path::Path};

/// Reads the settings of a mesh; `malha.toml` has the last word.
///
/// # Errors
/// The `MeshConfig` file cannot be read.
pub(crate) fn mesh_config(mesh: &MeshInput) -> Result<MeshConfig, Failure> {
    let section = &mesh.config.mesh;
    let mut config = match &section.config {
        Some(file) => MeshConfig::from_json(&read_yaml(&mesh.root.join(file))?),
        None => MeshConfig::default(),
    };
    if let Some(release) = section.istio.as_deref().and_then(IstioVersion::parse) {
        config.istio = release;
    }
    if let Some(domain) = &section.cluster_domain {
        config.cluster_domain = domain.into();
    }
    if let Some(namespace) = &section.root_namespace {
        config.root_namespace = namespace.into();
    }
    if let Some(outbound) = section.outbound {
        config.outbound = match outbound {
            Outbound::AllowAny => OutboundMode::AllowAny,
            Outbound::RegistryOnly => OutboundMode::RegistryOnly,
        };
    }
    config.registry = match section.registry {
        Registry::Auto => Completeness::Auto,
        Registry::Open => Completeness::Open,
        Registry::Closed => Completeness::Closed,
    };
    config.gateways = section
        .gateways
        .iter()
        .map(|gateway| ConfiguredGateway {
            name: gateway.name.as_str().into(),
            namespace: gateway.namespace.as_deref().map_or_else(|| config.root_namespace.clone(), Into::into),
            labels: labels(&gateway.labels),
        })
        .collect();
    Ok(config)
}

/// The first document of a file. Of a `ConfigMap`, what it holds under `mesh`, as in a cluster.
fn read_yaml(path: &Path) -> Result<Value, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::path(path, &error))?;
    let value = parse_yaml(path, &bytes)?;
    match value.pointer("/data/mesh").and_then(Value::as_str) {
        Some(text) if value["kind"] == "ConfigMap" => parse_yaml(path, text.as_bytes()),
        _ => Ok(value),
    }
}

fn parse_yaml(path: &Path, bytes: &[u8]) -> Result<Value, Failure> {
    let (source, _) = Source::decode(path.display().to_string(), bytes);
    let reading = read(SourceId(0), &source.text);
    if let Some(finding) = reading.findings.first() {
        let line = source.line_column(finding.location.span.start).line;
        return Err(Failure::new(format!("{}:{line}: {}", source.name, finding.message)));
    }
    Ok(reading.documents.first().and_then(Document::root).map_or(Value::Null, json))
}

/// Labels as the mesh holds them.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> BTreeMap<SmolStr, SmolStr> {
    labels.iter().map(|(name, value)| (name.into(), value.into())).collect()
}
