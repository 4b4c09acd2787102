//! The command line.

mod check;
mod import;

pub use check::{CheckArgs, CheckFormat, SeverityName};
pub use import::ImportArgs;

use crate::config;
use clap::{
    Args, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::Shell;
use malha_proxy::PortForward;
use std::{collections::BTreeMap, env, ffi::OsString, net::SocketAddr, path::PathBuf};

/// A compiler for service-mesh traffic configuration.
///
/// Reads the Istio and Kubernetes YAML of a config repo, checks it, compiles it to a decision table, and runs that
/// table in a small proxy, with no cluster.
#[derive(Debug, Parser)]
#[command(
    name = "malha",
    version,
    max_term_width = 100,
    after_help = "Exit status: 0 clean, 1 findings, 2 the job could not be done.\n\n\
        Start with `malha check` in a config repo, or `malha run --mock` to have its mesh on this machine."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line of this process; ends it where that is not understood, or asks for help.
    pub fn read() -> Cli {
        let words: Vec<OsString> = env::args_os().collect();
        Cli::try_parse_from(&words).unwrap_or_else(|error| explained(error, &words).exit())
    }
}

/// Says of an option that `malha run` does not have how a program that has it is written.
fn explained(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let is_run = words.get(1).is_some_and(|word| word == "run") && !words.iter().any(|word| word == "--");
    let is_slip = error.get(ContextKind::SuggestedArg).is_some();
    if is_run && error.kind() == ErrorKind::UnknownArgument && !is_slip {
        let tip = "a program to run in the mesh, and its options, come after `--`: malha run --mock -- curl -s http://cart.shop/";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Name the mistakes in a mesh.
    Check(CheckArgs),
    /// Build the decision table of a mesh.
    Compile(CompileArgs),
    /// Run a mesh on this machine and follow every save.
    Run(Box<RunArgs>),
    /// Tell what becomes of a request, by which rule, at which line.
    Route(Box<RouteArgs>),
    /// Tell which requests two states of a configuration treat differently.
    Diff(DiffArgs),
    /// List what a mesh is made of, and what its proxies execute.
    Show(ShowArgs),
    /// Draw where requests may go: gateways, hosts, rules, services, workloads.
    Graph(GraphArgs),
    /// Make a clean tree of what `kubectl get -o yaml` prints.
    Import(ImportArgs),
    /// Run the route tests of a mesh: requests, and what is to become of them.
    Test(TestArgs),
    /// Explain a finding: what it means, why it matters, how to mend it.
    Rule(RuleArgs),
    /// Print the JSON Schema of a kind.
    Schema(SchemaArgs),
    /// Serve editors: findings while typing, hover, definitions, completion.
    #[cfg(feature = "lsp")]
    Lsp(LspArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands to a directory.
    Man(ManArgs),
}

/// The inputs of a command.
#[derive(Args, Clone, Debug)]
pub struct Paths {
    /// Files, directories, or `-` for the standard input [default: the working directory]
    ///
    /// Directories are read recursively (.yaml, .yml, .json; .gitignore holds). A directory with a malha.toml is a
    /// mesh: an input below it is read together with the rest of its mesh.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// `malha diff`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    malha diff main                    what the working tree changes against the branch main\n  \
    malha diff HEAD~1 HEAD             what a commit changed\n  \
    malha diff main istio/             the same for one directory\n  \
    malha diff old/ new/ --format markdown\n\n\
    Exit status: 0 every request is treated as before, 1 some are not, 2 the job could not be done.")]
pub struct DiffArgs {
    /// The state before: a path, or (if there is no such path) a git revision
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The state after, likewise [default: the working directory]
    #[arg(value_name = "NEW")]
    pub new: Option<String>,
    /// How to print the changes
    #[arg(long, value_enum, default_value_t)]
    pub format: DiffFormat,
}

/// How `malha diff` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For people
    #[default]
    Pretty,
    /// For a comment on a pull request
    Markdown,
    /// One JSON document, for programs
    Json,
}

/// `malha compile`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  malha compile istio/ -o mesh.table && malha-proxy mesh.table\n\n\
    Nothing is written, and the exit status is 1, if a cluster would refuse one of the objects.")]
pub struct CompileArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub paths: Paths,
    /// Where to write; `-` is the standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t)]
    pub emit: EmitFormat,
}

/// What `malha compile` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EmitFormat {
    /// The decision table that the proxy runs
    #[default]
    Table,
    /// The same, as JSON, to be read by people and programs
    Json,
}

/// `malha run`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    malha run --mock examples/simul-shop/path-routes    a whole mesh, every workload a stand-in\n  \
    malha run --endpoint cart.shop:8000=127.0.0.1:9000  your own process as the cart\n  \
    malha run --mock --as shop/app=web -- npm start     your own process as a client of the mesh\n  \
    malha run --port 80=8080 --explain                  answers say which rule took them\n  \
    malha run mesh.table                                a table from `malha compile`")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub paths: Paths,
    /// Give every workload without an address on this machine a stand-in that answers in its place
    ///
    /// It answers in JSON who it is and what it was asked: `/` and `/healthz` with 200, `/r?code=503&wait=2&times=3` with
    /// that status, after so many seconds, the first so many times, `/s` after calling those that its workload calls, and every
    /// other path with 404: a route that is to be tried with 200 rewrites its path to one of these.
    #[arg(long)]
    pub mock: bool,
    /// Open a gateway's port on another port of this machine; 0 is any free one
    #[arg(long = "port", value_name = "MESH=LOCAL", value_parser = config::port_mapping)]
    pub ports: Vec<(u16, u16)>,
    /// Open every port on a free one, the admin server's too
    #[arg(long)]
    pub ephemeral: bool,
    /// Where mesh clients find their outbound proxy [default: 127.0.0.1:15001]
    #[arg(long, value_name = "ADDRESS")]
    pub outbound: Option<SocketAddr>,
    /// A port of this machine, a free one if none is named, that stands for an address of the mesh: for programs that speak
    /// to no HTTP proxy
    #[arg(long = "forward", value_name = "SERVICE.NS:PORT[=ADDRESS]")]
    pub forwards: Vec<PortForward>,
    /// Where the admin server listens [default: 127.0.0.1:15000]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
    /// Say nothing but what goes wrong: no addresses, no notes, no access log
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the addresses of all listeners there, as JSON, once they accept connections
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Let every answer name the rule that took the request, in a header
    #[arg(long)]
    pub explain: bool,
    /// How lines of the access log are written, with Istio's fields [default: as the `MeshConfig` says, else text]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub access_log_format: Option<AccessLogFormat>,
    /// A collector of OpenTelemetry that is sent traces, as `http://localhost:4318`; '' is none [default: as
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says, else none]
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Of how many requests traces are sent, where their callers have not decided it
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    pub trace_sampling: f64,
    /// Make every draw repeatable: weights, load balancing, jitter
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Secrets for TLS that the files do not hold, as Kubernetes mounts them: NAMESPACE/NAME/ with tls.crt, tls.key, ca.crt
    #[arg(long, value_name = "DIR")]
    pub credentials: Option<PathBuf>,
    /// The proxies' certificate by the mesh's own authority (cert-chain.pem, key.pem, root-cert.pem),
    /// with which they speak the mesh's own TLS
    #[arg(long, value_name = "DIR")]
    pub mesh_certs: Option<PathBuf>,
    /// A server that says which addresses names have, as `10.0.0.53` or `127.0.0.1:5353` [default: as `[run] dns` says,
    /// else those of the system]. May be given several times
    #[arg(long = "dns-server", value_name = "ADDRESS", value_parser = malha_proxy::Dns::server)]
    pub dns_servers: Vec<SocketAddr>,
    /// A process of this machine that stands for a service's workload; its labels choose subsets
    #[arg(long = "endpoint", value_name = "SERVICE.NS:PORT=ADDRESS[,LABEL=VALUE]", value_parser = endpoint)]
    pub endpoints: Vec<config::LocalEndpoint>,
    /// Be a client of the mesh: a sidecar of this namespace and these labels, for COMMAND if there is one
    #[arg(long = "as", value_name = "NS[/LABEL=VALUE,...]", value_parser = proxy)]
    pub client: Option<malha_table::ProxyIdentity>,
    /// A program to run once the mesh is there: it calls through a sidecar, and when it ends, so does the mesh
    ///
    /// `http_proxy` and `https_proxy` name the sidecar of --as, else the default one. What malha and its access log say
    /// goes to the standard error. The exit status is the program's.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How `malha run` writes its access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLogFormat {
    /// Istio's default text format
    Text,
    /// An object of JSON on each line
    Json,
}

/// `malha route`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    malha route http://simul-shop.com/login istio/\n  \
    malha route -H 'user-region: Southeast' http://simul-shop.com/orders\n  \
    malha route --proxy shop/app=front-end http://orders.shop:8000/\n  \
    malha route --batch requests.jsonl istio/ > decisions.jsonl")]
pub struct RouteArgs {
    /// The URL asked for, then the inputs; with --batch, inputs only [default input: the working directory]
    #[arg(value_name = "URL|PATH")]
    pub arguments: Vec<String>,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,
    /// A header, as `Name: value`; `Host` takes the place of the URL's
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// Where the request enters: `gateway`, `gateway/NS/NAME` (a Gateway, or a gateway proxy as `malha show` and `run` name
    /// it) or `mesh` [default: what --proxy is, else the gateway that has the port, else mesh]
    #[arg(long, value_name = "WHERE")]
    pub via: Option<String>,
    /// The proxy that executes: its namespace and labels. It is a client of the mesh unless a Gateway selects it
    #[arg(long, value_name = "NS/LABEL=VALUE,...", value_parser = proxy)]
    pub proxy: Option<malha_table::ProxyIdentity>,
    /// The port of the listener [default: the URL's]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u32>,
    /// Read requests from a file (`-`: the standard input), one JSON object a line; print one decision a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "headers", "via", "proxy", "port"])]
    pub batch: Option<PathBuf>,
    /// Decides the weighted draw of requests without a `draw` of their own
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Print every rule that was passed over, however many there are
    #[arg(long, conflicts_with = "batch")]
    pub all: bool,
    /// How to print the decision; a batch is always JSON
    #[arg(long, value_enum, default_value_t)]
    pub format: RouteFormat,
}

/// How `malha route` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RouteFormat {
    /// For people
    #[default]
    Pretty,
    /// One JSON document, for programs
    Json,
}

/// `malha show`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  malha show routes istio/\n  malha show endpoints --format markdown")]
pub struct ShowArgs {
    /// What to list
    #[arg(value_enum)]
    pub what: ShowWhat,
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub paths: Paths,
    /// How to print the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ShowFormat,
    /// Only this proxy, by its namespace and labels
    #[arg(long, value_name = "NS/LABEL=VALUE,...", value_parser = proxy)]
    pub proxy: Option<malha_table::ProxyIdentity>,
}

/// What `malha show` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShowWhat {
    /// The objects of the mesh
    Resources,
    /// The listeners of each proxy
    Listeners,
    /// The routes of each proxy, in the order in which they are tried
    Routes,
    /// The clusters that routes lead to
    Clusters,
    /// The endpoints of each cluster
    Endpoints,
}

/// How `malha show` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ShowFormat {
    /// Columns, for a terminal
    #[default]
    Table,
    /// A Markdown table
    Markdown,
    /// One JSON document, for programs
    Json,
}

/// `malha graph`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    malha graph istio/ > mesh.svg\n  \
    malha graph --format dot | dot -Tpdf > mesh.pdf\n  \
    malha graph --format mermaid --focus shop/orders\n\n\
    Rules that no request reaches are grey, destinations that are missing red, copies of requests dashed;\n\
    a dotted line leads from a DestinationRule to what it is for.")]
pub struct GraphArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub paths: Paths,
    /// How to draw
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    /// Only what leads to an object or host of this name, and what that leads to
    #[arg(long, value_name = "NAME")]
    pub focus: Option<String>,
}

/// How `malha graph` draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// A picture, for a browser
    #[default]
    Svg,
    /// The language of Graphviz
    Dot,
    /// A flowchart, for Markdown
    Mermaid,
}

/// `malha test`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    malha test                                every test below the working directory\n  \
    malha test shop/login.test.yaml -v        one file, against its whole mesh\n  \
    malha test --coverage --fail-under 80     which rules no test reaches\n  \
    malha test --suggest > more.test.yaml     tests to begin with, for those\n\n\
    A test file is called `*.test.yaml` or `*_test.yaml` and lies beside the configuration:\n\n  \
    tests:\n  \
    - name: the login page has a service of its own\n    \
      request: GET http://shop.example.com/login\n    \
      expect:\n      \
        destination: {host: login, port: 8000}\n      \
        rewrite: {path: /}\n  \
    - name: old pages are gone for good\n    \
      request: [GET http://shop.example.com/old, GET http://shop.example.com/old/x]\n    \
      expect: {status: 404}\n\n\
    Only what is named is compared. Files of istio-config-validator (`testCases:`) are read as they are.\n\
    Exit status: 0 all passed, 1 a test failed or the coverage is under the floor, 2 a test is malformed\n\
    or there is none. docs/testing.md has the whole form.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct TestArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub paths: Paths,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    pub format: TestFormat,
    /// Name the tests that passed, too
    #[arg(short, long)]
    pub verbose: bool,
    /// Tell which matches of which rules no test reached
    #[arg(long)]
    pub coverage: bool,
    /// Fail if tests reach less than this share of the matches, in percent; implies --coverage
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub fail_under: Option<f64>,
    /// Print a test to paste for each match that no test reached, and all else to the standard error; implies --coverage
    #[arg(long)]
    pub suggest: bool,
}

impl TestArgs {
    /// Whether coverage is asked for.
    pub fn measures(&self) -> bool {
        self.coverage || self.suggest || self.fail_under.is_some()
    }
}

/// How `malha test` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    /// For people: what failed, and how
    #[default]
    Pretty,
    /// One JSON document, for programs
    Json,
    /// JUnit XML, for CI systems
    Junit,
    /// Annotations of GitHub Actions
    Github,
}

/// `malha rule`.
#[derive(Args, Clone, Debug)]
pub struct RuleArgs {
    /// A code, as `D001`, or a name, as `subset-undefined` [default: list all rules]
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// `malha lsp`.
#[cfg(feature = "lsp")]
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "The language server speaks over its standard input and output: editors start it.\n\
    docs/editors.md has the settings of VS Code, Neovim and Helix.")]
pub struct LspArgs {
    /// Speak over the standard input and output, as is done anyway: editors that name the way pass this
    #[arg(long)]
    pub stdio: bool,
}

/// `malha schema`.
#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// A kind, as `VirtualService`
    pub kind: String,
}

/// `malha completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `malha man`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    malha man | man -l -\n  \
    malha man ~/.local/share/man/man1    then `man malha-check`")]
pub struct ManArgs {
    /// Where to write the pages, one for each command
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Reads `80` or `99.5`.
fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.strip_suffix('%').unwrap_or(text).parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.0..=100.0).contains(&number) { Ok(number) } else { Err("a share is from 0 to 100".to_owned()) }
}

/// Reads `shop/app=front-end,version=v1`.
fn proxy(text: &str) -> Result<malha_table::ProxyIdentity, String> {
    let (namespace, labels) = text.split_once('/').unwrap_or((text, ""));
    if namespace.is_empty() {
        return Err("the namespace is missing; write `shop/app=front-end`".to_owned());
    }
    Ok(malha_table::ProxyIdentity { namespace: namespace.to_owned(), labels: labels_of(labels)? })
}

/// Reads `cart.shop:8000=127.0.0.1:9000,version=v2`.
fn endpoint(text: &str) -> Result<config::LocalEndpoint, String> {
    let form = "write it as `cart.shop:8000=127.0.0.1:9000,version=v2`";
    let (service, rest) = text.split_once('=').ok_or(form)?;
    let (address, labels) = rest.split_once(',').unwrap_or((rest, ""));
    let (service, port) = config::service_port(service).ok_or(form)?;
    let address = address.parse().map_err(|_| format!("`{address}` is not an address and a port; {form}"))?;
    Ok(config::LocalEndpoint { service: service.to_owned(), port, address, labels: labels_of(labels)? })
}

fn labels_of(text: &str) -> Result<BTreeMap<String, String>, String> {
    let label = |label: &str| match label.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{label}` is not a label; write `name=value`")),
    };
    text.split(',').filter(|label| !label.is_empty()).map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn proxies_are_a_namespace_and_labels() {
        let told = proxy("shop/app=front-end,version=v1").expect("it is well formed");
        assert_eq!((told.namespace.as_str(), told.labels.len()), ("shop", 2));
        assert_eq!(proxy("shop").map(|told| told.labels.len()), Ok(0));
        assert!(proxy("/a=b").is_err());
        assert!(proxy("shop/app").is_err());
    }

    #[test]
    fn endpoints_stand_for_a_service() {
        let told = endpoint("cart.shop:8000=127.0.0.1:9000,version=v2").expect("it is well formed");
        assert_eq!((told.service.as_str(), told.port, told.address.port()), ("cart.shop", 8000, 9000));
        assert_eq!(told.labels["version"], "v2");
        assert!(endpoint("cart.shop=127.0.0.1:9000").is_err());
        assert!(endpoint("cart.shop:8000=cart").is_err());
    }
}
