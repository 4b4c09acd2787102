//! The layout of a table: sections of little-endian records (docs/table-format.md).
//!
//! The back end writes what is declared here; [`Table::load`](crate::Table::load) checks it once and then reads it in
//! place. All records have alignment 1.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use zerocopy::little_endian::{U32, U64};

/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"MALHATBL";

/// The version of this layout; a reader takes no other.
pub const VERSION: u32 = 5;

/// Where an index is expected: there is none.
pub const NONE: u32 = u32::MAX;

/// The kinds of [`WayRecord`].
pub mod way {
    /// Connections to any address.
    pub const ANY_ADDRESS: u32 = 0;
    /// Connections to the address that is the key.
    pub const ADDRESS: u32 = 1;
    /// Connections, and requests, to the name that is the key.
    pub const NAME: u32 = 2;
    /// Connections to names that have no way of their own.
    pub const OTHER_NAMES: u32 = 3;
}

/// Where nanoseconds are expected: there is no such time.
pub const NO_TIME: u64 = u64::MAX;

/// What a reader must understand to execute a table, by name. A table lists those that it uses, sorted.
pub const FEATURES: &[&str] = &["http", "tcp", "tls-routing"];

macro_rules! records {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    )*};
}

records! {
    /// What a file begins with; the section directory follows.
    Header {
        /// [`MAGIC`].
        magic: [u8; 8],
        /// [`VERSION`].
        version: U32,
        /// How many sections there are.
        sections: U32,
        /// Length of the file in bytes.
        length: U64,
        /// xxh3 (64 bits) of everything after the header.
        checksum: U64,
        /// xxh3 (64 bits) of all sections but those of the source map, each preceded by its kind and length.
        program: U64,
    }
    /// Where a section lies. In the directory, sections are in order of kind; each begins at a multiple of 8.
    SectionEntry {
        /// See [`Section`].
        kind: U32,
        /// Zero.
        reserved: U32,
        /// First byte.
        offset: U64,
        /// Length in bytes.
        length: U64,
    }
    /// A string in a pool. No string: the offset is [`NONE`] and the length 0.
    Str {
        /// First byte in the pool.
        offset: U32,
        /// Length in bytes.
        length: U32,
    }
    /// Consecutive records of a section.
    Range {
        /// Index of the first.
        first: U32,
        /// How many.
        count: U32,
    }
    /// Two strings: a label, a Gateway, ...
    Pair {
        /// Key or namespace.
        key: Str,
        /// Value or name.
        value: Str,
    }
    /// What holds for all proxies.
    SettingsRecord {
        /// 0 none, 1 base, 2 merge slashes, 3 decode and merge slashes.
        path_normalization: U32,
        /// Nanoseconds until a name is looked up again whose answer does not say how long it holds; none: a minute.
        dns_refresh: U64,
        /// How many proxies in front of gateways are trusted.
        trusted_proxies: U32,
        /// What gateways make of `x-forwarded-client-cert`: 0 sanitize, 1 forward, 2 append and forward, 3 sanitize and
        /// set, 4 always forward.
        forward_client_cert: U32,
        /// 1: connections to gateways begin with a header of the PROXY protocol.
        proxy_protocol: U32,
    }
    /// One proxy.
    ProxyRecord {
        /// 0 gateway, 1 sidecar.
        role: U32,
        /// For people.
        name: Str,
        /// Its namespace.
        namespace: Str,
        /// [`Pair`]s, sorted by key.
        labels: Range,
        /// [`Pair`]s of namespace and name.
        gateways: Range,
        /// Index of its [`ProgramRecord`].
        program: U32,
    }
    /// What one proxy, or several alike, executes.
    ProgramRecord {
        /// [`ListenerRecord`]s.
        listeners: Range,
        /// [`WayRecord`]s: what leads to them, sorted by all of their fields.
        ways: Range,
        /// Numbers: indexes of [`ClusterRecord`]s, in order of their names.
        clusters: Range,
        /// What becomes of connections to other ports: 0 close, 1 passthrough, 2 blackhole, 3 to the egress proxy.
        fallback: U32,
        /// What is done with requests that go to the egress proxy: index of a [`RouteRecord`], or none.
        egress_route: U32,
        /// Where other bytes go to the egress proxy: index of a [`TcpRouteRecord`], or none.
        egress_bytes: U32,
    }
    /// A listening address.
    ListenerRecord {
        /// 0 any address, 1 an address, 2 none: by the name of a service, 3 none: by all other names, 4 a socket.
        bind: U32,
        /// The address, the service's name or the socket; else none.
        bound_to: Str,
        /// Port.
        port: U32,
        /// 0 close, 1 passthrough, 2 blackhole, 3 to the egress proxy.
        fallback: U32,
        /// Numbers.
        server_ports: Range,
        /// As `HTTP`.
        protocol: Str,
        /// For people and metrics.
        name: Str,
        /// Strings: the names that lead here, lower case.
        names: Range,
        /// Why Envoy would refuse it, if it would; then it has no chains.
        rejected: Str,
        /// [`ChainRecord`]s.
        chains: Range,
    }
    /// What leads connections to a listener. Of several ways that are alike the first counts.
    WayRecord {
        /// The listener's port.
        port: U32,
        /// 0 any address, 1 an address, 2 a name, 3 any name that has no way of its own.
        kind: U32,
        /// The address or the name, which is in lower case; else none.
        key: Str,
        /// Its place among the listeners of its program.
        listener: U32,
    }
    /// A filter chain.
    ChainRecord {
        /// Strings: exact or `*.suffix`, lower case.
        server_names: Range,
        /// [`CidrRecord`]s.
        destinations: Range,
        /// 0 plain, 1 TLS, 2 either.
        tls: U32,
        /// 1: only connections that are seen to carry plain HTTP.
        inspected: U32,
        /// Index of a [`TerminationRecord`], or none.
        termination: U32,
        /// 0 HTTP, 1 TCP.
        filter: U32,
        /// Index of a [`RouteTableRecord`] or a [`TcpRouteRecord`].
        target: U32,
        /// Index of a [`LocationRecord`], or none.
        location: U32,
    }
    /// An address range.
    CidrRecord {
        /// As the file has it.
        text: Str,
        /// The address, IPv4 ones mapped into IPv6.
        address: [u8; 16],
        /// How many leading bits count, of 128.
        bits: U32,
    }
    /// How TLS is ended.
    TerminationRecord {
        /// `SIMPLE`, ...
        mode: Str,
        /// Strings.
        credentials: Range,
        /// [`Pair`]s: file of the certificate, file of its key.
        certificates: Range,
        /// File.
        ca_certificates: Str,
        /// Name of a credential.
        ca_credential: Str,
        /// File.
        ca_crl: Str,
        /// As `TLSV1_2`.
        min_version: Str,
        /// As `TLSV1_3`.
        max_version: Str,
        /// Strings.
        cipher_suites: Range,
        /// Strings.
        subject_alt_names: Range,
        /// Strings: SHA-256 of SPKI, base64.
        key_hashes: Range,
        /// Strings: SHA-256 of certificates, hexadecimal.
        certificate_hashes: Range,
        /// 1: clients are not verified.
        insecure_skip_verify: U32,
    }
    /// Where the bytes of a connection go.
    TcpRouteRecord {
        /// [`DestinationRecord`]s.
        destinations: Range,
        /// Index of a [`RuleRecord`], or none.
        rule: U32,
    }
    /// Virtual hosts of a listener or server.
    RouteTableRecord {
        /// As `http.8080`.
        name: Str,
        /// 1: the port of a Host counts.
        counts_ports: U32,
        /// Numbers: indexes of [`VirtualHostRecord`]s.
        virtual_hosts: Range,
        /// [`DomainSlot`]s: a hash table whose length is a power of two, linearly probed, with an empty slot.
        domains: Range,
        /// Numbers: lengths of the wildcard suffixes in it, longest first.
        suffix_lengths: Range,
        /// Index of the [`VirtualHostRecord`] of `*`, or none.
        default_host: U32,
    }
    /// A slot of a hash table by domain.
    DomainSlot {
        /// The whole domain, `*` included; none: an empty slot.
        domain: Str,
        /// Index of its [`VirtualHostRecord`].
        virtual_host: U32,
        /// The upper half of the hash; its lower half gives the first slot.
        hash: U32,
    }
    /// A virtual host, with its index over paths. Numbers in the index count its routes from 0.
    VirtualHostRecord {
        /// Strings.
        domains: Range,
        /// 1: plain requests are redirected.
        require_tls: U32,
        /// 0 not the mesh's catch-all, else 1 close, 2 passthrough, 3 blackhole, 4 to the egress proxy.
        catch_all: U32,
        /// [`RouteRecord`]s, in order.
        routes: Range,
        /// Numbers: indexes of [`ConditionRecord`]s, each once.
        conditions: Range,
        /// [`PathSlot`]s: a hash table like that of domains, of exact paths.
        exact: Range,
        /// [`PathEntry`]s of exact paths without case, sorted.
        exact_ignoring_case: Range,
        /// [`PathEntry`]s of prefixes, sorted; `Any` is the prefix `/`.
        prefixes: Range,
        /// [`PathEntry`]s of prefixes without case, sorted.
        prefixes_ignoring_case: Range,
        /// Numbers: routes with patterns, in order.
        patterns: Range,
        /// Index of an [`AutomatonRecord`] for all of them, by their place in `patterns`; none: each for itself.
        automaton: U32,
    }
    /// A slot of a hash table by path.
    PathSlot {
        /// The path; none: an empty slot.
        path: Str,
        /// Numbers: routes, in order.
        routes: Range,
        /// The upper half of the hash.
        hash: U32,
    }
    /// An entry of a sorted list of paths; in lower case where case does not count.
    PathEntry {
        /// The path or prefix.
        path: Str,
        /// Numbers: routes, in order.
        routes: Range,
        /// Index, in the same list and lower than its own, of the longest other entry that is a prefix of this one; none.
        parent: U32,
    }
    /// A route.
    RouteRecord {
        /// 0 any, 1 exact, 2 prefix, 3 pattern.
        path_test: U32,
        /// 1: ASCII case does not count.
        ignore_case: U32,
        /// The path or prefix.
        path: Str,
        /// Index of a [`PatternRecord`], or none.
        pattern: U32,
        /// Numbers: indexes into its virtual host's list of conditions.
        conditions: Range,
        /// Index of its [`ActionRecord`].
        action: U32,
        /// Index of a [`RuleRecord`], or none.
        rule: U32,
    }
    /// A condition.
    ConditionRecord {
        /// 0 method, 1 scheme, 2 authority, 3 path with query, 4 header, 5 query parameter, 6 claim.
        field: U32,
        /// Of header, query parameter or claim.
        name: Str,
        /// What its value must be.
        test: ValueTestRecord,
        /// 1: no value may pass.
        negated: U32,
    }
    /// What a value must be.
    ValueTestRecord {
        /// 0 present, 1 exact, 2 prefix, 3 pattern.
        kind: U32,
        /// The value or prefix.
        value: Str,
        /// Index of a [`PatternRecord`], or none.
        pattern: U32,
    }
    /// A regular expression.
    PatternRecord {
        /// As the file has it, in RE2's dialect.
        text: Str,
        /// Index of an [`AutomatonRecord`] that decides full matches; none: it is too large, the translation decides.
        automaton: U32,
        /// In the dialect of the `regex` crate, for rewriting and where there is no automaton; none: neither is needed.
        translation: Str,
    }
    /// A deterministic automaton over bytes, for the full matches of one or several patterns. State 0 is dead; a
    /// state is the index of its row's first cell.
    AutomatonRecord {
        /// 256 bytes: the class of each byte.
        classes: Range,
        /// How many classes there are, and so the length of a row.
        stride: U32,
        /// The state to begin in.
        start: U32,
        /// Numbers: for each state and class, the next state.
        transitions: Range,
        /// Numbers: for each row, which of the sets it accepts where the input ends.
        accepts: Range,
        /// [`Range`]s of numbers: sets of patterns, each sorted.
        sets: Range,
    }
    /// A rule of a VirtualService, by its identity. What is shown of it is in the source map, at the same index.
    RuleRecord {
        /// The same in every table that has the rule (xxh3 of kind, namespace, name, section, index, match, delegate).
        id: U64,
    }
    /// What a route does.
    ActionRecord {
        /// 0 forward, 1 redirect, 2 respond, 3 passthrough, 4 blackhole, 5 by Host.
        kind: U32,
        /// Index of the record of that kind, or none.
        target: U32,
        /// Index of [`HeaderOpsRecord`].
        request_headers: U32,
        /// Index of [`HeaderOpsRecord`].
        response_headers: U32,
    }
    /// Header operations of one level.
    HeaderOpsRecord {
        /// [`HeaderValueRecord`]s, sorted by name.
        set: Range,
        /// [`HeaderValueRecord`]s, sorted by name.
        add: Range,
        /// Strings.
        remove: Range,
    }
    /// A header and its value.
    HeaderValueRecord {
        /// Name.
        name: Str,
        /// As the file has it.
        value: Str,
    }
    /// Sending a request upstream.
    ForwardRecord {
        /// [`DestinationRecord`]s.
        destinations: Range,
        /// 0 none, 1 what was matched, 2 every match of the pattern.
        rewrite: U32,
        /// Replacement or substitution.
        replacement: Str,
        /// Index of a [`PatternRecord`], or none.
        rewrite_pattern: U32,
        /// Host of the route level.
        authority: Str,
        /// Nanoseconds.
        timeout: U64,
        /// Index of a [`RetriesRecord`], or none.
        retries: U32,
        /// [`MirrorRecord`]s.
        mirrors: Range,
        /// Index of a [`FaultRecord`], or none.
        fault: U32,
        /// Index of a [`CorsRecord`], or none.
        cors: U32,
        /// [`HashKeyRecord`]s.
        hash: Range,
    }
    /// One place to go.
    DestinationRecord {
        /// Fully qualified.
        host: Str,
        /// Service port.
        port: U32,
        /// Subset.
        subset: Str,
        /// Share of the draws.
        weight: U32,
        /// Index of a [`ClusterRecord`], or none.
        cluster: U32,
        /// Host of the destination level.
        authority: Str,
        /// Index of [`HeaderOpsRecord`].
        request_headers: U32,
        /// Index of [`HeaderOpsRecord`].
        response_headers: U32,
    }
    /// Retry policy.
    RetriesRecord {
        /// Tries after the first.
        attempts: U32,
        /// Nanoseconds.
        per_try_timeout: U64,
        /// Strings.
        conditions: Range,
        /// Numbers.
        status_codes: Range,
        /// Nanoseconds.
        backoff: U64,
        /// Bit 0: avoids previous hosts; bit 1: moves to other priorities.
        flags: U32,
    }
    /// A copy of the request.
    MirrorRecord {
        /// Where to.
        destination: DestinationRecord,
        /// Share.
        per_million: U32,
    }
    /// Injected faults.
    FaultRecord {
        /// Nanoseconds; none: no delay.
        delay: U64,
        /// Share.
        delay_per_million: U32,
        /// 1: there is an abort.
        has_abort: U32,
        /// HTTP status, 0 for none.
        status: U32,
        /// Name of the gRPC status.
        grpc_status: Str,
        /// Share.
        abort_per_million: U32,
    }
    /// CORS policy.
    CorsRecord {
        /// [`ValueTestRecord`]s.
        allow_origins: Range,
        /// Strings.
        allow_methods: Range,
        /// Strings.
        allow_headers: Range,
        /// Strings.
        expose_headers: Range,
        /// Nanoseconds.
        max_age: U64,
        /// 0 false, 1 true, 2 not said.
        allow_credentials: U32,
        /// 1: IGNORE.
        ignore_unmatched_preflights: U32,
    }
    /// What a consistent hash reads.
    HashKeyRecord {
        /// 0 header, 1 cookie, 2 source address, 3 query parameter.
        kind: U32,
        /// Name.
        name: Str,
        /// Path of a cookie.
        path: Str,
        /// Nanoseconds.
        ttl: U64,
    }
    /// A group of endpoints.
    ClusterRecord {
        /// `outbound|port|subset|host`.
        name: Str,
        /// Host of the service.
        host: Str,
        /// Service port.
        port: U32,
        /// Subset.
        subset: Str,
        /// 0 EDS, 1 strict DNS, 2 logical DNS, 3 original destination, 4 dynamic DNS.
        discovery: U32,
        /// Of original destinations: the port that takes the place of the client's; 0: the client's own.
        original_port: U32,
        /// What the upstream speaks: 0 HTTP/1.1, 1 HTTP/2, 2 what the client of each request speaks.
        protocol: U32,
        /// [`EndpointRecord`]s.
        endpoints: Range,
        /// 0 least request, 1 round robin, 2 random, 3 passthrough, 4 ring hash, 5 Maglev.
        load_balancer: U32,
        /// Of ring hash: minimum ring size; of Maglev: table size.
        size: U64,
        /// Nanoseconds.
        connect_timeout: U64,
        /// [`LimitRecord`]s, sorted by name.
        limits: Range,
        /// The policy in force, as JSON.
        policy: Str,
        /// Namespace of the DestinationRule.
        rule_namespace: Str,
        /// Name of the DestinationRule.
        rule_name: Str,
    }
    /// A limit of a cluster.
    LimitRecord {
        /// As `maxConnections`.
        name: Str,
        /// How many.
        value: U32,
    }
    /// An endpoint.
    EndpointRecord {
        /// IP, DNS name or `unix://` path; none: not known.
        address: Str,
        /// Port.
        port: U32,
        /// Share.
        weight: U32,
        /// `region/zone/subzone`.
        locality: Str,
        /// Higher ones get requests as lower ones fail.
        priority: U32,
        /// Share of its locality among those of its priority; 0: localities have none.
        locality_weight: U32,
        /// Namespace of the workload.
        workload_namespace: Str,
        /// Name of the workload.
        workload_name: Str,
        /// [`Pair`]s, sorted by key.
        labels: Range,
    }
    /// What is shown of a rule. Its strings lie in the pool of the source map.
    SourceRecord {
        /// Namespace of the VirtualService.
        namespace: Str,
        /// Its name.
        name: Str,
        /// `http`, `tls` or `tcp`.
        section: Str,
        /// Index in the section.
        index: U32,
        /// Index in `match`, or none.
        match_index: U32,
        /// What the access log calls the route.
        route_name: Str,
        /// Relative to the root of the mesh.
        file: Str,
        /// From 1.
        line: U32,
        /// Index of the delegate's record, higher than its own; none.
        delegate: U32,
    }
    /// A route that was left out of a virtual host, since no request comes to it.
    RemovedRecord {
        /// Index of the [`VirtualHostRecord`].
        virtual_host: U32,
        /// Its place among the routes of the virtual host, those that were left out included.
        position: U32,
        /// Index of its [`SourceRecord`].
        source: U32,
        /// [`U32`]s of section `Takers`: the rules that take all that it asks for; empty: it asks for what there is not.
        taken_by: Range,
    }
    /// A place in the files. Its strings lie in the pool of the source map.
    LocationRecord {
        /// Relative to the root of the mesh.
        file: Str,
        /// From 1.
        line: U32,
    }
}

macro_rules! sections {
    ($($(#[$meta:meta])* $name:ident = $kind:literal: $record:ty,)*) => {
        /// The kinds of sections.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Section { $($(#[$meta])* $name = $kind,)* }

        impl Section {
            /// All of them, in order.
            pub const ALL: &[Section] = &[$(Section::$name,)*];

            /// The size of one of its records.
            pub fn record_size(self) -> usize {
                match self { $(Section::$name => size_of::<$record>(),)* }
            }
        }
    };
}

sections! {
    /// [`Str`]s: the names of the features that a reader needs.
    Features = 0: Str,
    /// UTF-8 text.
    Strings = 1: u8,
    /// [`Str`]s: lists of strings.
    StringLists = 2: Str,
    /// [`U32`]s: lists of numbers.
    Numbers = 3: U32,
    /// Single bytes.
    Bytes = 4: u8,
    /// [`Pair`]s.
    Pairs = 5: Pair,
    /// One [`SettingsRecord`].
    Settings = 6: SettingsRecord,
    /// [`ProxyRecord`]s.
    Proxies = 7: ProxyRecord,
    /// [`ProgramRecord`]s.
    Programs = 8: ProgramRecord,
    /// [`ListenerRecord`]s.
    Listeners = 9: ListenerRecord,
    /// [`ChainRecord`]s.
    Chains = 10: ChainRecord,
    /// [`CidrRecord`]s.
    Cidrs = 11: CidrRecord,
    /// [`TerminationRecord`]s.
    Terminations = 12: TerminationRecord,
    /// [`TcpRouteRecord`]s.
    TcpRoutes = 13: TcpRouteRecord,
    /// [`RouteTableRecord`]s.
    RouteTables = 14: RouteTableRecord,
    /// [`DomainSlot`]s.
    DomainSlots = 15: DomainSlot,
    /// [`VirtualHostRecord`]s.
    VirtualHosts = 16: VirtualHostRecord,
    /// [`PathSlot`]s.
    PathSlots = 17: PathSlot,
    /// [`PathEntry`]s.
    PathEntries = 18: PathEntry,
    /// [`RouteRecord`]s.
    Routes = 19: RouteRecord,
    /// [`ConditionRecord`]s.
    Conditions = 20: ConditionRecord,
    /// [`ValueTestRecord`]s.
    ValueTests = 21: ValueTestRecord,
    /// [`PatternRecord`]s.
    Patterns = 22: PatternRecord,
    /// [`AutomatonRecord`]s.
    Automata = 23: AutomatonRecord,
    /// [`RuleRecord`]s.
    Rules = 24: RuleRecord,
    /// [`ActionRecord`]s.
    Actions = 25: ActionRecord,
    /// [`HeaderOpsRecord`]s.
    HeaderOps = 26: HeaderOpsRecord,
    /// [`HeaderValueRecord`]s.
    HeaderValues = 27: HeaderValueRecord,
    /// [`ForwardRecord`]s.
    Forwards = 28: ForwardRecord,
    /// [`RedirectRecord`]s.
    Redirects = 29: RedirectRecord,
    /// [`RespondRecord`]s.
    Responds = 30: RespondRecord,
    /// [`DestinationRecord`]s.
    Destinations = 31: DestinationRecord,
    /// [`RetriesRecord`]s.
    Retries = 32: RetriesRecord,
    /// [`MirrorRecord`]s.
    Mirrors = 33: MirrorRecord,
    /// [`FaultRecord`]s.
    Faults = 34: FaultRecord,
    /// [`CorsRecord`]s.
    Cors = 35: CorsRecord,
    /// [`HashKeyRecord`]s.
    HashKeys = 36: HashKeyRecord,
    /// [`ClusterRecord`]s.
    Clusters = 37: ClusterRecord,
    /// [`LimitRecord`]s.
    Limits = 38: LimitRecord,
    /// [`EndpointRecord`]s.
    Endpoints = 39: EndpointRecord,
    /// [`Range`]s: lists of lists of numbers.
    Ranges = 40: Range,
    /// UTF-8 text of the source map.
    SourceStrings = 41: u8,
    /// [`SourceRecord`]s: first those of the rules, then of those that no route is left of, then delegates'.
    Sources = 42: SourceRecord,
    /// [`LocationRecord`]s.
    Locations = 43: LocationRecord,
    /// [`RemovedRecord`]s, by virtual host and position.
    Removed = 44: RemovedRecord,
    /// [`U32`]s: lists of indexes of [`SourceRecord`]s.
    Takers = 45: U32,
    /// [`WayRecord`]s.
    Ways = 46: WayRecord,
}

impl Section {
    /// Whether it only says where things come from.
    pub fn is_source_map(self) -> bool {
        matches!(
            self,
            Section::SourceStrings | Section::Sources | Section::Locations | Section::Removed | Section::Takers
        )
    }
}

records! {
    /// A redirect.
    RedirectRecord {
        /// Status code.
        status: U32,
        /// Scheme; none: the request's.
        scheme: Str,
        /// Host; none: the request's.
        authority: Str,
        /// Port, or none.
        port: U32,
        /// Whole path.
        path: Str,
        /// Replaces the matched prefix.
        prefix: Str,
    }
    /// An answer of the proxy's own.
    RespondRecord {
        /// Status code.
        status: U32,
        /// Bytes.
        body: Range,
    }
}

/// The hash of hash tables, over exact paths and domains.
pub fn hash(text: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text)
}

impl Str {
    /// No string.
    pub const NONE: Str = Str { offset: U32::new(NONE), length: U32::new(0) };

    /// Whether there is a string.
    pub fn is_some(self) -> bool {
        self.offset.get() != NONE
    }
}

impl HeaderOpsRecord {
    /// No operations.
    pub const EMPTY: HeaderOpsRecord = HeaderOpsRecord { set: Range::EMPTY, add: Range::EMPTY, remove: Range::EMPTY };
}

impl Range {
    /// No records.
    pub const EMPTY: Range = Range { first: U32::ZERO, count: U32::ZERO };
}

/// The slot of a hash table of `slots` slots (a power of two) at which the search for a key begins.
pub fn home(hash: u64, slots: usize) -> usize {
    (hash as usize & u32::MAX as usize) & slots.wrapping_sub(1)
}

/// Whether a translated pattern is within what a reader compiles.
pub fn translation_is_executable(translation: &str) -> bool {
    crate::pattern::check(translation).is_ok()
}

/// Writes the checksums of a table whose other bytes are done: the last step of writing one.
pub fn seal(bytes: &mut [u8]) {
    crate::load::seal(bytes);
}
