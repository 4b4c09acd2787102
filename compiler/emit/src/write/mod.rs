//! The writer of decision tables (docs/table-format.md).

mod action;
mod cluster;
mod file;
mod host;
mod listener;
mod paths;
mod pattern;
mod pool;
mod predicate;
mod source;

use hashbrown::HashMap;
use malha_mesh::program::{Fallback, Program, Proxy, ProxyProgram, Role};
use malha_syntax::Location;
use malha_table::{
    format::{
        ActionRecord, AutomatonRecord, ChainRecord, CidrRecord, ClusterRecord, ConditionRecord, CorsRecord,
        DestinationRecord, DomainSlot, EndpointRecord, FaultRecord, ForwardRecord, HashKeyRecord, HeaderOpsRecord,
        HeaderValueRecord, LimitRecord, ListenerRecord, MirrorRecord, NO_TIME, NONE, Pair, PathEntry, PathSlot,
        PatternRecord, ProgramRecord, ProxyRecord, Range, RedirectRecord, RespondRecord, RetriesRecord, RouteRecord,
        RouteTableRecord, SettingsRecord, Str, TcpRouteRecord, TerminationRecord, U32, U64, ValueTestRecord,
        VirtualHostRecord, WayRecord,
    },
    http::PathNormalization,
};
use pool::{Lists, Strings};
use smol_str::SmolStr;
use source::SourceMap;
use std::{collections::BTreeSet, fmt, time::Duration};

/// Why a program cannot be written as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmitError {
    /// It has more than 4 GiB of text, or more than four billion records of a kind.
    TooLarge,
    /// A header value that cannot be evaluated; lowering should have rejected its listener.
    Value {
        /// The value.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A filter chain refers to a route table, or a destination to a cluster, that the program does not have.
    Dangling(String),
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EmitError::TooLarge => f.write_str("the program is too large for a table"),
            EmitError::Value { text, reason } => write!(f, "the header value `{text}` cannot be evaluated: {reason}"),
            EmitError::Dangling(what) => write!(f, "the program refers to {what}, which it does not have"),
        }
    }
}

impl std::error::Error for EmitError {}

/// Writes a program as a table. `origin` gives the file, relative to the root of the mesh, and the line of a place.
///
/// The bytes depend on the content of the program alone: not on what of it is shared, nor on the order of virtual
/// hosts.
///
/// # Errors
///
/// See [`EmitError`].
pub fn table(program: &Program, origin: impl Fn(Location) -> (String, u32)) -> Result<Vec<u8>, EmitError> {
    let mut writer = Writer::new(&origin);
    let topology = program.settings.gateway_topology;
    writer.settings.one(SettingsRecord {
        path_normalization: U32::new(match program.settings.path_normalization {
            PathNormalization::None => 0,
            PathNormalization::Base => 1,
            PathNormalization::MergeSlashes => 2,
            PathNormalization::DecodeAndMergeSlashes => 3,
        }),
        dns_refresh: time(program.settings.dns_refresh),
        trusted_proxies: U32::new(topology.trusted_proxies),
        forward_client_cert: U32::new(topology.client_cert.number()),
        proxy_protocol: U32::new(u32::from(topology.proxy_protocol)),
    })?;
    let mut proxies = Vec::with_capacity(program.proxies.len());
    let mut programs: HashMap<*const ProxyProgram, U32> = HashMap::new();
    for proxy in &program.proxies {
        let known = programs.get(&std::ptr::from_ref(&*proxy.program)).copied();
        let number = match known {
            Some(number) => number,
            None => writer.program(&proxy.program)?,
        };
        programs.insert(std::ptr::from_ref(&*proxy.program), number);
        proxies.push(writer.proxy(proxy, number)?);
    }
    writer.proxies.list(&proxies)?;
    writer.finish()
}

/// Everything that is written so far.
struct Writer<'o> {
    features: BTreeSet<&'static str>,
    strings: Strings,
    string_lists: Lists<Str>,
    numbers: Lists<U32>,
    ranges: Lists<Range>,
    bytes: Lists<u8>,
    pairs: Lists<Pair>,
    settings: Lists<SettingsRecord>,
    proxies: Lists<ProxyRecord>,
    programs: Lists<ProgramRecord>,
    listeners: Lists<ListenerRecord>,
    ways: Lists<WayRecord>,
    chains: Lists<ChainRecord>,
    cidrs: Lists<CidrRecord>,
    terminations: Lists<TerminationRecord>,
    tcp_routes: Lists<TcpRouteRecord>,
    route_tables: Lists<RouteTableRecord>,
    domain_slots: Lists<DomainSlot>,
    virtual_hosts: Lists<VirtualHostRecord>,
    path_slots: Lists<PathSlot>,
    path_entries: Lists<PathEntry>,
    routes: Lists<RouteRecord>,
    conditions: Lists<ConditionRecord>,
    value_tests: Lists<ValueTestRecord>,
    patterns: Lists<PatternRecord>,
    automata: Lists<AutomatonRecord>,
    actions: Lists<ActionRecord>,
    header_ops: Lists<HeaderOpsRecord>,
    header_values: Lists<HeaderValueRecord>,
    forwards: Lists<ForwardRecord>,
    redirects: Lists<RedirectRecord>,
    responds: Lists<RespondRecord>,
    destinations: Lists<DestinationRecord>,
    retries: Lists<RetriesRecord>,
    mirrors: Lists<MirrorRecord>,
    faults: Lists<FaultRecord>,
    cors: Lists<CorsRecord>,
    hash_keys: Lists<HashKeyRecord>,
    clusters: Lists<ClusterRecord>,
    limits: Lists<LimitRecord>,
    endpoints: Lists<EndpointRecord>,
    source_map: SourceMap<'o>,
    automata_by_patterns: HashMap<Vec<SmolStr>, U32>,
    patterns_by_text: HashMap<SmolStr, U32>,
    /// What no header operations were written as: most destinations have none.
    no_header_ops: Option<U32>,
    in_program: InProgram,
}

/// What is known within one proxy's program: what an `Arc` in it was written as. Only a shortcut; content decides.
#[derive(Default)]
struct InProgram {
    clusters: HashMap<SmolStr, U32>,
    actions: HashMap<*const malha_mesh::program::Action, U32>,
    virtual_hosts: HashMap<*const malha_mesh::program::VirtualHost, U32>,
    rules: HashMap<*const malha_mesh::program::Origin, U32>,
}

impl Writer<'_> {
    fn proxy(&mut self, proxy: &Proxy, program: U32) -> Result<ProxyRecord, EmitError> {
        Ok(ProxyRecord {
            role: U32::new(match proxy.role {
                Role::Gateway => 0,
                Role::Sidecar => 1,
            }),
            name: self.strings.str(&proxy.name)?,
            namespace: self.strings.str(&proxy.namespace)?,
            labels: self.pair_list(proxy.labels.iter())?,
            gateways: self.pair_list(proxy.gateways.iter().map(|(namespace, name)| (namespace, name)))?,
            program,
        })
    }

    fn program(&mut self, program: &ProxyProgram) -> Result<U32, EmitError> {
        self.in_program = InProgram::default();
        let mut clusters: Vec<_> = program.clusters.iter().collect();
        clusters.sort_by(|one, other| one.name.cmp(&other.name));
        let mut numbers = Vec::with_capacity(clusters.len());
        for cluster in clusters {
            let number = self.cluster(cluster)?;
            self.in_program.clusters.insert(cluster.name.clone(), number);
            numbers.push(number);
        }
        let clusters = self.numbers.list(&numbers)?;
        let mut listeners = Vec::with_capacity(program.listeners.len());
        for listener in &program.listeners {
            listeners.push(self.listener(program, listener)?);
        }
        let listeners = self.listeners.list(&listeners)?;
        let ways = self.ways(&program.listeners)?;
        let (egress_route, egress_bytes) = match &program.egress_proxy {
            None => (none(), none()),
            Some(proxy) => (self.lone_route(&proxy.route())?, self.tcp_route(&proxy.bytes)?),
        };
        let fallback = fallback(program.fallback);
        self.programs.one(ProgramRecord { listeners, ways, clusters, fallback, egress_route, egress_bytes })
    }

    fn pair_list<'s>(&mut self, pairs: impl Iterator<Item = (&'s SmolStr, &'s SmolStr)>) -> Result<Range, EmitError> {
        let mut list = Vec::new();
        for (key, value) in pairs {
            list.push(Pair { key: self.strings.str(key)?, value: self.strings.str(value)? });
        }
        self.pairs.list(&list)
    }

    fn string_list<'s>(&mut self, texts: impl IntoIterator<Item = &'s SmolStr>) -> Result<Range, EmitError> {
        let mut list = Vec::new();
        for text in texts {
            list.push(self.strings.str(text)?);
        }
        self.string_lists.list(&list)
    }

    fn number_list(&mut self, numbers: impl IntoIterator<Item = u32>) -> Result<Range, EmitError> {
        let list: Vec<U32> = numbers.into_iter().map(U32::new).collect();
        self.numbers.list(&list)
    }
}

fn fallback(fallback: Fallback) -> U32 {
    U32::new(match fallback {
        Fallback::Close => 0,
        Fallback::Passthrough => 1,
        Fallback::Blackhole => 2,
        Fallback::EgressProxy => 3,
    })
}

fn flag(set: bool) -> U32 {
    U32::new(u32::from(set))
}

fn none() -> U32 {
    U32::new(NONE)
}

/// Nanoseconds; what is longer than five centuries is as long.
fn time(duration: Option<Duration>) -> U64 {
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(NO_TIME - 1).min(NO_TIME - 1);
    U64::new(duration.map_or(NO_TIME, nanoseconds))
}
