//! Meshes as people write them, with their endpoints on this machine.

use malha_mesh::{Cache, Mesh, MeshConfig, ProxySpec, program};
use malha_model::Spanned;
use malha_syntax::{Source, Sources, Span};
use malha_table::Table;
use std::{net::SocketAddr, sync::Arc};

/// Compiles YAML. `place` says where the endpoints of a cluster listen here; none: where the file says. It may change the
/// cluster, too.
pub fn compile_with(
    text: &str,
    proxies: &[ProxySpec],
    config: MeshConfig,
    place: impl Fn(&mut program::Cluster) -> Option<Vec<SocketAddr>>,
) -> Arc<Table> {
    let mut sources = Sources::default();
    let source = sources.add(Source::new("mesh.yaml", text));
    let reading = malha_syntax::read(source, text);
    let mut resources = malha_model::read_documents(&reading.documents).resources;
    // All objects are of one time, unless they say otherwise, as those of the recordings are.
    let then = || Spanned::new("2024-01-01T00:00:00Z".into(), Span::default(), Span::default());
    for resource in &mut resources {
        resource.metadata.creation_timestamp.get_or_insert_with(then);
    }
    let mesh = Mesh::link(resources.into_iter().map(Arc::new).collect(), config);
    let wanted = if proxies.is_empty() { mesh.proxies().to_vec() } else { proxies.to_vec() };
    let mut program = malha_mesh::lower(&mesh, &wanted, &mut Cache::default());
    for proxy in &mut program.proxies {
        let own = Arc::make_mut(&mut proxy.program);
        for cluster in &mut own.clusters {
            let cluster = Arc::make_mut(cluster);
            let Some(addresses) = place(cluster) else { continue };
            let endpoints = addresses.iter().map(|address| program::Endpoint {
                address: Some(address.ip().to_string().into()),
                port: u32::from(address.port()),
                weight: 1,
                ..program::Endpoint::default()
            });
            cluster.endpoints = endpoints.collect();
        }
    }
    let bytes = malha_emit::table(&program, |location| {
        let name = sources.get(location.source).map(|source| source.name.clone());
        (name.unwrap_or_default(), sources.line_column(location).line)
    });
    Arc::new(Table::load(bytes.expect("the program can be written")).expect("what was written can be read"))
}

/// A mesh with a gateway on port 80 for all hosts, the services `a` and `b` (port 80), whose endpoints are those
/// given, and these http rules (indented by four) of a VirtualService for every host.
pub fn gateway(rules: &str, a: &[SocketAddr], b: &[SocketAddr]) -> Arc<Table> {
    compile(&gateway_text(rules), a, b)
}

/// The text of [`gateway`].
pub fn gateway_text(rules: &str) -> String {
    format!("{SERVICES}---\n{}", entrance(rules))
}

/// A gateway on port 80 for all hosts, and these http rules (indented by four) of a VirtualService for every host.
pub fn entrance(rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  http:
{rules}"
    )
}

/// The text of a rule that gives the service `a` this traffic policy, in flow style, behind that of a mesh.
pub fn policy_of_a(policy: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: default}}
spec: {{host: a, trafficPolicy: {{{policy}}}}}
"
    )
}

/// Compiles a mesh whose services `a` and `b` have these endpoints.
pub fn compile(text: &str, a: &[SocketAddr], b: &[SocketAddr]) -> Arc<Table> {
    compile_with(text, &[], MeshConfig::default(), |cluster| {
        Some(if cluster.host.starts_with("a.") { a.to_vec() } else { b.to_vec() })
    })
}

/// The services `a` and `b` as their clients in a cluster see them, with this behind them (after a line of `---`), for the
/// default sidecar. Beside HTTP they have a port for TCP (5432), one whose protocol is detected (7000) and one for TLS
/// (7443).
pub fn sidecar(more: &str, config: MeshConfig, a: &[SocketAddr], b: &[SocketAddr]) -> Arc<Table> {
    let ports = "  - {name: http, port: 80}
  - {name: tcp, port: 5432}
  - {name: any, port: 7000}
  - {name: tls, port: 7443}
";
    let text = SERVICES.replace("  - {name: http, port: 80}\n", ports) + more;
    compile_with(&text, &[ProxySpec::default_sidecar()], config, |cluster| {
        match cluster.host.split_once('.').map_or("", |(first, _)| first) {
            "a" => Some(a.to_vec()),
            "b" => Some(b.to_vec()),
            _ => None,
        }
    })
}

/// Two services.
pub const SERVICES: &str = "apiVersion: v1
kind: Service
metadata: {name: a, namespace: default}
spec:
  clusterIP: 10.0.0.1
  selector: {app: a}
  ports:
  - {name: http, port: 80}
---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: default}
spec:
  clusterIP: 10.0.0.2
  selector: {app: b}
  ports:
  - {name: http, port: 80}
";
