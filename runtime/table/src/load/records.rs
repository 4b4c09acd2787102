//! The checks of the plain records.

use super::{
    LoadError,
    check::{Broken, Check, Checker, below},
    hosts::check_route,
};
use crate::format::{
    ActionRecord, AutomatonRecord, ChainRecord, CidrRecord, ClusterRecord, ConditionRecord, CorsRecord,
    DestinationRecord, EndpointRecord, FaultRecord, ForwardRecord, HashKeyRecord, HeaderOpsRecord, HeaderValueRecord,
    LimitRecord, ListenerRecord, LocationRecord, MirrorRecord, NONE, Pair, PatternRecord, ProgramRecord, ProxyRecord,
    Range, RedirectRecord, RemovedRecord, RespondRecord, RetriesRecord, RouteRecord, RouteTableRecord, Section,
    SettingsRecord, SourceRecord, Str, TcpRouteRecord, TerminationRecord, U32, ValueTestRecord, VirtualHostRecord,
    WayRecord,
};

impl Checker<'_> {
    /// Checks every record of the table.
    pub(super) fn check_all(&self) -> Result<(), LoadError> {
        if self.count(Section::Settings) != 1 {
            return Err(LoadError::Directory("there must be one record of settings"));
        }
        if self.count(Section::Sources) < self.count(Section::Rules) {
            return Err(LoadError::Directory("the source map has fewer records than there are rules"));
        }
        self.section::<Str>(Section::Features)?;
        self.section::<Str>(Section::StringLists)?;
        self.section::<Pair>(Section::Pairs)?;
        self.section::<SettingsRecord>(Section::Settings)?;
        self.section::<ProxyRecord>(Section::Proxies)?;
        self.section::<ProgramRecord>(Section::Programs)?;
        self.section::<ListenerRecord>(Section::Listeners)?;
        self.section::<WayRecord>(Section::Ways)?;
        self.section::<ChainRecord>(Section::Chains)?;
        self.section::<CidrRecord>(Section::Cidrs)?;
        self.section::<TerminationRecord>(Section::Terminations)?;
        self.section::<TcpRouteRecord>(Section::TcpRoutes)?;
        self.section::<RouteTableRecord>(Section::RouteTables)?;
        self.section::<Range>(Section::Ranges)?;
        self.section::<AutomatonRecord>(Section::Automata)?;
        self.section::<PatternRecord>(Section::Patterns)?;
        self.section::<VirtualHostRecord>(Section::VirtualHosts)?;
        self.section::<ConditionRecord>(Section::Conditions)?;
        self.section::<ValueTestRecord>(Section::ValueTests)?;
        self.section::<ActionRecord>(Section::Actions)?;
        self.section::<HeaderOpsRecord>(Section::HeaderOps)?;
        self.section::<HeaderValueRecord>(Section::HeaderValues)?;
        self.section::<ForwardRecord>(Section::Forwards)?;
        self.section::<RedirectRecord>(Section::Redirects)?;
        self.section::<RespondRecord>(Section::Responds)?;
        self.section::<DestinationRecord>(Section::Destinations)?;
        self.section::<RetriesRecord>(Section::Retries)?;
        self.section::<MirrorRecord>(Section::Mirrors)?;
        self.section::<FaultRecord>(Section::Faults)?;
        self.section::<CorsRecord>(Section::Cors)?;
        self.section::<HashKeyRecord>(Section::HashKeys)?;
        self.section::<ClusterRecord>(Section::Clusters)?;
        self.section::<LimitRecord>(Section::Limits)?;
        self.section::<EndpointRecord>(Section::Endpoints)?;
        self.section::<SourceRecord>(Section::Sources)?;
        self.section::<LocationRecord>(Section::Locations)?;
        self.section::<RemovedRecord>(Section::Removed)
    }
}

/// What leads to the listeners of a program is found by its order.
fn ways(program: &ProgramRecord, checker: &Checker<'_>) -> Result<(), Broken> {
    checker.range(Section::Ways, program.ways)?;
    let ways: &[WayRecord] = checker.table.range(Section::Ways, program.ways);
    checker.pay(ways.len())?;
    let mut last = None;
    for way in ways {
        if way.listener.get() >= program.listeners.count.get() {
            return Err("a way leads to no listener of its program");
        }
        let key = checker.optional_str(way.key)?.unwrap_or_default();
        checker.pay_text(key)?;
        let this = (way.port.get(), way.kind.get(), key.as_bytes(), way.listener.get());
        if last.is_some_and(|last| last >= this) {
            return Err("ways are not in order");
        }
        last = Some(this);
    }
    Ok(())
}

/// Declares the checks of records whose fields can be looked at one by one.
macro_rules! checks {
    ($($record:ident($self:ident, $checker:ident) $body:block)*) => {$(
        impl Check for $record {
            fn check(&$self, $checker: &Checker<'_>, _: usize) -> Result<(), Broken> {
                $body
                Ok(())
            }
        }
    )*};
}

checks! {
    Str(self, c) { c.str(*self)?; }
    Range(self, c) { c.range(Section::Numbers, *self)?; }
    Pair(self, c) {
        c.str(self.key)?;
        c.str(self.value)?;
    }
    SettingsRecord(self, _c) {
        below(self.path_normalization, 4)?;
        below(self.forward_client_cert, 5)?;
        below(self.proxy_protocol, 2)?;
    }
    ProxyRecord(self, c) {
        below(self.role, 2)?;
        c.str(self.name)?;
        c.str(self.namespace)?;
        c.ranges(Section::Pairs, &[self.labels, self.gateways])?;
        c.index(Section::Programs, self.program)?;
    }
    ProgramRecord(self, c) {
        c.range(Section::Listeners, self.listeners)?;
        ways(self, c)?;
        c.numbers_below(self.clusters, c.count(Section::Clusters))?;
        below(self.fallback, 4)?;
        c.optional_index(Section::TcpRoutes, self.egress_bytes)?;
        c.optional_index(Section::Routes, self.egress_route)?;
        let route: Option<&RouteRecord> = c.table.record(Section::Routes, self.egress_route);
        route.map_or(Ok(()), |route| check_route(c, route, 0))?;
    }
    ListenerRecord(self, c) {
        let bound_to = c.optional_str(self.bound_to)?;
        if crate::view::bind(self.bind.get(), bound_to).is_none() {
            return Err("where it listens means nothing");
        }
        below(self.port, 65_536)?;
        below(self.fallback, 4)?;
        c.range(Section::Numbers, self.server_ports)?;
        c.str(self.protocol)?;
        c.str(self.name)?;
        c.range(Section::StringLists, self.names)?;
        c.optional_str(self.rejected)?;
        c.range(Section::Chains, self.chains)?;
    }
    WayRecord(self, c) {
        below(self.port, 65_536)?;
        below(self.kind, 4)?;
        c.optional_str(self.key)?;
    }
    ChainRecord(self, c) {
        c.range(Section::StringLists, self.server_names)?;
        c.range(Section::Cidrs, self.destinations)?;
        below(self.tls, 3)?;
        below(self.inspected, 2)?;
        c.optional_index(Section::Terminations, self.termination)?;
        below(self.filter, 2)?;
        let target = if self.filter.get() == 0 { Section::RouteTables } else { Section::TcpRoutes };
        c.index(target, self.target)?;
        c.optional_index(Section::Locations, self.location)?;
    }
    CidrRecord(self, c) {
        c.str(self.text)?;
        below(self.bits, 129)?;
    }
    TerminationRecord(self, c) {
        c.str(self.mode)?;
        c.ranges(Section::StringLists, &[self.credentials, self.cipher_suites, self.subject_alt_names])?;
        c.ranges(Section::StringLists, &[self.key_hashes, self.certificate_hashes])?;
        c.range(Section::Pairs, self.certificates)?;
        below(self.insecure_skip_verify, 2)?;
        for text in [self.ca_certificates, self.ca_credential, self.ca_crl, self.min_version, self.max_version] {
            c.optional_str(text)?;
        }
    }
    TcpRouteRecord(self, c) {
        c.range(Section::Destinations, self.destinations)?;
        c.optional_index(Section::Rules, self.rule)?;
    }
    ConditionRecord(self, c) {
        below(self.field, 7)?;
        if self.field.get() >= 4 {
            c.str(self.name)?;
        } else {
            c.optional_str(self.name)?;
        }
        self.test.check(c, 0)?;
        below(self.negated, 2)?;
    }
    ValueTestRecord(self, c) {
        below(self.kind, 4)?;
        match self.kind.get() {
            1 | 2 => c.str(self.value).map(|_| ())?,
            3 => c.index(Section::Patterns, self.pattern)?,
            _ => {}
        }
        c.optional_str(self.value)?;
    }
    ActionRecord(self, c) {
        below(self.kind, 6)?;
        match self.kind.get() {
            0 => c.index(Section::Forwards, self.target)?,
            1 => c.index(Section::Redirects, self.target)?,
            2 => c.index(Section::Responds, self.target)?,
            _ => {}
        }
        c.index(Section::HeaderOps, self.request_headers)?;
        c.index(Section::HeaderOps, self.response_headers)?;
    }
    HeaderOpsRecord(self, c) {
        c.ranges(Section::HeaderValues, &[self.set, self.add])?;
        c.range(Section::StringLists, self.remove)?;
    }
    HeaderValueRecord(self, c) {
        c.str(self.name)?;
        // It is parsed, and the parts are kept.
        c.pay_text(c.str(self.value)?)?;
    }
    ForwardRecord(self, c) {
        c.range(Section::Destinations, self.destinations)?;
        below(self.rewrite, 3)?;
        if self.rewrite.get() != 0 {
            c.str(self.replacement)?;
        }
        c.optional_str(self.replacement)?;
        if self.rewrite.get() == 2 {
            c.index(Section::Patterns, self.rewrite_pattern)?;
            let pattern: Option<&PatternRecord> = c.table.record(Section::Patterns, self.rewrite_pattern);
            if !pattern.is_some_and(|pattern| pattern.translation.is_some()) {
                return Err("a pattern to rewrite by has no translation");
            }
        }
        c.optional_str(self.authority)?;
        c.optional_index(Section::Retries, self.retries)?;
        c.range(Section::Mirrors, self.mirrors)?;
        c.optional_index(Section::Faults, self.fault)?;
        c.optional_index(Section::Cors, self.cors)?;
        c.range(Section::HashKeys, self.hash)?;
    }
    RedirectRecord(self, c) {
        below(self.status, 1000)?;
        for text in [self.scheme, self.authority, self.path, self.prefix] {
            c.optional_str(text)?;
        }
    }
    RespondRecord(self, c) {
        below(self.status, 1000)?;
        c.range(Section::Bytes, self.body)?;
    }
    DestinationRecord(self, c) {
        c.str(self.host)?;
        c.optional_str(self.subset)?;
        c.optional_index(Section::Clusters, self.cluster)?;
        c.optional_str(self.authority)?;
        c.index(Section::HeaderOps, self.request_headers)?;
        c.index(Section::HeaderOps, self.response_headers)?;
    }
    RetriesRecord(self, c) {
        c.range(Section::StringLists, self.conditions)?;
        c.numbers_below(self.status_codes, 1000)?;
        below(self.flags, 4)?;
    }
    MirrorRecord(self, c) { self.destination.check(c, 0)?; }
    FaultRecord(self, c) {
        below(self.has_abort, 2)?;
        below(self.status, 1000)?;
        c.optional_str(self.grpc_status)?;
    }
    CorsRecord(self, c) {
        c.range(Section::ValueTests, self.allow_origins)?;
        c.ranges(Section::StringLists, &[self.allow_methods, self.allow_headers, self.expose_headers])?;
        below(self.allow_credentials, 3)?;
        below(self.ignore_unmatched_preflights, 2)?;
    }
    HashKeyRecord(self, c) {
        below(self.kind, 4)?;
        if self.kind.get() != 2 {
            c.str(self.name)?;
        }
        c.optional_str(self.path)?;
    }
    ClusterRecord(self, c) {
        c.str(self.name)?;
        c.str(self.host)?;
        c.optional_str(self.subset)?;
        below(self.discovery, 5)?;
        below(self.original_port, 1 << 16)?;
        below(self.protocol, 3)?;
        c.range(Section::Endpoints, self.endpoints)?;
        below(self.load_balancer, 6)?;
        c.range(Section::Limits, self.limits)?;
        for text in [self.policy, self.rule_namespace, self.rule_name] {
            c.optional_str(text)?;
        }
    }
    LimitRecord(self, c) { c.str(self.name)?; }
    EndpointRecord(self, c) {
        for text in [self.address, self.locality, self.workload_namespace, self.workload_name] {
            c.optional_str(text)?;
        }
        below(self.port, 65_536)?;
        c.range(Section::Pairs, self.labels)?;
    }
    LocationRecord(self, c) { c.source_str(self.file)?; }
}

impl Check for RemovedRecord {
    fn check(&self, c: &Checker<'_>, index: usize) -> Result<(), Broken> {
        c.index(Section::VirtualHosts, self.virtual_host)?;
        c.index(Section::Sources, self.source)?;
        c.range(Section::Takers, self.taken_by)?;
        let takers: &[U32] = c.table.range(Section::Takers, self.taken_by);
        c.pay(takers.len())?;
        takers.iter().try_for_each(|taker| c.index(Section::Sources, *taker))?;
        let before =
            index.checked_sub(1).and_then(|before| c.table.section::<RemovedRecord>(Section::Removed).get(before));
        let is_in_order = before.is_none_or(|before| before.virtual_host.get() <= self.virtual_host.get());
        if is_in_order { Ok(()) } else { Err("removed routes are not in order") }
    }
}

impl Check for SourceRecord {
    fn check(&self, c: &Checker<'_>, index: usize) -> Result<(), Broken> {
        for text in [self.namespace, self.name, self.section, self.file] {
            c.source_str(text)?;
        }
        c.optional_source_str(self.route_name)?;
        c.optional_index(Section::Sources, self.delegate)?;
        if self.delegate.get() == NONE {
            return Ok(());
        }
        if self.delegate.get() as usize <= index {
            return Err("a delegate comes before its root");
        }
        // There is one level of them: whoever follows them may do so without end in sight.
        let sources = c.table.section::<SourceRecord>(Section::Sources);
        match sources.get(self.delegate.get() as usize) {
            Some(delegate) if delegate.delegate.get() != NONE => Err("a delegate delegates"),
            _ => Ok(()),
        }
    }
}
