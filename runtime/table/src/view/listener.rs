use super::{Destination, Location, RouteTable, Rule, Views, at, proxy::pairs, view};
use crate::{
    Bind,
    format::{CidrRecord, Section, TerminationRecord},
    table,
};
use std::net::IpAddr;

view! {
    /// A listening address.
    Listener, ListenerRecord, Listeners
}

view! {
    /// One way to treat a connection.
    Chain, ChainRecord, Chains
}

view! {
    /// Where the bytes of a connection go.
    TcpRoute, TcpRouteRecord, TcpRoutes
}

view! {
    /// How TLS is ended at a filter chain, as the server's `tls` block says.
    Termination, TerminationRecord, Terminations
}

/// What becomes of a connection that no filter chain takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// It is closed.
    #[default]
    Close,
    /// It goes where the client meant it to.
    Passthrough,
    /// It ends in the BlackHoleCluster.
    Blackhole,
    /// It goes where [`Proxy::egress_proxy`](super::Proxy::egress_proxy) says (semantics E37).
    EgressProxy,
}

impl Fallback {
    pub(super) fn read(number: u32) -> Fallback {
        match number {
            1 => Fallback::Passthrough,
            2 => Fallback::Blackhole,
            3 => Fallback::EgressProxy,
            _ => Fallback::Close,
        }
    }
}

/// What happens to the bytes of a filter chain.
#[derive(Clone, Copy, Debug)]
pub enum Filter<'t> {
    /// HTTP, routed by this table.
    Http(RouteTable<'t>),
    /// Bytes, by weight (semantics A61).
    Tcp(TcpRoute<'t>),
}

/// What is known of a connection when its filter chain is chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection<'a> {
    /// Where the client meant to connect to, if that is known.
    pub destination: Option<IpAddr>,
    /// Whether the client speaks TLS.
    pub is_tls: bool,
    /// The server name in its hello; its case does not count.
    pub server_name: Option<&'a str>,
    /// Whether a look at the first bytes shows plain HTTP.
    pub is_plain_http: bool,
}

/// Where a listener with this record takes connections; none: the record says nothing known.
pub(crate) fn bind(kind: u32, bound_to: Option<&str>) -> Option<Bind<&str>> {
    match (kind, bound_to) {
        (0, None) => Some(Bind::Any),
        (1, Some(address)) => address.parse().ok().map(Bind::Address),
        (2, Some(name)) => Some(Bind::Service(name)),
        (3, None) => Some(Bind::OtherNames),
        (4, Some(socket)) => Some(Bind::Socket(socket)),
        _ => None,
    }
}

impl<'t> Listener<'t> {
    /// Where it takes connections.
    pub fn bind(&self) -> Bind<&'t str> {
        bind(self.record.bind.get(), self.table.optional_str(self.record.bound_to)).unwrap_or_default()
    }

    /// The port it listens on.
    pub fn port(&self) -> u32 {
        self.record.port.get()
    }

    /// The numbers by which Gateway servers know it.
    pub fn server_ports(&self) -> impl ExactSizeIterator<Item = u32> + Clone + 't {
        self.table.numbers(self.record.server_ports).iter().map(|number| number.get())
    }

    /// Protocol of its first server or service port, as `HTTP`.
    pub fn protocol(&self) -> &'t str {
        self.table.str(self.record.protocol)
    }

    /// Name for people and metrics.
    pub fn name(&self) -> &'t str {
        self.table.str(self.record.name)
    }

    /// The names that lead to it, lower case.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.names)
    }

    /// Why Envoy would refuse it, if it would; then it has no chains.
    pub fn rejected(&self) -> Option<&'t str> {
        self.table.optional_str(self.record.rejected)
    }

    /// What becomes of connections that no chain takes.
    pub fn fallback(&self) -> Fallback {
        Fallback::read(self.record.fallback.get())
    }

    /// Its filter chains; which one takes a connection, [`Listener::select_chain`] says.
    pub fn chains(&self) -> Views<'t, Chain<'t>> {
        Views::range(self.table, self.record.chains)
    }

    /// Whether clients may speak TLS, so that their first bytes must be seen before a chain is chosen.
    pub fn speaks_tls(&self) -> bool {
        let is_about_tls =
            |chain: Chain<'_>| chain.tls().is_some() || chain.server_names().len() > 0 || chain.termination().is_some();
        self.chains().any(is_about_tls)
    }
}

impl<'t> Chain<'t> {
    /// Server names, exact or `*.suffix`, lower case; none: any, or none sent.
    pub fn server_names(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.server_names)
    }

    /// Destination ranges, as CIDR; none: any.
    pub fn destinations(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        let table = self.table;
        self.cidrs().iter().map(|cidr| table.str(cidr.text))
    }

    pub(crate) fn cidrs(&self) -> &'t [CidrRecord] {
        self.table.range(Section::Cidrs, self.record.destinations)
    }

    /// Whether the client speaks TLS; none: either.
    pub fn tls(&self) -> Option<bool> {
        match self.record.tls.get() {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Whether only connections that are seen to carry plain HTTP come here.
    pub fn is_inspected(&self) -> bool {
        self.record.inspected.get() == 1
    }

    /// How TLS is ended here, if it is.
    pub fn termination(&self) -> Option<Termination<'t>> {
        at(self.table, table::index(self.record.termination)?)
    }

    /// What happens to the bytes.
    pub fn filter(&self) -> Option<Filter<'t>> {
        let target = self.record.target.get();
        if self.record.filter.get() == 0 {
            at(self.table, target).map(Filter::Http)
        } else {
            at(self.table, target).map(Filter::Tcp)
        }
    }

    /// Where the file says so, if it does.
    pub fn location(&self) -> Option<Location<'t>> {
        at(self.table, table::index(self.record.location)?)
    }
}

impl<'t> TcpRoute<'t> {
    /// The rule; none for a service's own chain.
    pub fn rule(&self) -> Option<Rule<'t>> {
        at(self.table, table::index(self.record.rule)?)
    }

    /// One or several, by weight.
    pub fn destinations(&self) -> Views<'t, Destination<'t>> {
        Views::range(self.table, self.record.destinations)
    }
}

macro_rules! termination_strings {
    ($($(#[$meta:meta])* $field:ident,)*) => {
        impl<'t> Termination<'t> {
            $($(#[$meta])*
            pub fn $field(&self) -> Option<&'t str> {
                let record: &TerminationRecord = self.record;
                self.table.optional_str(record.$field)
            })*
        }
    };
}

termination_strings! {
    /// File of those who sign clients' certificates.
    ca_certificates,
    /// Name of the credential with those who sign clients' certificates, where it is one of its own.
    ca_credential,
    /// File of the certificates that were withdrawn.
    ca_crl,
    /// As `TLSV1_2`.
    min_version,
    /// As `TLSV1_3`.
    max_version,
}

impl<'t> Termination<'t> {
    /// `SIMPLE`, `MUTUAL`, ...
    pub fn mode(&self) -> &'t str {
        self.table.str(self.record.mode)
    }

    /// Names of the credentials.
    pub fn credentials(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.credentials)
    }

    /// Names of cipher suites.
    pub fn cipher_suites(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.cipher_suites)
    }

    /// Files of certificates, each with that of its key.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = (&'t str, &'t str)> + Clone {
        pairs(self.table, self.record.certificates)
    }

    /// SHA-256 of keys (SPKI) that clients may have, as base64.
    pub fn key_hashes(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.key_hashes)
    }

    /// SHA-256 of certificates that clients may have, as hexadecimal with or without colons.
    pub fn certificate_hashes(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.certificate_hashes)
    }

    /// Whether clients' certificates are taken whoever signed them (semantics A48).
    pub fn insecure_skip_verify(&self) -> bool {
        self.record.insecure_skip_verify.get() == 1
    }

    /// Subject names that clients may have.
    pub fn subject_alt_names(&self) -> impl ExactSizeIterator<Item = &'t str> + Clone {
        self.table.strs(self.record.subject_alt_names)
    }
}
