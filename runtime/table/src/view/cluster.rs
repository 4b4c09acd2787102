use super::{Views, proxy::pairs, view};
use crate::{
    format::{LimitRecord, Section},
    table::time,
};
use std::time::Duration;

view! {
    /// A group of endpoints with one policy.
    Cluster, ClusterRecord, Clusters
}

view! {
    /// One endpoint.
    Endpoint, EndpointRecord, Endpoints
}

/// How endpoints are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Discovery {
    /// Told by the control plane.
    #[default]
    Eds,
    /// Every address of every name.
    StrictDns,
    /// The first address of one name.
    LogicalDns,
    /// Where the client meant to go.
    OriginalDestination,
    /// The request's own host.
    DynamicDns,
}

/// Which HTTP an upstream is spoken to in (semantics D37).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge or agreed on in TLS.
    Http2,
    /// What the client of each request speaks.
    Clients,
}

/// Load balancing (semantics D.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancer {
    /// Power of two choices.
    #[default]
    LeastRequest,
    /// In turn.
    RoundRobin,
    /// Any.
    Random,
    /// None: original destination.
    Passthrough,
    /// Ring hash.
    RingHash {
        /// Least number of places on the ring.
        minimum_size: u64,
    },
    /// Maglev.
    Maglev {
        /// Number of places in the table.
        table_size: u64,
    },
}

impl<'t> Cluster<'t> {
    /// `outbound|port|subset|host`.
    pub fn name(&self) -> &'t str {
        self.table.str(self.record.name)
    }

    /// Fully qualified host of the service.
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

    /// How endpoints are found.
    pub fn discovery(&self) -> Discovery {
        match self.record.discovery.get() {
            1 => Discovery::StrictDns,
            2 => Discovery::LogicalDns,
            3 => Discovery::OriginalDestination,
            4 => Discovery::DynamicDns,
            _ => Discovery::Eds,
        }
    }

    /// The port that takes the place of the one which a client meant to connect to, where that decides (semantics E10).
    pub fn original_port(&self) -> Option<u32> {
        Some(self.record.original_port.get()).filter(|port| *port != 0)
    }

    /// Known ones.
    pub fn endpoints(&self) -> Views<'t, Endpoint<'t>> {
        Views::range(self.table, self.record.endpoints)
    }

    /// How many endpoints a request can go to: none known for those that the client or the request names.
    pub fn usable_endpoints(&self) -> Option<u32> {
        match self.discovery() {
            Discovery::OriginalDestination | Discovery::DynamicDns => None,
            _ => Some(self.endpoints().len() as u32),
        }
    }

    /// Which HTTP the upstream is spoken to in.
    pub fn protocol(&self) -> UpstreamProtocol {
        match self.record.protocol.get() {
            1 => UpstreamProtocol::Http2,
            2 => UpstreamProtocol::Clients,
            _ => UpstreamProtocol::Http1,
        }
    }

    /// Load balancing.
    pub fn load_balancer(&self) -> LoadBalancer {
        let size = self.record.size.get();
        match self.record.load_balancer.get() {
            1 => LoadBalancer::RoundRobin,
            2 => LoadBalancer::Random,
            3 => LoadBalancer::Passthrough,
            4 => LoadBalancer::RingHash { minimum_size: size },
            5 => LoadBalancer::Maglev { table_size: size },
            _ => LoadBalancer::LeastRequest,
        }
    }

    /// None: 10 s.
    pub fn connect_timeout(&self) -> Option<Duration> {
        time(self.record.connect_timeout)
    }

    /// Limits that are set, by name, as `maxConnections`.
    pub fn limits(&self) -> impl ExactSizeIterator<Item = (&'t str, u32)> + Clone {
        let table = self.table;
        let limits = table.range::<LimitRecord>(Section::Limits, self.record.limits).iter();
        limits.map(move |limit| (table.str(limit.name), limit.value.get()))
    }

    /// One limit, if it is set.
    pub fn limit(&self, name: &str) -> Option<u32> {
        self.limits().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The whole `trafficPolicy` in force, as JSON.
    pub fn policy_json(&self) -> Option<&'t str> {
        self.table.optional_str(self.record.policy)
    }

    /// The `DestinationRule` that it comes from, as (namespace, name).
    pub fn destination_rule(&self) -> Option<(&'t str, &'t str)> {
        Some((self.table.optional_str(self.record.rule_namespace)?, self.table.optional_str(self.record.rule_name)?))
    }
}

impl<'t> Endpoint<'t> {
    /// IP, DNS name or `unix://` path; none: the input does not say.
    pub fn address(&self) -> Option<&'t str> {
        self.table.optional_str(self.record.address)
    }

    /// Port; 0 for unix sockets.
    pub fn port(&self) -> u32 {
        self.record.port.get()
    }

    /// Share.
    pub fn weight(&self) -> u32 {
        self.record.weight.get()
    }

    /// `region/zone/subzone`.
    pub fn locality(&self) -> Option<&'t str> {
        self.table.optional_str(self.record.locality)
    }

    /// How near it is: higher ones get requests as lower ones fail (semantics D34).
    pub fn priority(&self) -> u32 {
        self.record.priority.get()
    }

    /// The share of its locality among those of its priority; none: localities do not count within a priority.
    pub fn locality_weight(&self) -> Option<u32> {
        Some(self.record.locality_weight.get()).filter(|&weight| weight > 0)
    }

    /// The workload behind it, as (namespace, name), where the input says.
    pub fn workload(&self) -> Option<(&'t str, &'t str)> {
        let namespace = self.table.optional_str(self.record.workload_namespace)?;
        Some((namespace, self.table.optional_str(self.record.workload_name)?))
    }

    /// Its labels, by key.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&'t str, &'t str)> + Clone {
        pairs(self.table, self.record.labels)
    }
}
