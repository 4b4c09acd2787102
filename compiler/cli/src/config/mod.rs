//! `malha.toml`: what a mesh is made of, and how its findings and its runs are set up.

mod reader;

use crate::failure::Failure;
use malha_proxy::{Dns, PortForward};
use malha_syntax::Severity;
use reader::Reader;
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The name of the file that makes a directory a mesh.
pub const FILE_NAME: &str = "malha.toml";

/// A `malha.toml`, or what holds without one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `[mesh]`.
    pub mesh: MeshSection,
    /// `[lint]`.
    pub lint: LintSection,
    /// `[run]`.
    pub run: RunSection,
}

/// `[mesh]`: what belongs to the mesh and what the cluster is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshSection {
    /// Files and directories beside the mesh's own, relative to its root.
    pub include: Vec<PathBuf>,
    /// The release whose defaults hold, as `1.31`.
    pub istio: Option<String>,
    /// A file with a `MeshConfig`, relative to the root of the mesh.
    pub config: Option<PathBuf>,
    /// `cluster.local` if absent.
    pub cluster_domain: Option<String>,
    /// `istio-system` if absent.
    pub root_namespace: Option<String>,
    /// What becomes of traffic to unknown hosts.
    pub outbound: Option<Outbound>,
    /// How complete the services in the input are.
    pub registry: Registry,
    /// Gateway proxies that no workload of the input stands for.
    pub gateways: Vec<GatewayProxy>,
}

/// What becomes of traffic to unknown hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// It passes.
    AllowAny,
    /// It is refused.
    RegistryOnly,
}

/// How complete the services in the input are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registry {
    /// Judged by what is there.
    #[default]
    Auto,
    /// There are services that the input does not hold.
    Open,
    /// The input holds every service.
    Closed,
}

/// `[[mesh.gateways]]`: a gateway proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayProxy {
    /// A name for people.
    pub name: String,
    /// Its namespace; that of the root if absent.
    pub namespace: Option<String>,
    /// Its labels, which Gateways select.
    pub labels: BTreeMap<String, String>,
}

/// `[lint]`: which findings count, and how much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LintSection {
    /// What people call the file that it stands in.
    pub file: String,
    /// Selectors that take the place of the rules that are on by default.
    pub select: Vec<String>,
    /// Selectors of rules that stay silent.
    pub ignore: Vec<String>,
    /// Glob of paths, relative to the root of the mesh, and the selectors that stay silent there.
    pub per_file_ignores: Vec<(String, Vec<String>)>,
    /// Selector and the severity its findings get.
    pub severity: Vec<(String, Severity)>,
    /// Kind, and a JSON Schema that its objects are to satisfy: a path relative to the root of the mesh.
    pub schemas: Vec<(String, PathBuf)>,
    /// Conditions that objects are to satisfy.
    pub policies: Vec<LintPolicy>,
}

/// `[[lint.policy]]`: a condition of the house.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LintPolicy {
    /// What people call it.
    pub name: String,
    /// The kinds of objects that it is asked about; all if empty.
    pub kinds: Vec<String>,
    /// In CEL, over `object`.
    pub check: String,
    /// What is to be so.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// That of the group if absent.
    pub severity: Option<Severity>,
    /// The field that findings point at, as `spec.http`; the name of the object if absent.
    pub field: Option<String>,
}

const SEVERITIES: [(&str, Severity); 3] =
    [("error", Severity::Error), ("warning", Severity::Warning), ("info", Severity::Info)];

/// `[run]`: what `malha run` does on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSection {
    /// Port in the files to port on this machine; 0 is any free one.
    pub ports: BTreeMap<u16, u16>,
    /// Where the admin server listens.
    pub admin: Option<SocketAddr>,
    /// Whether saves are followed; they are if absent.
    pub watch: Option<bool>,
    /// Where workloads of services listen on this machine.
    pub endpoints: Vec<LocalEndpoint>,
    /// Mesh clients.
    pub sidecars: Vec<SidecarProxy>,
    /// Servers that say which addresses names have; those of the system if there are none.
    pub dns: Vec<SocketAddr>,
}

/// `[run.endpoints]`: a workload of a service that listens on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEndpoint {
    /// As `orders.shop`, or a host that a `ServiceEntry` names.
    pub service: String,
    /// The service's port.
    pub port: u32,
    /// Where the workload listens.
    pub address: SocketAddr,
    /// Its labels, for subsets.
    pub labels: BTreeMap<String, String>,
}

/// `[[run.sidecars]]`: a mesh client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarProxy {
    /// A name for people.
    pub name: String,
    /// Its namespace; `default` if absent.
    pub namespace: Option<String>,
    /// Its labels, which `sourceLabels` ask for.
    pub labels: BTreeMap<String, String>,
    /// Where its outbound proxy listens; a free port of 127.0.0.1 if absent.
    pub listen: Option<SocketAddr>,
    /// Ports that stand for addresses of the mesh, as `--forward` has them for the default sidecar.
    pub forward: Vec<PortForward>,
}

impl Config {
    /// Reads the file of a mesh.
    ///
    /// # Errors
    /// The file cannot be read, or says something that is not understood: every such place is named by line.
    pub fn load(path: &Path) -> Result<Config, Failure> {
        let text = fs::read_to_string(path).map_err(|error| Failure::path(path, &error))?;
        Config::parse(&path.display().to_string(), &text)
    }

    /// Reads the text of a file; `name` is what people call it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<Config, Failure> {
        let mut reader = Reader::new(name, text);
        let config = reader.document().map(|document| read(&mut reader, &document)).unwrap_or_default();
        reader.finish().map(|()| config)
    }
}

fn read(reader: &mut Reader<'_>, document: &reader::Table<'_>) -> Config {
    reader.know(document, &["mesh", "lint", "run"]);
    Config {
        mesh: reader.table(document, "mesh").map(|table| mesh(reader, &table)).unwrap_or_default(),
        lint: reader.table(document, "lint").map(|table| lint(reader, &table)).unwrap_or_default(),
        run: reader.table(document, "run").map(|table| run(reader, &table)).unwrap_or_default(),
    }
}

fn mesh(reader: &mut Reader<'_>, table: &reader::Table<'_>) -> MeshSection {
    reader.know(
        table,
        &["include", "istio", "config", "cluster-domain", "root-namespace", "outbound", "registry", "gateways"],
    );
    let gateways = reader.tables(table, "gateways");
    MeshSection {
        include: reader.strings(table, "include").into_iter().map(PathBuf::from).collect(),
        istio: reader.parsed(table, "istio", release),
        config: reader.string(table, "config").map(PathBuf::from),
        cluster_domain: reader.string(table, "cluster-domain"),
        root_namespace: reader.string(table, "root-namespace"),
        outbound: reader.choice(
            table,
            "outbound",
            &[("ALLOW_ANY", Outbound::AllowAny), ("REGISTRY_ONLY", Outbound::RegistryOnly)],
        ),
        registry: reader
            .choice(
                table,
                "registry",
                &[("auto", Registry::Auto), ("open", Registry::Open), ("closed", Registry::Closed)],
            )
            .unwrap_or_default(),
        gateways: gateways
            .iter()
            .map(|gateway| {
                reader.know(gateway, &["name", "namespace", "labels"]);
                GatewayProxy {
                    name: reader.required(gateway, "name"),
                    namespace: reader.string(gateway, "namespace"),
                    labels: reader.labels(gateway, "labels"),
                }
            })
            .collect(),
    }
}

fn lint(reader: &mut Reader<'_>, table: &reader::Table<'_>) -> LintSection {
    reader.know(table, &["select", "ignore", "per-file-ignores", "severity", "schemas", "policy"]);
    let files = reader.table(table, "per-file-ignores");
    let severity = reader.table(table, "severity");
    let schemas = reader.table(table, "schemas");
    let policies = reader.tables(table, "policy");
    LintSection {
        file: reader.name().to_owned(),
        select: reader.strings(table, "select"),
        ignore: reader.strings(table, "ignore"),
        per_file_ignores: files
            .iter()
            .flat_map(|files| files.keys().map(|glob| (glob.clone(), reader.strings(files, &glob))).collect::<Vec<_>>())
            .collect(),
        severity: severity
            .iter()
            .flat_map(|table| {
                table.keys().map(|key| (key.clone(), reader.choice(table, &key, &SEVERITIES))).collect::<Vec<_>>()
            })
            .filter_map(|(key, severity)| Some((key, severity?)))
            .collect(),
        schemas: schemas
            .iter()
            .flat_map(|table| {
                let kinds: Vec<String> = table.keys().collect();
                kinds.into_iter().map(|kind| (reader.one_or_more(table, &kind), kind)).collect::<Vec<_>>()
            })
            .flat_map(|(paths, kind)| paths.into_iter().map(move |path| (kind.clone(), PathBuf::from(path))))
            .collect(),
        policies: policies.iter().map(|table| policy(reader, table)).collect(),
    }
}

fn policy(reader: &mut Reader<'_>, table: &reader::Table<'_>) -> LintPolicy {
    reader.know(table, &["name", "kind", "check", "message", "help", "severity", "field"]);
    LintPolicy {
        name: reader.required(table, "name"),
        kinds: reader.one_or_more(table, "kind"),
        check: reader.required(table, "check"),
        message: reader.required(table, "message"),
        help: reader.string(table, "help"),
        severity: reader.choice(table, "severity", &SEVERITIES),
        field: reader.string(table, "field"),
    }
}

fn run(reader: &mut Reader<'_>, table: &reader::Table<'_>) -> RunSection {
    reader.know(table, &["ports", "admin", "watch", "endpoints", "sidecars", "dns"]);
    let endpoints = reader.table(table, "endpoints");
    let sidecars = reader.tables(table, "sidecars");
    let servers = reader.texts(table, "dns");
    RunSection {
        dns: servers.iter().filter_map(|server| reader.parse_item(server, Dns::server)).collect(),
        ports: ports(reader, table),
        admin: reader.parsed(table, "admin", address),
        watch: reader.bool(table, "watch"),
        endpoints: endpoints.map(|endpoints| self::endpoints(reader, &endpoints)).unwrap_or_default(),
        sidecars: sidecars
            .iter()
            .map(|sidecar| {
                reader.know(sidecar, &["name", "namespace", "labels", "listen", "forward"]);
                let name = reader.required(sidecar, "name");
                SidecarProxy {
                    namespace: reader.string(sidecar, "namespace"),
                    labels: reader.labels(sidecar, "labels"),
                    listen: reader.parsed(sidecar, "listen", address),
                    forward: forwards(reader, sidecar, &name),
                    name,
                }
            })
            .collect(),
    }
}

/// `["postgres.db:5432=127.0.0.1:15432"]`, as `--forward` has it, of the sidecar of this name.
fn forwards(reader: &mut Reader<'_>, table: &reader::Table<'_>, sidecar: &str) -> Vec<PortForward> {
    let texts = reader.texts(table, "forward");
    let read = texts.iter().filter_map(|text| reader.parse_item(text, str::parse::<PortForward>));
    read.map(|forward| PortForward { sidecar: Some(sidecar.to_owned()), ..forward }).collect()
}

/// `["80=8080"]`, as `--port` has it.
fn ports(reader: &mut Reader<'_>, table: &reader::Table<'_>) -> BTreeMap<u16, u16> {
    let texts = reader.texts(table, "ports");
    texts.iter().filter_map(|text| reader.parse_item(text, port_mapping)).collect()
}

fn endpoints(reader: &mut Reader<'_>, table: &reader::Table<'_>) -> Vec<LocalEndpoint> {
    let mut endpoints = Vec::new();
    for key in table.keys() {
        let Some((service, port)) = service_port(&key) else {
            reader.wrong_key(
                table,
                &key,
                format!("`{key}` names no port of a service"),
                "write it as `\"orders.shop:8000\"`: service, namespace and port",
            );
            continue;
        };
        for item in reader.one_or_many(table, &key) {
            let endpoint = |address, labels| LocalEndpoint { service: service.to_owned(), port, address, labels };
            match item {
                reader::Item::Text(text) => {
                    endpoints.extend(reader.parse_item(&text, address).map(|at| endpoint(at, BTreeMap::new())));
                }
                reader::Item::Table(item) => {
                    reader.know(&item, &["address", "labels"]);
                    let labels = reader.labels(&item, "labels");
                    let at = reader.parsed(&item, "address", address);
                    endpoints.extend(at.map(|at| endpoint(at, labels)));
                }
            }
        }
    }
    endpoints
}

/// Splits `orders.shop:8000`.
pub(crate) fn service_port(text: &str) -> Option<(&str, u32)> {
    let (service, port) = text.rsplit_once(':')?;
    let port = port.parse::<u16>().ok().filter(|&port| port != 0)?;
    (!service.is_empty()).then_some((service, u32::from(port)))
}

/// Reads `80=8080`; 0 on the right is any free port.
///
/// # Errors
/// What is wrong with it.
pub fn port_mapping(text: &str) -> Result<(u16, u16), String> {
    let mapping =
        text.split_once('=').and_then(|(from, to)| Some((from.parse::<u16>().ok()?, to.parse::<u16>().ok()?)));
    match mapping {
        Some((from, to)) if from != 0 => Ok((from, to)),
        _ => Err(format!("`{text}` maps no port; write it as `80=8080`, or `80=0` for any free one")),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address and a port, as `127.0.0.1:9000`"))
}

fn release(text: &str) -> Result<String, String> {
    let is_release =
        text.split_once('.').is_some_and(|(major, minor)| major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok());
    if is_release { Ok(text.to_owned()) } else { Err(format!("`{text}` is not a release, as `1.31`")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        Config::parse("malha.toml", text).expect_err("the file has a mistake").to_string()
    }

    #[test]
    fn the_page_of_settings_is_understood() {
        let page = include_str!("../../../../docs/settings.md");
        let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it shows a file");
        let config = Config::parse("docs/settings.md", text).expect("it is one");
        assert_eq!((config.run.endpoints.len(), config.run.sidecars.len(), config.lint.policies.len()), (2, 1, 1));
        assert_eq!((config.mesh.gateways.len(), config.mesh.include.len(), config.run.dns.len()), (1, 1, 1));
    }

    #[test]
    fn reads_every_key() {
        let config = Config::parse(
            "malha.toml",
            r#"
[mesh]
include = ["../services"]
istio = "1.30"
config = "mesh.yaml"
cluster-domain = "example.local"
root-namespace = "mesh-root"
outbound = "REGISTRY_ONLY"
registry = "closed"

[[mesh.gateways]]
name = "edge"
namespace = "edge"
labels = { istio = "ingressgateway" }

[lint]
select = ["correctness"]
ignore = ["D0"]

[lint.per-file-ignores]
"legacy/**" = ["R"]

[lint.severity]
H008 = "info"

[lint.schemas]
Gateway = "policies/gateway.json"
VirtualService = ["policies/all.json", "policies/routes.json"]

[[lint.policy]]
name = "timeouts"
kind = "VirtualService"
check = "object.spec.http.all(rule, has(rule.timeout))"
message = "every rule has a timeout"
severity = "error"
field = "spec.http"

[run]
ports = ["80=9080", "443=0"]
admin = "127.0.0.1:0"
watch = false
dns = ["10.0.0.53", "127.0.0.1:5353"]

[run.endpoints]
"orders.shop:8000" = ["127.0.0.1:9001", { address = "127.0.0.1:9002", labels = { version = "v2" } }]
"cart.shop:8000" = "127.0.0.1:9003"

[[run.sidecars]]
name = "front-end"
namespace = "shop"
labels = { app = "front-end" }
listen = "127.0.0.1:15011"
forward = ["postgres.db:5432=127.0.0.1:15432", "redis.db:6379"]
"#,
        )
        .expect("every key is known");
        assert_eq!(config.mesh.outbound, Some(Outbound::RegistryOnly));
        assert_eq!(config.mesh.gateways[0].labels["istio"], "ingressgateway");
        assert_eq!(config.lint.per_file_ignores, [("legacy/**".to_owned(), vec!["R".to_owned()])]);
        assert_eq!(config.lint.severity, [("H008".to_owned(), Severity::Info)]);
        let schemas: Vec<_> = config.lint.schemas.iter().map(|(kind, path)| (kind.as_str(), path.as_path())).collect();
        assert_eq!(
            schemas,
            [
                ("Gateway", Path::new("policies/gateway.json")),
                ("VirtualService", Path::new("policies/all.json")),
                ("VirtualService", Path::new("policies/routes.json")),
            ]
        );
        assert_eq!(config.lint.policies[0].kinds, ["VirtualService"]);
        assert_eq!(config.lint.policies[0].severity, Some(Severity::Error));
        assert_eq!(config.run.ports, BTreeMap::from([(80, 9080), (443, 0)]));
        assert_eq!(config.run.dns.iter().map(SocketAddr::port).collect::<Vec<_>>(), [53, 5353]);
        let addresses: Vec<_> =
            config.run.endpoints.iter().map(|it| (it.service.as_str(), it.address.port(), it.labels.len())).collect();
        assert_eq!(addresses, [("cart.shop", 9003, 0), ("orders.shop", 9001, 0), ("orders.shop", 9002, 1)]);
        assert_eq!(config.run.sidecars[0].listen.map(|it| it.port()), Some(15011));
        let forwards: Vec<_> = config.run.sidecars[0]
            .forward
            .iter()
            .map(|it| (it.sidecar.as_deref(), it.to.to_string(), it.listen.port()))
            .collect();
        let of = Some("front-end");
        assert_eq!(forwards, [(of, "postgres.db:5432".to_owned(), 15432), (of, "redis.db:6379".to_owned(), 0)]);
    }

    #[test]
    fn names_what_was_probably_meant() {
        assert_eq!(
            problems("[lint]\nselct = []\n"),
            "malha.toml:2:1: `selct` is not a key of [lint]\n  help: did you mean `select`?"
        );
        assert_eq!(
            problems("[mesh]\nregistry = \"close\"\n"),
            "malha.toml:2:12: `close` is not a value of mesh.registry\n  help: did you mean `closed`?"
        );
    }

    #[test]
    fn names_every_mistake() {
        let told = problems(
            "[mesh]\nistio = 1.31\ncolour = 1\n[run]\nports = [\"http=1\", \"80=8080\"]\n[[run.sidecars]]\nforward = [\"db\"]\n",
        );
        assert_eq!(
            told.lines().filter(|line| line.starts_with("malha.toml:")).collect::<Vec<_>>(),
            [
                "malha.toml:2:9: mesh.istio is a float, not a string",
                "malha.toml:3:1: `colour` is not a key of [mesh]",
                "malha.toml:5:10: `http=1` maps no port; write it as `80=8080`, or `80=0` for any free one",
                "malha.toml:6:1: a table of [[run.sidecars]] has no `name`",
                "malha.toml:7:12: `db` names no address of the mesh: write it as postgres.db:5432, a host and a port",
            ]
        );
    }

    #[test]
    fn a_syntax_error_has_a_position() {
        let told = problems("[mesh]\ninclude = [\n");
        assert!(told.starts_with("malha.toml:2:12: "), "{told}");
    }
}
