//! Route tables, virtual hosts and routes.

use super::{EmitError, Writer, fallback, flag, none, paths};
use hashbrown::HashMap;
use malha_algebra::PathTest;
use malha_mesh::analysis::{Unreached, unreached};
use malha_mesh::program::{Origin, Route, RouteTable, VirtualHost};
use malha_table::format::{self, DomainSlot, RouteRecord, RouteTableRecord, Str, U32, VirtualHostRecord};
use std::sync::Arc;

impl Writer<'_> {
    pub(super) fn route_table(&mut self, table: &RouteTable) -> Result<U32, EmitError> {
        let mut hosts: Vec<&Arc<VirtualHost>> = table.virtual_hosts.iter().collect();
        hosts.sort_by(|one, other| one.domains.cmp(&other.domains));
        let mut numbers = Vec::with_capacity(hosts.len());
        let mut default_host = none();
        let mut lengths = Vec::new();
        let mut keys = Vec::new();
        for host in hosts {
            let number = self.virtual_host(host)?;
            numbers.push(number);
            for domain in &host.domains {
                if domain == "*" {
                    default_host = number;
                    continue;
                }
                let suffix = domain.strip_prefix('*');
                lengths.extend(suffix.map(|suffix| suffix.len() as u32));
                let hash = format::hash(suffix.unwrap_or(domain).as_bytes());
                let slot = DomainSlot {
                    domain: self.strings.str(domain)?,
                    virtual_host: number,
                    hash: U32::new((hash >> 32) as u32),
                };
                keys.push((hash, slot));
            }
        }
        lengths.sort_unstable_by(|one, other| other.cmp(one));
        lengths.dedup();
        let empty = DomainSlot { domain: Str::NONE, virtual_host: none(), hash: U32::ZERO };
        let slots = paths::hash_table(&keys, empty, |slot| !slot.domain.is_some());
        let record = RouteTableRecord {
            name: self.strings.str(&table.name)?,
            counts_ports: flag(table.counts_ports),
            virtual_hosts: self.numbers.list(&numbers)?,
            domains: self.domain_slots.list(&slots)?,
            suffix_lengths: self.number_list(lengths)?,
            default_host,
        };
        self.route_tables.one(record)
    }

    fn virtual_host(&mut self, host: &Arc<VirtualHost>) -> Result<U32, EmitError> {
        if let Some(known) = self.in_program.virtual_hosts.get(&Arc::as_ptr(host)) {
            return Ok(*known);
        }
        let unreached = unreached(host);
        let kept = kept(&host.routes, unreached);
        let mut routes = Vec::with_capacity(kept.len());
        let mut conditions = Conditions::default();
        for route in &kept {
            routes.push(self.route(route, &mut conditions)?);
        }
        let index = self.path_index(&kept)?;
        let record = VirtualHostRecord {
            domains: self.string_list(&host.domains)?,
            require_tls: flag(host.require_tls),
            catch_all: host.catch_all.map_or(U32::ZERO, |kind| U32::new(fallback(kind).get() + 1)),
            routes: self.routes.list(&routes)?,
            conditions: self.numbers.list(&conditions.list)?,
            ..index
        };
        let number = self.virtual_hosts.one(record)?;
        for removed in unreached {
            let origin = |route: usize| host.routes.get(route)?.origin.as_deref();
            if let Some(own) = origin(removed.route) {
                let taken_by = removed.taken_by.iter().filter_map(|route| origin(*route));
                self.source_map.removed(number, removed.route, own, taken_by)?;
            }
        }
        self.in_program.virtual_hosts.insert(Arc::as_ptr(host), number);
        Ok(number)
    }

    /// A route that is in no virtual host, and asks for nothing.
    pub(super) fn lone_route(&mut self, route: &Route) -> Result<U32, EmitError> {
        let record = self.route(route, &mut Conditions::default())?;
        self.routes.one(record)
    }

    fn route(&mut self, route: &Route, conditions: &mut Conditions) -> Result<RouteRecord, EmitError> {
        let mut local = Vec::with_capacity(route.predicate.conditions.len());
        for condition in &route.predicate.conditions {
            let number = self.condition(condition)?;
            local.push(conditions.local(number));
        }
        let (path_test, ignore_case, path, pattern) = match &route.predicate.path {
            PathTest::Any => (0, false, Str::NONE, none()),
            PathTest::Exact { value, ignore_case } => (1, *ignore_case, self.strings.str(value)?, none()),
            PathTest::Prefix { value, ignore_case } => (2, *ignore_case, self.strings.str(value)?, none()),
            PathTest::Regex(pattern) => (3, false, Str::NONE, self.pattern(pattern)?),
        };
        Ok(RouteRecord {
            path_test: U32::new(path_test),
            ignore_case: flag(ignore_case),
            path,
            pattern,
            conditions: self.numbers.list(&local)?,
            action: self.action(&route.action)?,
            rule: self.rule(route.origin.as_ref())?,
        })
    }

    pub(super) fn rule(&mut self, origin: Option<&Arc<Origin>>) -> Result<U32, EmitError> {
        let Some(origin) = origin else { return Ok(none()) };
        if let Some(known) = self.in_program.rules.get(&Arc::as_ptr(origin)) {
            return Ok(*known);
        }
        let number = self.source_map.rule(origin)?;
        self.in_program.rules.insert(Arc::as_ptr(origin), number);
        Ok(number)
    }
}

/// The routes that some request may come to: a table can do without the others.
fn kept<'r>(routes: &'r [Route], unreached: &[Unreached]) -> Vec<&'r Route> {
    let mut removed = unreached.iter().map(|removed| removed.route).peekable();
    let is_kept = |(number, _): &(usize, &Route)| removed.next_if_eq(number).is_none();
    routes.iter().enumerate().filter(is_kept).map(|(_, route)| route).collect()
}

/// The distinct conditions of a virtual host, in order of their first use.
#[derive(Default)]
struct Conditions {
    list: Vec<U32>,
    local: HashMap<u32, u32>,
}

impl Conditions {
    fn local(&mut self, number: U32) -> U32 {
        let next = self.list.len() as u32;
        let local = *self.local.entry(number.get()).or_insert(next);
        if local == next {
            self.list.push(number);
        }
        U32::new(local)
    }
}
