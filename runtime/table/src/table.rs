//! A loaded table, and how its sections are read in place.

use crate::{
    format::{self, NO_TIME, NONE, Range, Section, Str, U32},
    http::{ForwardClientCert, GatewayTopology, HttpSettings, PathNormalization, Template},
    view::{Chain, Cluster, Listener, Proxy, Retries, Route, Rule, Views},
};
use regex::bytes::Regex;
use std::{fmt, sync::OnceLock, time::Duration};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// A decision table: checked once, then read as it lies.
///
/// What it hands out are views: a reference to the table and a place in it, cheap to copy. Nothing here panics or
/// decodes; what a broken reference would name is absent (the loader lets none in).
pub struct Table {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sections: [(usize, usize); Section::ALL.len()],
    pub(crate) templates: Vec<Option<Template>>,
    pub(crate) regexes: Vec<OnceLock<Option<Regex>>>,
    pub(crate) program: u64,
    pub(crate) checksum: u64,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table {{ program: {:016x}, bytes: {} }}", self.program, self.bytes.len())
    }
}

impl Table {
    /// The proxies, by role, namespace and name.
    pub fn proxies(&self) -> Views<'_, Proxy<'_>> {
        Views::all(self)
    }

    /// Every rule, by index: what hit counters hang on.
    pub fn rules(&self) -> Views<'_, Rule<'_>> {
        Views::all(self)
    }

    /// Every cluster of every proxy, by index.
    pub fn clusters(&self) -> Views<'_, Cluster<'_>> {
        Views::all(self)
    }

    /// Every route, by index.
    pub fn routes(&self) -> Views<'_, Route<'_>> {
        Views::all(self)
    }

    /// Every retry policy, by index.
    pub fn retries(&self) -> Views<'_, Retries<'_>> {
        Views::all(self)
    }

    /// Every listener, by index.
    pub fn listeners(&self) -> Views<'_, Listener<'_>> {
        Views::all(self)
    }

    /// Every filter chain, by index.
    pub fn chains(&self) -> Views<'_, Chain<'_>> {
        Views::all(self)
    }

    /// A number for everything but the source map: equal if nothing moved but lines and rules that no request reaches.
    pub fn program_hash(&self) -> u64 {
        self.program
    }

    /// A number for the whole file.
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The file, as loaded.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The features that a reader needs, by name.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.section::<Str>(Section::Features).iter().map(|name| self.str(*name))
    }

    /// How paths are normalised before matching.
    pub fn path_normalization(&self) -> PathNormalization {
        let record = self.section::<format::SettingsRecord>(Section::Settings).first();
        match record.map_or(1, |record| record.path_normalization.get()) {
            0 => PathNormalization::None,
            2 => PathNormalization::MergeSlashes,
            3 => PathNormalization::DecodeAndMergeSlashes,
            _ => PathNormalization::Base,
        }
    }

    /// How long until a name is looked up again whose answer does not say how long it holds, or that nobody could answer
    /// (semantics E5); none: a minute.
    pub fn dns_refresh(&self) -> Option<Duration> {
        time(self.section::<format::SettingsRecord>(Section::Settings).first()?.dns_refresh)
    }

    /// What gateways take from whoever stands in front of them.
    pub fn gateway_topology(&self) -> GatewayTopology {
        let record = self.section::<format::SettingsRecord>(Section::Settings).first();
        record.map_or(GatewayTopology::default(), |record| GatewayTopology {
            trusted_proxies: record.trusted_proxies.get(),
            client_cert: ForwardClientCert::numbered(record.forward_client_cert.get()),
            proxy_protocol: record.proxy_protocol.get() == 1,
        })
    }

    /// How a proxy of that role takes HTTP.
    pub fn http_settings(&self, role: crate::Role) -> HttpSettings {
        HttpSettings::of(role, self.path_normalization(), self.gateway_topology())
    }

    pub(crate) fn section_bytes(&self, section: Section) -> &[u8] {
        let (start, end) = self.sections.get(section as usize).copied().unwrap_or_default();
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub(crate) fn section<T: FromBytes + Immutable + KnownLayout>(&self, section: Section) -> &[T] {
        <[T]>::ref_from_bytes(self.section_bytes(section)).unwrap_or_default()
    }

    pub(crate) fn range<T: FromBytes + Immutable + KnownLayout>(&self, section: Section, range: Range) -> &[T] {
        let first = range.first.get() as usize;
        self.section(section).get(first..first + range.count.get() as usize).unwrap_or_default()
    }

    pub(crate) fn record<T: FromBytes + Immutable + KnownLayout>(&self, section: Section, index: U32) -> Option<&T> {
        self.section(section).get(index.get() as usize)
    }

    pub(crate) fn numbers(&self, range: Range) -> &[U32] {
        self.range(Section::Numbers, range)
    }

    /// The text of a string of the program, empty for none.
    pub(crate) fn str(&self, text: Str) -> &str {
        pool_str(self.section_bytes(Section::Strings), text)
    }

    pub(crate) fn source_str(&self, text: Str) -> &str {
        pool_str(self.section_bytes(Section::SourceStrings), text)
    }

    pub(crate) fn optional_str(&self, text: Str) -> Option<&str> {
        text.is_some().then(|| self.str(text))
    }

    /// The bytes of a string, for comparison: without a look at whether they are UTF-8.
    pub(crate) fn str_bytes(&self, text: Str) -> &[u8] {
        pool_bytes(self.section_bytes(Section::Strings), text)
    }

    pub(crate) fn strs(&self, range: Range) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.range::<Str>(Section::StringLists, range).iter().map(|text| self.str(*text))
    }

    /// The compiled translation of a pattern; none if it has none.
    pub(crate) fn regex(&self, pattern: U32) -> Option<&Regex> {
        let cell = self.regexes.get(pattern.get() as usize)?;
        let compile = || {
            let record: &format::PatternRecord = self.record(Section::Patterns, pattern)?;
            crate::pattern::compile(self.optional_str(record.translation)?).ok()
        };
        cell.get_or_init(compile).as_ref()
    }
}

fn pool_bytes(pool: &[u8], text: Str) -> &[u8] {
    let start = text.offset.get() as usize;
    pool.get(start..start + text.length.get() as usize).unwrap_or_default()
}

fn pool_str(pool: &[u8], text: Str) -> &str {
    std::str::from_utf8(pool_bytes(pool, text)).unwrap_or_default()
}

pub(crate) fn index(number: U32) -> Option<u32> {
    Some(number.get()).filter(|&number| number != NONE)
}

pub(crate) fn time(nanoseconds: format::U64) -> Option<Duration> {
    Some(nanoseconds.get()).filter(|&nanoseconds| nanoseconds != NO_TIME).map(Duration::from_nanos)
}
