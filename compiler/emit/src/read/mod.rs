//! A table as the program that it was written from: all that it executes, with the places that it knows.
//!
//! What is left of the program is what the table has of it: routes that no request comes to are gone, and so are notes
//! and columns.

mod action;
mod cluster;
mod host;
mod listener;

use hashbrown::HashMap;
use malha_mesh::program::{
    Action, Cluster, EgressProxy, Fallback, Origin, Program, Proxy, ProxyProgram, RouteTable, Settings, VirtualHost,
};
use malha_syntax::{Location, SourceId, Span};
use malha_table::{Table, view};
use smol_str::SmolStr;
use std::{fmt, sync::Arc};

/// A program, and what its places mean.
#[derive(Clone, Debug, Default)]
pub struct FromTable {
    /// The program.
    pub program: Program,
    files: Vec<String>,
}

impl FromTable {
    /// File, relative to the root of the mesh, and line of a place of the program.
    pub fn place(&self, location: Location) -> (String, u32) {
        (self.files.get(location.source.0 as usize).cloned().unwrap_or_default(), location.span.start)
    }
}

/// A table that passes validation, and still says what no program can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    what: String,
    reason: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table has {}: {}", self.what, self.reason)
    }
}

impl std::error::Error for ReadError {}

/// Reads a program from its table.
///
/// # Errors
/// The table has a regular expression, or a policy, that cannot be read: none that [`table`](crate::table) writes.
pub fn program(table: &Table) -> Result<FromTable, ReadError> {
    let mut reader = Reader::default();
    let settings = Settings {
        path_normalization: table.path_normalization(),
        dns_refresh: table.dns_refresh(),
        gateway_topology: table.gateway_topology(),
    };
    let mut programs: HashMap<u32, Arc<ProxyProgram>> = HashMap::new();
    let mut proxies = Vec::with_capacity(table.proxies().len());
    for proxy in table.proxies() {
        let known = programs.get(&proxy.program()).map(Arc::clone);
        let program = match known {
            Some(program) => program,
            None => Arc::new(reader.program(&proxy)?),
        };
        programs.insert(proxy.program(), Arc::clone(&program));
        proxies.push(Proxy {
            role: proxy.role(),
            name: proxy.name().into(),
            namespace: proxy.namespace().into(),
            labels: proxy.labels().map(|(name, value)| (name.into(), value.into())).collect(),
            gateways: proxy.gateways().map(|(namespace, name)| (namespace.into(), name.into())).collect(),
            program,
        });
    }
    Ok(FromTable { program: Program { proxies, settings }, files: reader.files })
}

/// What was read, by its index in the table: what is shared there is shared here.
#[derive(Default)]
struct Reader {
    files: Vec<String>,
    file_numbers: HashMap<String, u32>,
    actions: HashMap<u32, Arc<Action>>,
    clusters: HashMap<u32, Arc<Cluster>>,
    origins: HashMap<u32, Arc<Origin>>,
    virtual_hosts: HashMap<u32, Arc<VirtualHost>>,
}

impl Reader {
    fn program(&mut self, proxy: &view::Proxy<'_>) -> Result<ProxyProgram, ReadError> {
        let mut route_tables = RouteTables::default();
        let listeners = proxy.listeners().map(|listener| self.listener(&listener, &mut route_tables));
        let listeners = listeners.collect::<Result<_, _>>()?;
        let clusters = proxy.clusters().map(|cluster| self.cluster(&cluster)).collect::<Result<_, _>>()?;
        let egress_proxy = match proxy.egress_proxy() {
            None => None,
            Some(named) => match named.route.action() {
                None => None,
                Some(action) => {
                    Some(EgressProxy { action: self.action(&action)?, bytes: self.tcp_route(&named.bytes) })
                }
            },
        };
        let (fallback, route_tables) = (fallback(proxy.fallback()), route_tables.tables);
        Ok(ProxyProgram { listeners, route_tables, clusters, fallback, egress_proxy, notes: Vec::new() })
    }

    fn location(&mut self, file: &str, line: u32) -> Location {
        let next = self.files.len() as u32;
        let number = *self.file_numbers.entry(file.to_owned()).or_insert(next);
        if number == next {
            self.files.push(file.to_owned());
        }
        Location { source: SourceId(number), span: Span::empty(line) }
    }

    fn rule(&mut self, rule: Option<view::Rule<'_>>) -> Option<Arc<Origin>> {
        let rule = rule?;
        if let Some(known) = self.origins.get(&rule.index()) {
            return Some(Arc::clone(known));
        }
        let origin = Arc::new(self.origin(&rule.source()?));
        self.origins.insert(rule.index(), Arc::clone(&origin));
        Some(origin)
    }

    fn origin(&mut self, source: &view::Source<'_>) -> Origin {
        Origin {
            namespace: source.namespace().into(),
            name: source.name().into(),
            section: match source.section() {
                "tls" => "tls",
                "tcp" => "tcp",
                _ => "http",
            },
            index: source.rule_index(),
            match_index: source.match_index(),
            route_name: source.route_name().map(SmolStr::from),
            location: self.location(source.file(), source.line()),
            // A delegate comes after what delegates to it: there is an end to this.
            delegate: source.delegate().map(|delegate| Box::new(self.origin(&delegate))),
        }
    }
}

/// The route tables of one program, which its filter chains refer to by index.
#[derive(Default)]
struct RouteTables {
    tables: Vec<RouteTable>,
    /// By index in the table.
    known: HashMap<u32, usize>,
}

fn fallback(fallback: view::Fallback) -> Fallback {
    match fallback {
        view::Fallback::Close => Fallback::Close,
        view::Fallback::Passthrough => Fallback::Passthrough,
        view::Fallback::Blackhole => Fallback::Blackhole,
        view::Fallback::EgressProxy => Fallback::EgressProxy,
    }
}

fn strings<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<SmolStr> {
    texts.map(SmolStr::from).collect()
}
