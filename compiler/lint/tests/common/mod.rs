//! Findings on a text, reading included.

use malha_lint::{Options, Suppressions, check_with};
use malha_mesh::{Cache, Mesh, MeshConfig, ProxySpec, lower, program::Program};
use malha_model::{Resource, read_documents};
use malha_syntax::{Finding, Sources, read};
use std::sync::Arc;

/// All findings of rules that run by default.
pub(crate) fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut findings = all_findings(bytes);
    findings.retain(|finding| finding.rule.group.on_by_default());
    findings
}

/// All findings.
pub(crate) fn all_findings(bytes: &[u8]) -> Vec<Finding> {
    let mut sources = Sources::default();
    let (source, mut findings) = sources.decode("example.yaml", bytes);
    let text = sources.get(source).map(|source| source.text.clone()).unwrap_or_default();
    let reading = read(source, &text);
    findings.extend(reading.findings);
    let mut suppressions = Suppressions::default();
    suppressions.add_comments(source, &reading.suppressions);
    let resources = read_documents(&reading.documents);
    findings.extend(resources.findings);
    let (mesh, program) = lowered(resources.resources);
    findings.extend(check_with(&mesh, &program, &Options { sources: Some(&sources), ..Options::default() }));
    suppressions.apply(findings, |location| sources.line_column(location).line)
}

/// A mesh of these objects, lowered for its gateways and the default sidecar.
pub(crate) fn lowered(resources: Vec<Resource>) -> (Mesh, Program) {
    let mesh = Mesh::link(resources.into_iter().map(Arc::new).collect(), MeshConfig::default());
    let mut wanted = mesh.proxies().to_vec();
    wanted.push(ProxySpec::default_sidecar());
    let program = lower(&mesh, &wanted, &mut Cache::default());
    (mesh, program)
}
