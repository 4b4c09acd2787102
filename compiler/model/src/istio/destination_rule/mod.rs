//! `DestinationRule`: how the endpoints of a host are treated.

mod connection_pool;
mod load_balancer;
mod traffic_policy;

pub use connection_pool::{
    ConnectionPoolSettings, H2UpgradePolicy, HttpKeepalive, HttpSettings, TcpKeepalive, TcpSettings,
};
pub use load_balancer::{
    BackendUtilization, ConsistentHashLb, CookieAttribute, Distribute, Failover, HttpCookie, LoadBalancerSettings,
    LocalityLoadBalancerSetting, MagLev, RingHash, SimpleLb, WarmupConfiguration, ZoneAwareLbSetting,
};
pub use traffic_policy::{
    ClientTlsMode, ClientTlsSettings, OutlierDetection, PortTrafficPolicy, ProxyProtocol, ProxyProtocolVersion,
    RetryBudget, TrafficPolicy, TunnelSettings,
};

use crate::{Entries, Spanned, istio::LabelSelector, read::message};
use smol_str::SmolStr;

message! {
    /// How the endpoints of a host are treated, once routing has chosen the host.
    pub struct DestinationRule {
        /// The host; a short name is completed with the namespace of this resource.
        host: Option<Spanned<SmolStr>> = "host" [required],
        /// How connections to it are treated.
        traffic_policy: Option<Box<Spanned<TrafficPolicy>>> = "trafficPolicy",
        /// Named parts of its endpoints.
        subsets: Vec<Spanned<Subset>> = "subsets",
        /// The namespaces that see this: `*` for all, `.` for its own. Everybody by default.
        export_to: Vec<Spanned<SmolStr>> = "exportTo",
        /// The client workloads that this is for; all by default.
        workload_selector: Option<Spanned<LabelSelector>> = "workloadSelector",
    }
}

message! {
    /// A named part of the endpoints of a host.
    pub struct Subset {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name" [required],
        /// Labels of its endpoints; all endpoints by default.
        labels: Entries<SmolStr> = "labels",
        /// How connections to it are treated, over what the whole host says.
        traffic_policy: Option<Box<Spanned<TrafficPolicy>>> = "trafficPolicy",
    }
}
