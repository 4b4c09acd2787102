//! Listeners and filter chains.

use super::{EmitError, Writer, fallback, flag, none};
use malha_mesh::program::{Filter, FilterChain, Listener, ProxyProgram, TcpRoute, Termination};
use malha_table::{
    Bind,
    format::{
        ChainRecord, CidrRecord, ListenerRecord, Range, Str, TcpRouteRecord, TerminationRecord, U32, WayRecord, way,
    },
};
use smol_str::{SmolStr, format_smolstr};
use std::net::IpAddr;

impl Writer<'_> {
    pub(super) fn listener(
        &mut self,
        program: &ProxyProgram,
        listener: &Listener,
    ) -> Result<ListenerRecord, EmitError> {
        let mut chains = Vec::new();
        // The chains of a rejected listener are not executed, and may hold what a table cannot.
        if listener.rejected.is_none() {
            for chain in &listener.filter_chains {
                chains.extend(self.chain(program, chain)?);
            }
        }
        let (bind, bound_to) = match &listener.bind {
            Bind::Any => (0, Str::NONE),
            Bind::Address(address) => (1, self.strings.str(&address.to_string())?),
            Bind::Service(name) => (2, self.strings.str(name)?),
            Bind::OtherNames => (3, Str::NONE),
            Bind::Socket(socket) => (4, self.strings.str(socket)?),
        };
        Ok(ListenerRecord {
            bind: U32::new(bind),
            bound_to,
            port: U32::new(listener.port),
            fallback: fallback(listener.fallback),
            server_ports: self.number_list(listener.server_ports.iter().copied())?,
            protocol: self.strings.str(&listener.protocol)?,
            name: self.strings.str(&listener.name)?,
            names: self.string_list(&listener.names)?,
            rejected: self.strings.optional(listener.rejected.as_deref())?,
            chains: self.chains.list(&chains)?,
        })
    }

    /// What leads to each of a program's listeners: where it is bound, and its names.
    pub(super) fn ways(&mut self, listeners: &[Listener]) -> Result<Range, EmitError> {
        let mut ways: Vec<(u32, u32, SmolStr, u32)> = Vec::new();
        for (at, listener) in (0..).zip(listeners) {
            let bound = match &listener.bind {
                Bind::Any => Some((way::ANY_ADDRESS, SmolStr::default())),
                Bind::Address(address) => Some((way::ADDRESS, format_smolstr!("{address}"))),
                Bind::OtherNames => Some((way::OTHER_NAMES, SmolStr::default())),
                Bind::Service(_) | Bind::Socket(_) => None,
            };
            ways.extend(bound.map(|(kind, key)| (listener.port, kind, key, at)));
            ways.extend(listener.names.iter().map(|name| (listener.port, way::NAME, name.clone(), at)));
        }
        ways.sort_unstable();
        ways.dedup();
        let mut records = Vec::with_capacity(ways.len());
        for (port, kind, key, listener) in ways {
            let key = if key.is_empty() { Str::NONE } else { self.strings.str(&key)? };
            records.push(WayRecord { port: port.into(), kind: kind.into(), key, listener: listener.into() });
        }
        self.ways.list(&records)
    }

    /// None for a chain that takes nothing: all its destination ranges mean nothing.
    fn chain(&mut self, program: &ProxyProgram, chain: &FilterChain) -> Result<Option<ChainRecord>, EmitError> {
        let destinations = self.cidr_list(chain)?;
        if destinations.count.get() == 0 && !chain.destinations.is_empty() {
            return Ok(None);
        }
        if chain.tls.is_some() || !chain.server_names.is_empty() || chain.termination.is_some() {
            self.features.insert("tls-routing");
        }
        let (filter, target) = match &chain.filter {
            Filter::Http(index) => {
                self.features.insert("http");
                let table = program.route_tables.get(*index);
                let table = table.ok_or_else(|| EmitError::Dangling(format!("route table {index}")))?;
                (0, self.route_table(table)?)
            }
            Filter::Tcp(route) => {
                self.features.insert("tcp");
                (1, self.tcp_route(route)?)
            }
        };
        Ok(Some(ChainRecord {
            server_names: self.string_list(&chain.server_names)?,
            destinations,
            tls: U32::new(chain.tls.map_or(2, u32::from)),
            inspected: flag(chain.inspected),
            termination: match &chain.termination {
                Some(termination) => self.termination(termination)?,
                None => none(),
            },
            filter: U32::new(filter),
            target,
            location: match chain.location {
                Some(location) => self.source_map.location(location)?,
                None => none(),
            },
        }))
    }

    fn cidr_list(&mut self, chain: &FilterChain) -> Result<Range, EmitError> {
        let mut list = Vec::new();
        for text in &chain.destinations {
            if let Some((address, bits)) = parse_range(text) {
                list.push(CidrRecord { text: self.strings.str(text)?, address, bits: U32::new(bits) });
            }
        }
        self.cidrs.list(&list)
    }

    pub(super) fn tcp_route(&mut self, route: &TcpRoute) -> Result<U32, EmitError> {
        let destinations = self.destination_list(&route.destinations)?;
        let rule = self.rule(route.origin.as_ref())?;
        self.tcp_routes.one(TcpRouteRecord { destinations, rule })
    }

    fn termination(&mut self, termination: &Termination) -> Result<U32, EmitError> {
        let record = TerminationRecord {
            mode: self.strings.str(&termination.mode)?,
            credentials: self.string_list(&termination.credentials)?,
            certificates: self.pair_list(termination.certificates.iter().map(|(file, key)| (file, key)))?,
            ca_certificates: self.strings.optional(termination.ca_certificates.as_deref())?,
            ca_credential: self.strings.optional(termination.ca_credential.as_deref())?,
            ca_crl: self.strings.optional(termination.ca_crl.as_deref())?,
            min_version: self.strings.optional(termination.min_version.as_deref())?,
            max_version: self.strings.optional(termination.max_version.as_deref())?,
            cipher_suites: self.string_list(&termination.cipher_suites)?,
            subject_alt_names: self.string_list(&termination.subject_alt_names)?,
            key_hashes: self.string_list(&termination.key_hashes)?,
            certificate_hashes: self.string_list(&termination.certificate_hashes)?,
            insecure_skip_verify: flag(termination.insecure_skip_verify),
        };
        self.terminations.one(record)
    }
}

/// An address range: its address, IPv4 mapped into IPv6, and how many of the 128 bits count. A bare address is a range
/// of one. Ranges that are none take nothing.
fn parse_range(text: &str) -> Option<([u8; 16], u32)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let (mapped, width) = match address.parse().ok()? {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), 32),
        IpAddr::V6(v6) => (v6, 128),
    };
    let length = length.unwrap_or(width);
    (length <= width).then(|| (mapped.octets(), 128 - width + length))
}
