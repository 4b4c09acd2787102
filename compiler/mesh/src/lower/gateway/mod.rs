//! Gateway proxies: listeners, filter chains and route tables of all Gateways that select one (semantics A).

mod network;
mod servers;
mod tables;

use super::context::{Context, TableIndex};
use super::listeners;
use crate::Gateway;
use crate::config::TlsDefaults;
use crate::program::{Bind, Fallback, Filter, FilterChain, Listener, ProxyProgram, Termination};
use malha_model::Spanned;
use malha_model::istio::gateway::{ServerTlsMode, TlsProtocol};
use servers::{Group, Merged, ServerRef};
use smol_str::{SmolStr, format_smolstr};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Lowers the mesh for one gateway proxy.
pub(super) fn lower(context: &Context<'_>) -> ProxyProgram {
    let gateways: Vec<&Gateway> = context.mesh.gateways_of(context.proxy).map(|gateway| &**gateway).collect();
    let merged = servers::merge(&gateways, |number| context.mesh.listener_port(context.proxy, number));
    let mut program = ProxyProgram { notes: merged.notes.clone(), ..ProxyProgram::default() };
    let mut tables = TableIndex::default();
    let mut sni_taken = network::SniTaken::default();
    let mut opened: BTreeMap<(u32, Bind<SmolStr>), Opened> = BTreeMap::new();
    for group in &merged.groups {
        let opened = opened.entry((group.port, bind(&group.bind))).or_default();
        opened.add(group);
        if group.protocol.is_http() {
            let Some(first) = group.servers.first() else { continue };
            opened.chains.extend(http_chain(context, &merged, first, &mut tables));
            continue;
        }
        for server in &group.servers {
            if server.is_http() {
                opened.chains.extend(http_chain(context, &merged, server, &mut tables));
            } else {
                opened.chains.extend(network::chains(context, server, group.port, &mut sni_taken, &mut program));
            }
        }
    }
    for ((port, bind), opened) in opened {
        // Without a filter chain there is no listener (semantics A9).
        if opened.chains.is_empty() {
            continue;
        }
        let name = format_smolstr!("{}_{port}", bind.text().unwrap_or("0.0.0.0".into()));
        let mut listener = Listener {
            bind,
            port,
            server_ports: opened.numbers.into_iter().collect(),
            protocol: opened.protocol,
            name,
            names: Vec::new(),
            filter_chains: opened.chains,
            rejected: None,
            fallback: Fallback::Close,
        };
        listeners::judge(&mut listener, &tables, &mut program.notes);
        program.listeners.push(listener);
    }
    program.notes.extend(tables.take_notes());
    program.route_tables = tables.into_tables();
    program
}

/// Where a server is bound.
fn bind(written: &SmolStr) -> Bind<SmolStr> {
    match written.parse() {
        Ok(address) if address != IpAddr::from(Ipv4Addr::UNSPECIFIED) => Bind::Address(address),
        Ok(_) => Bind::Any,
        Err(_) if written.is_empty() => Bind::Any,
        Err(_) => Bind::Socket(written.clone()),
    }
}

/// What a listener is put together from.
#[derive(Default)]
struct Opened {
    numbers: BTreeSet<u32>,
    protocol: SmolStr,
    chains: Vec<FilterChain>,
}

impl Opened {
    fn add(&mut self, group: &Group<'_>) {
        if self.numbers.is_empty() {
            self.protocol = SmolStr::new_static(group.protocol.as_str());
        }
        self.numbers.extend(group.servers.iter().map(|server| server.number));
    }
}

/// The chain that routes requests of a plaintext port, or of one server that ends TLS (semantics A12, A15).
fn http_chain(
    context: &Context<'_>,
    merged: &Merged<'_>,
    server: &ServerRef<'_>,
    tables: &mut TableIndex,
) -> Option<FilterChain> {
    let name = server.route_name.as_ref()?;
    let servers = merged.tables.get(name)?;
    let table = tables.get_or_insert(name, || tables::route_table(context, name, servers));
    let termination = server.is_tls().then(|| termination(server, &context.mesh.config().tls_defaults));
    Some(FilterChain {
        server_names: if termination.is_some() { lower_case(server.sni_hosts()) } else { Vec::new() },
        destinations: Vec::new(),
        tls: None,
        inspected: false,
        termination,
        filter: Filter::Http(table),
        location: Some(server.location),
    })
}

fn lower_case(names: Vec<SmolStr>) -> Vec<SmolStr> {
    names.into_iter().map(|name| SmolStr::from(name.to_ascii_lowercase())).collect()
}

/// How TLS ends at a server (semantics A.6), with what the mesh says where it says nothing.
fn termination(server: &ServerRef<'_>, defaults: &TlsDefaults) -> Termination {
    let Some(tls) = &server.server.tls else { return Termination::default() };
    let text = |field: &Option<Spanned<SmolStr>>| field.as_ref().map(|text| text.value.clone());
    let texts = |list: &[Spanned<SmolStr>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
    let version = |field: &Option<Spanned<TlsProtocol>>| {
        let name = match field.as_ref()?.value {
            TlsProtocol::Auto => return None,
            TlsProtocol::V1_0 => "TLSV1_0",
            TlsProtocol::V1_1 => "TLSV1_1",
            TlsProtocol::V1_2 => "TLSV1_2",
            TlsProtocol::V1_3 => "TLSV1_3",
        };
        Some(SmolStr::new_static(name))
    };
    let mut credentials = texts(&tls.credential_names);
    credentials.splice(0..0, text(&tls.credential_name));
    let several = tls.tls_certificates.iter().map(|files| (&files.server_certificate, &files.private_key));
    let own = std::iter::once((&tls.server_certificate, &tls.private_key));
    let certificates =
        several.chain(own).filter_map(|(certificate, key)| Some((text(certificate)?, text(key)?))).collect();
    let (mut min_version, mut cipher_suites) = (version(&tls.min_protocol_version), texts(&tls.cipher_suites));
    // Of the mesh's own certificates neither speaks (semantics A50).
    if server.mode() != ServerTlsMode::IstioMutual {
        min_version = min_version.or_else(|| defaults.min_version.clone());
        if cipher_suites.is_empty() {
            cipher_suites.clone_from(&defaults.cipher_suites);
        }
    }
    Termination {
        mode: SmolStr::new_static(match server.mode() {
            ServerTlsMode::Passthrough => "PASSTHROUGH",
            ServerTlsMode::Simple => "SIMPLE",
            ServerTlsMode::Mutual => "MUTUAL",
            ServerTlsMode::AutoPassthrough => "AUTO_PASSTHROUGH",
            ServerTlsMode::IstioMutual => "ISTIO_MUTUAL",
            ServerTlsMode::OptionalMutual => "OPTIONAL_MUTUAL",
        }),
        credentials,
        certificates,
        ca_certificates: text(&tls.ca_certificates),
        ca_credential: text(&tls.ca_cert_credential_name),
        ca_crl: text(&tls.ca_crl),
        min_version,
        max_version: version(&tls.max_protocol_version),
        cipher_suites,
        subject_alt_names: texts(&tls.subject_alt_names),
        key_hashes: texts(&tls.verify_certificate_spki),
        certificate_hashes: texts(&tls.verify_certificate_hash),
        insecure_skip_verify: tls.insecure_skip_verify.as_ref().is_some_and(|skip| skip.value),
    }
}
