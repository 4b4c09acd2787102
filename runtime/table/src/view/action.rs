use super::{Cluster, Views, at, view};
use crate::{
    Table,
    format::{HashKeyRecord, HeaderOpsRecord, PatternRecord, Section, U32, ValueTestRecord},
    http::{RedirectTo, Template},
    table::{index, time},
};
use regex::bytes::Regex;
use std::time::Duration;

view! {
    /// What a route does.
    Action, ActionRecord, Actions
}

view! {
    /// Everything about sending a request upstream.
    Forward, ForwardRecord, Forwards
}

view! {
    /// One place a request or connection may go.
    Destination, DestinationRecord, Destinations
}

view! {
    /// Header operations of one level.
    HeaderOps, HeaderOpsRecord, HeaderOps
}

view! {
    /// A header and the value to give it.
    HeaderOperation, HeaderValueRecord, HeaderValues
}

view! {
    /// A redirect (semantics C.3).
    Redirect, RedirectRecord, Redirects
}

view! {
    /// An answer of the proxy's own (semantics C.4).
    Respond, RespondRecord, Responds
}

view! {
    /// Retry policy, in force (semantics C.7).
    Retries, RetriesRecord, Retries
}

view! {
    /// A copy of the request (semantics C.9).
    Mirror, MirrorRecord, Mirrors
}

view! {
    /// Injected faults (semantics C.8).
    Fault, FaultRecord, Faults
}

view! {
    /// CORS policy (semantics C.10).
    Cors, CorsRecord, Cors
}

/// The end that a route gives to a request.
#[derive(Clone, Copy, Debug)]
pub enum ActionKind<'t> {
    /// To an upstream.
    Forward(Forward<'t>),
    /// A redirect.
    Redirect(Redirect<'t>),
    /// An answer of the proxy's own.
    Respond(Respond<'t>),
    /// To where the client meant it to go (semantics B39).
    Passthrough,
    /// To its Host, by DNS (`ALLOW_ANY_DYNAMIC_DNS`, semantics B39).
    ByHost,
    /// 502 of `REGISTRY_ONLY` (semantics B39).
    Blackhole,
}

impl<'t> Action<'t> {
    /// The end of it.
    pub fn kind(&self) -> ActionKind<'t> {
        let target = self.record.target.get();
        let kind = match self.record.kind.get() {
            0 => at(self.table, target).map(ActionKind::Forward),
            1 => at(self.table, target).map(ActionKind::Redirect),
            2 => at(self.table, target).map(ActionKind::Respond),
            3 => Some(ActionKind::Passthrough),
            5 => Some(ActionKind::ByHost),
            _ => None,
        };
        kind.unwrap_or(ActionKind::Blackhole)
    }

    /// Operations of the route level.
    pub fn request_headers(&self) -> HeaderOps<'t> {
        header_ops(self.table, self.record.request_headers)
    }

    /// Operations of the route level.
    pub fn response_headers(&self) -> HeaderOps<'t> {
        header_ops(self.table, self.record.response_headers)
    }
}

fn header_ops(table: &Table, number: U32) -> HeaderOps<'_> {
    const EMPTY: &HeaderOpsRecord = &HeaderOpsRecord::EMPTY;
    at(table, number.get()).unwrap_or_else(|| super::View::new(table, EMPTY, number.get()))
}

/// What happens to the path (semantics C.2). The query is kept.
#[derive(Clone, Copy, Debug)]
pub enum PathRewrite<'t> {
    /// Replaces what the route's path test matched: see [`Route::matched`](super::Route::matched).
    Matched(&'t str),
    /// Replaces every match of the pattern (semantics C14).
    Regex {
        /// Searched for, unanchored; none where the translation is beyond the limits of the regex engine, which the
        /// loader does not let in.
        pattern: Option<&'t Regex>,
        /// As the file has it.
        text: &'t str,
        /// With `\\0` to `\\9`.
        substitution: &'t str,
    },
}

impl<'t> Forward<'t> {
    /// One, or several with weights over 0 (semantics C6, C7).
    pub fn destinations(&self) -> Views<'t, Destination<'t>> {
        Views::range(self.table, self.record.destinations)
    }

    /// What happens to the path.
    pub fn path_rewrite(&self) -> Option<PathRewrite<'t>> {
        let replacement = self.table.str(self.record.replacement);
        match self.record.rewrite.get() {
            1 => Some(PathRewrite::Matched(replacement)),
            2 => {
                let number = self.record.rewrite_pattern;
                let record = self.table.record::<PatternRecord>(Section::Patterns, number);
                Some(PathRewrite::Regex {
                    pattern: self.table.regex(number),
                    text: record.map_or("", |record| self.table.str(record.text)),
                    substitution: replacement,
                })
            }
            _ => None,
        }
    }

    /// The Host that the upstream sees, of the route level.
    pub fn authority(&self) -> Option<&'t str> {
        self.table.optional_str(self.record.authority)
    }

    /// None: no limit.
    pub fn timeout(&self) -> Option<Duration> {
        time(self.record.timeout)
    }

    /// Effective, defaults included; none: no retries.
    pub fn retries(&self) -> Option<Retries<'t>> {
        at(self.table, index(self.record.retries)?)
    }

    /// Copies.
    pub fn mirrors(&self) -> Views<'t, Mirror<'t>> {
        Views::range(self.table, self.record.mirrors)
    }

    /// Injected faults.
    pub fn fault(&self) -> Option<Fault<'t>> {
        at(self.table, index(self.record.fault)?)
    }

    /// CORS policy.
    pub fn cors(&self) -> Option<Cors<'t>> {
        at(self.table, index(self.record.cors)?)
    }

    /// How the route's hash is computed, of all its destinations (semantics D23).
    pub fn hash(&self) -> impl ExactSizeIterator<Item = HashKey<'t>> {
        let table = self.table;
        let keys: &[HashKeyRecord] = table.range(Section::HashKeys, self.record.hash);
        keys.iter().map(move |key| hash_key(table, key))
    }
}

impl<'t> Destination<'t> {
    /// Fully qualified.
    pub fn host(&self) -> &'t str {
        self.table.str(self.record.host)
    }

    /// Service port.
    pub fn port(&self) -> u32 {
        self.record.port.get()
    }

    /// Subset.
    pub fn subset(&self) -> Option<&'t str> {
        self.table.optional_str(self.record.subset)
    }

    /// Share of the draws.
    pub fn weight(&self) -> u32 {
        self.record.weight.get()
    }

    /// Its cluster; none: there is no such cluster (503 NC).
    pub fn cluster(&self) -> Option<Cluster<'t>> {
        at(self.table, index(self.record.cluster)?)
    }

    /// The Host that the upstream sees, of the destination level; loses to the route's (semantics C16).
    pub fn authority(&self) -> Option<&'t str> {
        self.table.optional_str(self.record.authority)
    }

    /// Operations of the destination level.
    pub fn request_headers(&self) -> HeaderOps<'t> {
        header_ops(self.table, self.record.request_headers)
    }

    /// Operations of the destination level.
    pub fn response_headers(&self) -> HeaderOps<'t> {
        header_ops(self.table, self.record.response_headers)
    }
}

impl<'t> HeaderOps<'t> {
    /// Replaced or created, by name.
    pub fn set(&self) -> Views<'t, HeaderOperation<'t>> {
        Views::range(self.table, self.record.set)
    }

    /// Appended, by name.
    pub fn add(&self) -> Views<'t, HeaderOperation<'t>> {
        Views::range(self.table, self.record.add)
    }

    /// Removed, sorted.
    pub fn remove(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.remove)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set().is_empty() && self.add().is_empty() && self.remove().len() == 0
    }
}

impl<'t> HeaderOperation<'t> {
    /// Name.
    pub fn name(&self) -> &'t str {
        self.table.str(self.record.name)
    }

    /// The value as the file has it.
    pub fn text(&self) -> &'t str {
        self.table.str(self.record.value)
    }

    /// The value, parsed when the table was loaded; none: it is its text, as there is no `%` in it.
    pub fn template(&self) -> Option<&'t Template> {
        self.table.templates.get(self.index() as usize)?.as_ref()
    }
}

impl<'t> Redirect<'t> {
    /// 301, 302, 303, 307 or 308.
    pub fn status(&self) -> u16 {
        self.record.status.get() as u16
    }

    /// What it changes, for [`redirect_location`](crate::http::redirect_location).
    pub fn to(&self) -> RedirectTo<'t> {
        RedirectTo {
            scheme: self.table.optional_str(self.record.scheme),
            authority: self.table.optional_str(self.record.authority),
            port: index(self.record.port),
            path: self.table.optional_str(self.record.path),
            prefix: self.table.optional_str(self.record.prefix),
        }
    }
}

impl<'t> Respond<'t> {
    /// Status code.
    pub fn status(&self) -> u16 {
        self.record.status.get() as u16
    }

    /// Body, perhaps empty.
    pub fn body(&self) -> &'t [u8] {
        self.table.range(Section::Bytes, self.record.body)
    }
}

impl<'t> Retries<'t> {
    /// Tries after the first.
    pub fn attempts(&self) -> u32 {
        self.record.attempts.get()
    }

    /// Limit of each try.
    pub fn per_try_timeout(&self) -> Option<Duration> {
        time(self.record.per_try_timeout)
    }

    /// Condition names, without status codes.
    pub fn conditions(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.conditions)
    }

    /// Status codes of `retriable-status-codes`.
    pub fn status_codes(&self) -> impl ExactSizeIterator<Item = u16> + Clone + 't {
        self.table.numbers(self.record.status_codes).iter().map(|code| code.get() as u16)
    }

    /// Base of the back-off; none: 25 ms.
    pub fn backoff(&self) -> Option<Duration> {
        time(self.record.backoff)
    }

    /// Hosts already tried are avoided (semantics C57).
    pub fn avoids_previous_hosts(&self) -> bool {
        self.record.flags.get() & 1 != 0
    }

    /// Moves to other priorities (semantics C58).
    pub fn tries_remote_localities(&self) -> bool {
        self.record.flags.get() & 2 != 0
    }
}

impl<'t> Mirror<'t> {
    /// Where to; its weight means nothing.
    pub fn destination(&self) -> Destination<'t> {
        super::View::new(self.table, &self.record.destination, self.index())
    }

    /// In parts per million.
    pub fn per_million(&self) -> u32 {
        self.record.per_million.get()
    }
}

/// Injected delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// How long.
    pub duration: Duration,
    /// In parts per million.
    pub per_million: u32,
}

/// Injected answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort<'t> {
    /// HTTP status.
    pub status: Option<u16>,
    /// Name of the gRPC status.
    pub grpc_status: Option<&'t str>,
    /// In parts per million.
    pub per_million: u32,
}

impl<'t> Fault<'t> {
    /// Before routing.
    pub fn delay(&self) -> Option<Delay> {
        let duration = time(self.record.delay)?;
        Some(Delay { duration, per_million: self.record.delay_per_million.get() })
    }

    /// Instead of routing.
    pub fn abort(&self) -> Option<Abort<'t>> {
        (self.record.has_abort.get() == 1).then(|| Abort {
            status: Some(self.record.status.get() as u16).filter(|&status| status != 0),
            grpc_status: self.table.optional_str(self.record.grpc_status),
            per_million: self.record.abort_per_million.get(),
        })
    }
}

/// What a value must be.
#[derive(Clone, Copy)]
pub struct ValueTest<'t> {
    pub(crate) table: &'t Table,
    pub(crate) record: &'t ValueTestRecord,
}

impl std::fmt::Debug for ValueTest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind().fmt(f)
    }
}

/// What a value must be, spelled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueTestKind<'t> {
    /// There is a value, perhaps empty.
    Present,
    /// Exactly this.
    Exact(&'t str),
    /// Begins with this.
    Prefix(&'t str),
    /// The whole value is in the pattern's language; the pattern as the file has it.
    Regex(&'t str),
}

impl<'t> ValueTest<'t> {
    /// The test, to be shown.
    pub fn kind(&self) -> ValueTestKind<'t> {
        match self.record.kind.get() {
            0 => ValueTestKind::Present,
            1 => ValueTestKind::Exact(self.table.str(self.record.value)),
            2 => ValueTestKind::Prefix(self.table.str(self.record.value)),
            _ => {
                let record = self.table.record::<PatternRecord>(Section::Patterns, self.record.pattern);
                ValueTestKind::Regex(record.map_or("", |record| self.table.str(record.text)))
            }
        }
    }

    /// Whether a value passes.
    pub fn holds(&self, value: &[u8]) -> bool {
        match self.record.kind.get() {
            0 => true,
            1 => value == self.table.str_bytes(self.record.value),
            2 => value.starts_with(self.table.str_bytes(self.record.value)),
            _ => crate::pattern::is_full_match(self.table, self.record.pattern, value),
        }
    }
}

impl<'t> Cors<'t> {
    /// Origins: any of these.
    pub fn allow_origins(&self) -> impl ExactSizeIterator<Item = ValueTest<'t>> {
        let table = self.table;
        let origins: &[ValueTestRecord] = table.range(Section::ValueTests, self.record.allow_origins);
        origins.iter().map(move |record| ValueTest { table, record })
    }

    /// Methods.
    pub fn allow_methods(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.allow_methods)
    }

    /// Headers.
    pub fn allow_headers(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.allow_headers)
    }

    /// Headers.
    pub fn expose_headers(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.expose_headers)
    }

    /// In whole seconds.
    pub fn max_age(&self) -> Option<Duration> {
        time(self.record.max_age)
    }

    /// Where said.
    pub fn allow_credentials(&self) -> Option<bool> {
        match self.record.allow_credentials.get() {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// IGNORE instead of FORWARD (semantics C80).
    pub fn ignores_unmatched_preflights(&self) -> bool {
        self.record.ignore_unmatched_preflights.get() == 1
    }
}

/// What a consistent hash reads (semantics D21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKey<'t> {
    /// The lines of a header.
    Header(&'t str),
    /// A cookie; with a ttl it is set where absent (semantics D22).
    Cookie {
        /// Name.
        name: &'t str,
        /// Path.
        path: Option<&'t str>,
        /// Zero: a session cookie.
        ttl: Option<Duration>,
    },
    /// The client's address.
    SourceIp,
    /// A query parameter.
    QueryParameter(&'t str),
}

fn hash_key<'t>(table: &'t Table, record: &HashKeyRecord) -> HashKey<'t> {
    let name = table.str(record.name);
    match record.kind.get() {
        0 => HashKey::Header(name),
        1 => HashKey::Cookie { name, path: table.optional_str(record.path), ttl: time(record.ttl) },
        2 => HashKey::SourceIp,
        _ => HashKey::QueryParameter(name),
    }
}
