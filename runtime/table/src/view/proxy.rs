use super::{Cluster, Fallback, Listener, Route, TcpRoute, Views, at, view};
use crate::{
    ProxyIdentity, ProxyView, Role, Table,
    format::{Pair, ProgramRecord, Range, Section, WayRecord},
    table,
};

view! {
    /// One proxy and what it executes.
    Proxy, ProxyRecord, Proxies
}

/// Where what no service takes goes, if the Sidecar says so (semantics E37).
#[derive(Clone, Copy, Debug)]
pub struct EgressProxy<'t> {
    /// What is done with requests.
    pub route: Route<'t>,
    /// Where the bytes of other connections go.
    pub bytes: TcpRoute<'t>,
}

pub(super) fn pairs(table: &Table, range: Range) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
    table.range::<Pair>(Section::Pairs, range).iter().map(|pair| (table.str(pair.key), table.str(pair.value)))
}

impl<'t> Proxy<'t> {
    /// Gateway or sidecar.
    pub fn role(&self) -> Role {
        if self.record.role.get() == 0 { Role::Gateway } else { Role::Sidecar }
    }

    /// A name for people.
    pub fn name(&self) -> &'t str {
        self.table.str(self.record.name)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &'t str {
        self.table.str(self.record.namespace)
    }

    /// Its labels, by key.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&'t str, &'t str)> + Clone {
        pairs(self.table, self.record.labels)
    }

    /// The Gateways that select it, as (namespace, name).
    pub fn gateways(&self) -> impl ExactSizeIterator<Item = (&'t str, &'t str)> + Clone {
        pairs(self.table, self.record.gateways)
    }

    /// Namespace and labels, as the contract writes them.
    pub fn identity(&self) -> ProxyIdentity {
        let labels = self.labels().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        ProxyIdentity { namespace: self.namespace().to_owned(), labels }
    }

    /// Number of its program: proxies with equal numbers execute the same.
    pub fn program(&self) -> u32 {
        self.record.program.get()
    }

    fn program_record(&self) -> Option<&'t ProgramRecord> {
        self.table.record(Section::Programs, self.record.program)
    }

    /// What becomes of a connection to a port that no listener has (semantics E21).
    pub fn fallback(&self) -> Fallback {
        Fallback::read(self.program_record().map_or(0, |program| program.fallback.get()))
    }

    /// Where [`Fallback::EgressProxy`] leads.
    pub fn egress_proxy(&self) -> Option<EgressProxy<'t>> {
        let program = self.program_record()?;
        let route = at(self.table, table::index(program.egress_route)?)?;
        Some(EgressProxy { route, bytes: at(self.table, table::index(program.egress_bytes)?)? })
    }

    /// Its listeners, by port, then bind.
    pub fn listeners(&self) -> Views<'t, Listener<'t>> {
        Views::range(self.table, self.program_record().map(|program| program.listeners).unwrap_or_default())
    }

    /// What leads to its listeners, in order.
    pub(crate) fn ways(&self) -> &'t [WayRecord] {
        self.table.range(Section::Ways, self.program_record().map(|program| program.ways).unwrap_or_default())
    }

    /// Its clusters, by name.
    pub fn clusters(&self) -> impl Iterator<Item = Cluster<'t>> {
        let table = self.table;
        let range = self.program_record().map(|program| program.clusters).unwrap_or_default();
        table.numbers(range).iter().filter_map(move |number| at(table, table::index(*number)?))
    }
}

impl ProxyView for Proxy<'_> {
    fn role(&self) -> Role {
        Proxy::role(self)
    }

    fn display_name(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    fn is(&self, identity: &ProxyIdentity) -> bool {
        let labels = identity.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.namespace() == identity.namespace && self.labels().eq(labels)
    }

    fn is_selected_by(&self, namespace: &str, name: &str) -> bool {
        self.gateways().any(|gateway| gateway == (namespace, name))
    }

    fn listens_on(&self, port: u32) -> bool {
        self.listeners().any(|listener| listener.port() == port)
    }
}
