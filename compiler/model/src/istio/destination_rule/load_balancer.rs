//! `loadBalancer`: how an endpoint is chosen.

use crate::{
    Duration, Entries, Spanned,
    read::{choice, message},
};
use smol_str::SmolStr;

message! {
    /// How an endpoint is chosen.
    pub struct LoadBalancerSettings {
        /// One of the simple ways.
        simple: Option<Spanned<SimpleLb>> = "simple",
        /// By a hash of the request, so that equal requests meet the same endpoint.
        consistent_hash: Option<Box<Spanned<ConsistentHashLb>>> = "consistentHash",
        /// By the load that the endpoints report.
        backend_utilization: Option<Box<Spanned<BackendUtilization>>> = "backendUtilization",
        /// How endpoints near by are preferred.
        locality_lb_setting: Option<Box<Spanned<LocalityLoadBalancerSetting>>> = "localityLbSetting",
        /// How endpoints of the own zone are preferred.
        zone_aware_lb_setting: Option<Box<Spanned<ZoneAwareLbSetting>>> = "zoneAwareLbSetting",
        /// Time over which a new endpoint gets more and more requests. Deprecated: use `warmup`.
        warmup_duration_secs: Option<Spanned<Duration>> = "warmupDurationSecs" [positive],
        /// How a new endpoint gets more and more requests.
        warmup: Option<Box<Spanned<WarmupConfiguration>>> = "warmup",
    }
    one_of [simple, consistent_hash, backend_utilization]
}

choice! {
    /// A simple way to choose an endpoint.
    pub enum SimpleLb {
        /// Istio's own choice, which is `LEAST_REQUEST`.
        Unspecified = "UNSPECIFIED",
        /// The older name of `LEAST_REQUEST`. Deprecated.
        LeastConn = "LEAST_CONN",
        /// Any.
        Random = "RANDOM",
        /// The address that the client asked for.
        Passthrough = "PASSTHROUGH",
        /// Each in turn.
        RoundRobin = "ROUND_ROBIN",
        /// Of two at random the one with fewer requests under way.
        LeastRequest = "LEAST_REQUEST",
    }
}

message! {
    /// What is hashed, and how the hash chooses an endpoint.
    pub struct ConsistentHashLb {
        /// A header.
        http_header_name: Option<Spanned<SmolStr>> = "httpHeaderName",
        /// A cookie.
        http_cookie: Option<Spanned<HttpCookie>> = "httpCookie",
        /// The client's address.
        use_source_ip: Option<Spanned<bool>> = "useSourceIp",
        /// A parameter of the query.
        http_query_parameter_name: Option<Spanned<SmolStr>> = "httpQueryParameterName",
        /// By a ring of hashes.
        ring_hash: Option<Spanned<RingHash>> = "ringHash",
        /// By a Maglev table.
        maglev: Option<Spanned<MagLev>> = "maglev",
        /// Least number of points on the ring. Deprecated: use `ringHash`.
        minimum_ring_size: Option<Spanned<u64>> = "minimumRingSize",
    }
    one_of [http_header_name, http_cookie, use_source_ip, http_query_parameter_name]
    one_of [ring_hash, maglev]
}

message! {
    /// A cookie that names the client; it is set where it is missing and has a lifetime.
    pub struct HttpCookie {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name" [required],
        /// Its path.
        path: Option<Spanned<SmolStr>> = "path",
        /// Its lifetime; 0 for the browser's session.
        ttl: Option<Spanned<Duration>> = "ttl",
        /// Further attributes.
        attributes: Vec<Spanned<CookieAttribute>> = "attributes",
    }
}

message! {
    /// An attribute of a cookie.
    pub struct CookieAttribute {
        /// Its name, as `SameSite`.
        name: Option<Spanned<SmolStr>> = "name" [required],
        /// Its value.
        value: Option<Spanned<SmolStr>> = "value",
    }
}

message! {
    /// A ring of hashes.
    pub struct RingHash {
        /// Least number of points on the ring.
        minimum_ring_size: Option<Spanned<u64>> = "minimumRingSize",
    }
}

message! {
    /// A Maglev table.
    pub struct MagLev {
        /// Its size, a prime number.
        table_size: Option<Spanned<u64>> = "tableSize",
    }
}

message! {
    /// Choice by the load that the endpoints report.
    pub struct BackendUtilization {
        /// How much errors add to the load, in percent.
        error_utilization_penalty_percent: Option<Spanned<u32>> = "errorUtilizationPenaltyPercent",
        /// Names of the reported metrics that count.
        metric_names_for_computing_utilization: Vec<Spanned<SmolStr>> = "metricNamesForComputingUtilization",
        /// How long a report is good for.
        weight_expiration_period: Option<Spanned<Duration>> = "weightExpirationPeriod",
        /// How long an endpoint must report before it counts.
        weight_stabilization_period: Option<Spanned<Duration>> = "weightStabilizationPeriod",
        /// How often the weights change.
        weight_update_period: Option<Spanned<Duration>> = "weightUpdatePeriod",
    }
}

message! {
    /// How endpoints near by are preferred.
    pub struct LocalityLoadBalancerSetting {
        /// How the requests of a locality spread over others.
        distribute: Vec<Spanned<Distribute>> = "distribute",
        /// Which region stands in for another.
        failover: Vec<Spanned<Failover>> = "failover",
        /// Labels whose agreement makes endpoints near, the most important first.
        failover_priority: Vec<Spanned<SmolStr>> = "failoverPriority",
        /// Whether any of this applies; as the mesh has it by default.
        enabled: Option<Spanned<bool>> = "enabled" [nullable],
    }
}

message! {
    /// How the requests of a locality spread over others.
    pub struct Distribute {
        /// The locality of the client, as `region/zone/*`.
        from: Option<Spanned<SmolStr>> = "from",
        /// Weights by locality of the endpoints; they must sum up to 100.
        to: Entries<u32> = "to",
    }
}

message! {
    /// Which region stands in for another.
    pub struct Failover {
        /// The region that fails.
        from: Option<Spanned<SmolStr>> = "from",
        /// The region that stands in.
        to: Option<Spanned<SmolStr>> = "to",
    }
}

message! {
    /// How endpoints of the own zone are preferred.
    pub struct ZoneAwareLbSetting {
        /// Whether any of this applies.
        enabled: Option<Spanned<bool>> = "enabled" [nullable],
        /// Fewer endpoints than this switch the preference off.
        min_cluster_size: Option<Spanned<u32>> = "minClusterSize" [nullable, minimum(1)],
        /// Which region stands in for another.
        failover: Vec<Spanned<Failover>> = "failover",
        /// Labels whose agreement makes endpoints near, the most important first.
        failover_priority: Vec<Spanned<SmolStr>> = "failoverPriority",
    }
}

message! {
    /// How a new endpoint gets more and more requests.
    pub struct WarmupConfiguration {
        /// Over how long.
        duration: Option<Spanned<Duration>> = "duration" [required, positive],
        /// Share that it starts with, in percent.
        minimum_percent: Option<Spanned<f64>> = "minimumPercent" [nullable, minimum(0), maximum(100)],
        /// How the share grows: 1 evenly, more for faster at first.
        aggression: Option<Spanned<f64>> = "aggression" [nullable, minimum(0)],
    }
}
