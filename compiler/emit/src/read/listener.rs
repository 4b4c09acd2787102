//! Listeners and filter chains.

use super::{ReadError, Reader, RouteTables, fallback, strings};
use malha_mesh::program::{Filter, FilterChain, Listener, TcpRoute, Termination};
use malha_table::{Bind, view};
use smol_str::SmolStr;

fn bind(bind: Bind<&str>) -> Bind<SmolStr> {
    match bind {
        Bind::Any => Bind::Any,
        Bind::Address(address) => Bind::Address(address),
        Bind::Service(name) => Bind::Service(name.into()),
        Bind::OtherNames => Bind::OtherNames,
        Bind::Socket(socket) => Bind::Socket(socket.into()),
    }
}

impl Reader {
    pub(super) fn listener(
        &mut self,
        listener: &view::Listener<'_>,
        tables: &mut RouteTables,
    ) -> Result<Listener, ReadError> {
        let mut filter_chains = Vec::new();
        for chain in listener.chains() {
            filter_chains.extend(self.chain(&chain, tables)?);
        }
        Ok(Listener {
            bind: bind(listener.bind()),
            port: listener.port(),
            server_ports: listener.server_ports().collect(),
            protocol: listener.protocol().into(),
            name: listener.name().into(),
            names: strings(listener.names()),
            filter_chains,
            rejected: listener.rejected().map(str::to_owned),
            fallback: fallback(listener.fallback()),
        })
    }

    pub(super) fn tcp_route(&mut self, route: &view::TcpRoute<'_>) -> TcpRoute {
        let destinations = route.destinations().map(|destination| Reader::destination(&destination)).collect();
        TcpRoute { origin: self.rule(route.rule()), destinations }
    }

    fn chain(&mut self, chain: &view::Chain<'_>, tables: &mut RouteTables) -> Result<Option<FilterChain>, ReadError> {
        let filter = match chain.filter() {
            None => return Ok(None),
            Some(view::Filter::Http(table)) => Filter::Http(self.route_table_number(&table, tables)?),
            Some(view::Filter::Tcp(route)) => Filter::Tcp(self.tcp_route(&route)),
        };
        Ok(Some(FilterChain {
            server_names: strings(chain.server_names()),
            destinations: strings(chain.destinations()),
            tls: chain.tls(),
            inspected: chain.is_inspected(),
            termination: chain.termination().map(|ends| termination(&ends)),
            filter,
            location: chain.location().map(|place| self.location(place.file(), place.line())),
        }))
    }
}

impl Reader {
    fn route_table_number(
        &mut self,
        table: &view::RouteTable<'_>,
        tables: &mut RouteTables,
    ) -> Result<usize, ReadError> {
        if let Some(&known) = tables.known.get(&table.index()) {
            return Ok(known);
        }
        let number = tables.tables.len();
        tables.tables.push(self.route_table(table)?);
        tables.known.insert(table.index(), number);
        Ok(number)
    }
}

fn termination(ends: &view::Termination<'_>) -> Termination {
    Termination {
        mode: ends.mode().into(),
        credentials: strings(ends.credentials()),
        certificates: ends.certificates().map(|(file, key)| (file.into(), key.into())).collect(),
        ca_certificates: ends.ca_certificates().map(SmolStr::from),
        ca_credential: ends.ca_credential().map(SmolStr::from),
        ca_crl: ends.ca_crl().map(SmolStr::from),
        min_version: ends.min_version().map(SmolStr::from),
        max_version: ends.max_version().map(SmolStr::from),
        cipher_suites: strings(ends.cipher_suites()),
        subject_alt_names: strings(ends.subject_alt_names()),
        key_hashes: strings(ends.key_hashes()),
        certificate_hashes: strings(ends.certificate_hashes()),
        insecure_skip_verify: ends.insecure_skip_verify(),
    }
}
