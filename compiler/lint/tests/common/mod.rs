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
    findings_under(bytes, MeshConfig::default())
}

/// All findings under a configuration of the mesh.
pub(crate) fn findings_under(bytes: &[u8], config: MeshConfig) -> Vec<Finding> {
    let mut sources = Sources::default();
    let (source, mut findings) = sources.decode("example.yaml", bytes);
    let text = sources.get(source).map(|source| source.text.clone()).unwrap_or_default();
    let reading = read(source, &text);
    findings.extend(reading.findings);
    let mut suppressions = Suppressions::default();
    suppressions.add_comments(source, &reading.suppressions);
    let resources = read_documents(&reading.documents);
    findings.extend(resources.findings);
    let (mesh, program) = lowered_under(resources.resources, config);
    findings.extend(check_with(&mesh, &program, &Options { sources: Some(&sources), ..Options::default() }));
    suppressions.apply(findings, |location| sources.line_column(location).line)
}

/// A mesh of these objects, lowered for its gateways and the default sidecar.
pub(crate) fn lowered(resources: Vec<Resource>) -> (Mesh, Program) {
    lowered_under(resources, MeshConfig::default())
}

/// The same under a configuration.
fn lowered_under(resources: Vec<Resource>, config: MeshConfig) -> (Mesh, Program) {
    let mesh = Mesh::link(resources.into_iter().map(Arc::new).collect(), config);
    let mut wanted = mesh.proxies().to_vec();
    wanted.push(ProxySpec::default_sidecar());
    let program = lower(&mesh, &wanted, &mut Cache::default());
    (mesh, program)
}

/// An object: `head` is `KIND NAMESPACE/NAME` and perhaps labels as `{app: a}`, `body` the fields beside `metadata`.
pub(crate) fn object(head: &str, body: &str) -> String {
    let mut words = head.splitn(3, ' ');
    let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let labels = words.next().unwrap_or("{}");
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let api_version = match kind {
        "Service" | "Pod" | "Endpoints" | "Namespace" | "ReplicationController" => "v1",
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => "apps/v1",
        "Job" | "CronJob" => "batch/v1",
        "DeploymentConfig" => "apps.openshift.io/v1",
        "Rollout" => "argoproj.io/v1alpha1",
        "CloneSet" => "apps.kruise.io/v1alpha1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        _ => "networking.istio.io/v1",
    };
    let place = if kind == "Namespace" { String::new() } else { format!(", namespace: {namespace}") };
    format!(
        "apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}{place}, labels: {labels}}}\n{body}\n---\n"
    )
}

/// What the rules `codes` say of some objects, as `CODE NAME FIELD`, with `?` after the code for a warning of a rule
/// whose findings are errors where they are sure.
pub(crate) fn said(objects: &[String], codes: &[&str], config: MeshConfig) -> Vec<String> {
    let found = findings_under(objects.concat().as_bytes(), config);
    let found = found.iter().filter(|finding| codes.contains(&finding.rule.code));
    let told = found.map(|finding| {
        let unsure = if finding.severity < finding.rule.group.severity() { "?" } else { "" };
        let name = finding.resource.as_ref().map_or("", |resource| resource.name.as_str());
        format!("{}{unsure} {name} {}", finding.rule.code, finding.field.as_deref().unwrap_or_default())
    });
    told.collect()
}
