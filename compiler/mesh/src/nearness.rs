//! What the localities of a proxy and of endpoints make of load balancing: priorities and weights (semantics D28 to D33).

use crate::{
    config::MeshConfig,
    labels::Labels,
    locality::{self, Locality},
    program::Endpoint,
};
use malha_model::{
    Spanned,
    istio::destination_rule::{LoadBalancerSettings, TrafficPolicy},
};
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Gives the endpoints of a cluster, whose policy consists of `blocks`, their priorities and the weights of their
/// localities as a proxy with the labels `proxy` sees them, and takes out those that it is not to use.
pub(crate) fn place(endpoints: &mut Vec<Endpoint>, proxy: &Labels, blocks: &Value, config: &MeshConfig) {
    let Some(setting) = setting(blocks, config) else { return };
    let own = locality::of_labels(proxy);
    let own = own.as_deref().map(Locality::parse);
    if let Some(distribution) = setting.list("distribute").filter(|_| !setting.is_zone_aware) {
        if let Some(own) = own {
            distribute(endpoints, &own, distribution);
        }
        return;
    }
    // Nothing would ever fall to a lower priority otherwise (semantics D29).
    if blocks.get("outlierDetection").is_none() {
        return;
    }
    let by_labels = setting.list("failoverPriority").filter(|_| !proxy.is_empty());
    if let Some(wanted) = by_labels {
        let wanted: Vec<(&str, Option<&str>)> = wanted.iter().filter_map(Value::as_str).map(label_and_value).collect();
        for endpoint in endpoints.iter_mut() {
            endpoint.priority = mismatch(&wanted, proxy, own.as_ref(), endpoint);
        }
    }
    let failover = setting.list("failover");
    if let Some(own) = own.filter(|_| by_labels.is_none() || failover.is_some()) {
        for endpoint in endpoints.iter_mut() {
            let distance = setting.distance(&own, &Locality::parse(endpoint.locality.as_deref().unwrap_or_default()));
            endpoint.priority = endpoint.priority.saturating_mul(DISTANCES).saturating_add(distance);
        }
    }
    close_gaps(endpoints);
    let is_said = by_labels.is_some() || failover.is_some() && own.is_some();
    if is_said && !setting.is_zone_aware {
        weigh(endpoints, |group| (group.priority, group.locality.clone()));
    }
}

/// How many distances there are: one more than there are between localities, for regions that another stands in for.
const DISTANCES: u32 = 5;

/// The setting in force.
#[derive(Clone, Copy)]
struct Setting<'a> {
    /// Null: the mesh's default, which only says that there is one.
    block: &'a Value,
    /// Of the proxy's own region all endpoints are equally near: Envoy itself prefers those of the own zone.
    is_zone_aware: bool,
}

/// The cluster's own setting, else the mesh's; of two at one level that of zones (semantics D28). None: it is off.
fn setting<'a>(blocks: &'a Value, config: &'a MeshConfig) -> Option<Setting<'a>> {
    let own = |name: &str| blocks.get("loadBalancer").and_then(|settings| settings.get(name));
    let levels = [
        (own("zoneAwareLbSetting"), true),
        (own("localityLbSetting"), false),
        (config.zone_aware_lb.as_ref(), true),
        (config.locality_lb.as_ref(), false),
    ];
    let said = levels.into_iter().find_map(|(block, is_zone_aware)| Some(Setting { block: block?, is_zone_aware }));
    let setting = said.unwrap_or(Setting { block: &Value::Null, is_zone_aware: false });
    (setting.block.get("enabled") != Some(&Value::Bool(false))).then_some(setting)
}

impl<'a> Setting<'a> {
    fn list(&self, name: &str) -> Option<&'a [Value]> {
        self.block.get(name).and_then(Value::as_array).map(Vec::as_slice).filter(|list| !list.is_empty())
    }

    /// How far an endpoint is; regions that do not stand in for the own one are farther than the one that does
    /// (semantics D31).
    fn distance(&self, own: &Locality<'_>, endpoint: &Locality<'_>) -> u32 {
        let text = |entry: &'a Value, name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        match own.distance(endpoint) {
            3 => {
                let mut entries = self.list("failover").unwrap_or_default().iter();
                let entry = entries.find(|entry| text(entry, "from") == own.region);
                if entry.is_some_and(|entry| text(entry, "to") != endpoint.region) { 4 } else { 3 }
            }
            _ if self.is_zone_aware => 0,
            distance => distance,
        }
    }
}

fn label_and_value(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        // With another sign in it the value is none, and the label's own counts.
        Some((name, value)) => (name, Some(value).filter(|value| !value.contains('='))),
        None => (text, None),
    }
}

/// 0 where an endpoint has all the labels, else the more the earlier in the list the first is that it has not
/// (semantics D32). Localities say their own labels.
fn mismatch(wanted: &[(&str, Option<&str>)], proxy: &Labels, own: Option<&Locality<'_>>, endpoint: &Endpoint) -> u32 {
    let at = endpoint.locality.as_deref().map(Locality::parse);
    let differs = |(name, value): &(&str, Option<&str>)| {
        let label = |labels: &Labels, at: Option<&Locality<'_>>| {
            let said = at.and_then(|at| at.label(name).map(SmolStr::new));
            said.or_else(|| labels.get(*name).cloned()).unwrap_or_default()
        };
        let sought = value.map_or_else(|| label(proxy, own), SmolStr::new);
        sought != label(&endpoint.labels, at.as_ref())
    };
    wanted.iter().position(differs).map_or(0, |first| (wanted.len() - first) as u32)
}

/// Numbers the priorities that there are from 0.
fn close_gaps(endpoints: &mut [Endpoint]) {
    let priorities: BTreeSet<u32> = endpoints.iter().map(|endpoint| endpoint.priority).collect();
    let numbers: BTreeMap<u32, u32> = priorities.into_iter().zip(0..).collect();
    for endpoint in endpoints {
        endpoint.priority = numbers.get(&endpoint.priority).copied().unwrap_or_default();
    }
}

/// Gives each group of endpoints the sum of their weights.
fn weigh<K: Ord>(endpoints: &mut [Endpoint], group: impl Fn(&Endpoint) -> K) {
    let mut sums: BTreeMap<K, u32> = BTreeMap::new();
    for endpoint in endpoints.iter() {
        let sum = sums.entry(group(endpoint)).or_default();
        *sum = sum.saturating_add(endpoint.weight.max(1));
    }
    for endpoint in endpoints {
        endpoint.locality_weight = sums.get(&group(endpoint)).copied();
    }
}

/// Weights by the first entry for the proxy's locality; localities that it does not name are out (semantics D30).
fn distribute(endpoints: &mut Vec<Endpoint>, own: &Locality<'_>, distribution: &[Value]) {
    weigh(endpoints, |endpoint| endpoint.locality.clone());
    let from = |entry: &&Value| entry.get("from").and_then(Value::as_str).is_some_and(|from| own.is_named_by(from));
    let Some(entry) = distribution.iter().find(from) else { return };
    let mut left: BTreeMap<Option<SmolStr>, u64> = BTreeMap::new();
    for endpoint in endpoints.iter() {
        left.insert(endpoint.locality.clone(), endpoint.locality_weight.unwrap_or(1).into());
    }
    let mut given: BTreeMap<Option<SmolStr>, u32> = BTreeMap::new();
    for (to, share) in entry.get("to").and_then(Value::as_object).into_iter().flatten() {
        let is_named =
            |locality: &Option<SmolStr>| Locality::parse(locality.as_deref().unwrap_or_default()).is_named_by(to);
        let (named, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            left.into_iter().partition(|(locality, _)| is_named(locality));
        left = others;
        // The localities of one wildcard share its weight by their own.
        let total: u64 = named.values().sum();
        let share = share.as_u64().map_or(0, |share| share.min(u32::MAX.into()));
        given.extend(named.into_iter().map(|(locality, weight)| {
            let part = weight.saturating_mul(share).div_ceil(total.max(1));
            // A weight of nothing is none, and the cluster refuses it.
            let part = if part == 0 { weight } else { part };
            (locality, u32::try_from(part).unwrap_or(u32::MAX))
        }));
    }
    endpoints.retain(|endpoint| given.contains_key(&endpoint.locality));
    for endpoint in endpoints {
        endpoint.locality_weight = given.get(&endpoint.locality).copied();
    }
}

/// The labels of proxies that priorities are made by, where some policy of a mesh makes any: those that say a locality,
/// and those that `failoverPriority` compares.
pub(crate) struct LabelsRead {
    is_read: bool,
    compared: BTreeSet<SmolStr>,
}

impl LabelsRead {
    /// By the settings of the mesh.
    pub(crate) fn of(config: &MeshConfig) -> Self {
        let detects =
            config.default_traffic_policy.as_ref().is_some_and(|policy| policy.get("outlierDetection").is_some());
        let distributes = config.locality_lb.as_ref().is_some_and(|setting| setting.get("distribute").is_some());
        let mut read = LabelsRead { is_read: detects || distributes, compared: BTreeSet::new() };
        for setting in [&config.locality_lb, &config.zone_aware_lb].into_iter().flatten() {
            let labels = setting.get("failoverPriority").and_then(Value::as_array).into_iter().flatten();
            read.compare(labels.filter_map(Value::as_str));
        }
        read
    }

    /// And by a `DestinationRule`'s policy.
    pub(crate) fn add(&mut self, policy: &TrafficPolicy) {
        self.is_read |= policy.outlier_detection.is_some();
        self.add_settings(policy.load_balancer.as_deref());
        for of_port in &policy.port_level_settings {
            self.is_read |= of_port.outlier_detection.is_some();
            self.add_settings(of_port.load_balancer.as_deref());
        }
    }

    fn add_settings(&mut self, settings: Option<&Spanned<LoadBalancerSettings>>) {
        let Some(settings) = settings else { return };
        if let Some(setting) = &settings.locality_lb_setting {
            self.is_read = true;
            self.compare(setting.failover_priority.iter().map(|label| label.value.as_str()));
        }
        if let Some(setting) = &settings.zone_aware_lb_setting {
            self.is_read = true;
            self.compare(setting.failover_priority.iter().map(|label| label.value.as_str()));
        }
    }

    fn compare<'a>(&mut self, labels: impl Iterator<Item = &'a str>) {
        self.compared.extend(labels.map(|label| label_and_value(label).0.into()));
    }

    /// Their names.
    pub(crate) fn names(self) -> impl Iterator<Item = SmolStr> {
        let of_locality = locality::label_names().filter(move |_| self.is_read).map(SmolStr::new_static);
        of_locality.chain(self.compared)
    }
}

#[cfg(test)]
mod tests;
