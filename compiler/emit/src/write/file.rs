//! The file as a whole: header, directory, sections.

use super::{EmitError, SourceMap, Writer};
use malha_table::format::{self, Header, MAGIC, Section, SectionEntry, U32, U64, VERSION};
use zerocopy::IntoBytes;

macro_rules! writer {
    ($origin:expr, $($field:ident),*) => {
        Writer {
            features: Default::default(),
            source_map: SourceMap::new($origin),
            automata_by_patterns: Default::default(),
            patterns_by_text: Default::default(),
            no_header_ops: None,
            in_program: Default::default(),
            $($field: Default::default(),)*
        }
    };
}

impl<'o> Writer<'o> {
    pub(super) fn new(origin: super::source::Sources<'o>) -> Self {
        writer!(
            origin,
            strings,
            string_lists,
            numbers,
            ranges,
            bytes,
            pairs,
            settings,
            proxies,
            programs,
            listeners,
            chains,
            ways,
            cidrs,
            terminations,
            tcp_routes,
            route_tables,
            domain_slots,
            virtual_hosts,
            path_slots,
            path_entries,
            routes,
            conditions,
            value_tests,
            patterns,
            automata,
            actions,
            header_ops,
            header_values,
            forwards,
            redirects,
            responds,
            destinations,
            retries,
            mirrors,
            faults,
            cors,
            hash_keys,
            clusters,
            limits,
            endpoints
        )
    }

    /// The bytes of the table.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, EmitError> {
        let mut features = Vec::with_capacity(self.features.len());
        for name in std::mem::take(&mut self.features) {
            features.push(self.strings.str(name)?);
        }
        let map = self.source_map.finish()?;
        let content = |section| match section {
            Section::Features => features.as_bytes(),
            Section::Strings => self.strings.as_bytes(),
            Section::StringLists => self.string_lists.as_bytes(),
            Section::Numbers => self.numbers.as_bytes(),
            Section::Bytes => self.bytes.as_bytes(),
            Section::Pairs => self.pairs.as_bytes(),
            Section::Settings => self.settings.as_bytes(),
            Section::Proxies => self.proxies.as_bytes(),
            Section::Programs => self.programs.as_bytes(),
            Section::Listeners => self.listeners.as_bytes(),
            Section::Chains => self.chains.as_bytes(),
            Section::Ways => self.ways.as_bytes(),
            Section::Cidrs => self.cidrs.as_bytes(),
            Section::Terminations => self.terminations.as_bytes(),
            Section::TcpRoutes => self.tcp_routes.as_bytes(),
            Section::RouteTables => self.route_tables.as_bytes(),
            Section::DomainSlots => self.domain_slots.as_bytes(),
            Section::VirtualHosts => self.virtual_hosts.as_bytes(),
            Section::PathSlots => self.path_slots.as_bytes(),
            Section::PathEntries => self.path_entries.as_bytes(),
            Section::Routes => self.routes.as_bytes(),
            Section::Conditions => self.conditions.as_bytes(),
            Section::ValueTests => self.value_tests.as_bytes(),
            Section::Patterns => self.patterns.as_bytes(),
            Section::Automata => self.automata.as_bytes(),
            Section::Rules => map.rules.as_bytes(),
            Section::Actions => self.actions.as_bytes(),
            Section::HeaderOps => self.header_ops.as_bytes(),
            Section::HeaderValues => self.header_values.as_bytes(),
            Section::Forwards => self.forwards.as_bytes(),
            Section::Redirects => self.redirects.as_bytes(),
            Section::Responds => self.responds.as_bytes(),
            Section::Destinations => self.destinations.as_bytes(),
            Section::Retries => self.retries.as_bytes(),
            Section::Mirrors => self.mirrors.as_bytes(),
            Section::Faults => self.faults.as_bytes(),
            Section::Cors => self.cors.as_bytes(),
            Section::HashKeys => self.hash_keys.as_bytes(),
            Section::Clusters => self.clusters.as_bytes(),
            Section::Limits => self.limits.as_bytes(),
            Section::Endpoints => self.endpoints.as_bytes(),
            Section::Ranges => self.ranges.as_bytes(),
            Section::SourceStrings => map.strings.as_bytes(),
            Section::Sources => map.sources.as_bytes(),
            Section::Locations => map.locations.as_bytes(),
            Section::Removed => map.removed.as_bytes(),
            Section::Takers => map.takers.as_bytes(),
        };
        Ok(assemble(content))
    }
}

/// Sections that hold nothing are left out.
fn assemble<'s>(content: impl Fn(Section) -> &'s [u8]) -> Vec<u8> {
    const ALIGNMENT: usize = 8;
    let sections: Vec<(Section, &[u8])> = Section::ALL
        .iter()
        .map(|section| (*section, content(*section)))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    let mut directory = Vec::with_capacity(sections.len());
    let mut end = size_of::<Header>() + sections.len() * size_of::<SectionEntry>();
    for (section, bytes) in &sections {
        let offset = end.next_multiple_of(ALIGNMENT);
        end = offset + bytes.len();
        directory.push(SectionEntry {
            kind: U32::new(*section as u32),
            reserved: U32::ZERO,
            offset: U64::new(offset as u64),
            length: U64::new(bytes.len() as u64),
        });
    }
    let header = Header {
        magic: MAGIC,
        version: U32::new(VERSION),
        sections: U32::new(sections.len() as u32),
        length: U64::new(end as u64),
        ..Header::default()
    };
    let mut file = Vec::with_capacity(end);
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(directory.as_bytes());
    for (_, bytes) in &sections {
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file.extend_from_slice(bytes);
    }
    format::seal(&mut file);
    file
}
