//! The traffic policies of a DestinationRule, wherever in it they are written.

use malha_model::{
    Spanned,
    istio::{
        DestinationRule,
        destination_rule::{ClientTlsSettings, LoadBalancerSettings, OutlierDetection, TrafficPolicy},
    },
};

/// What a policy says, for a host, a subset, or a port of either.
pub(crate) struct Policy<'a> {
    /// Its path, as `spec.subsets[0].trafficPolicy.portLevelSettings[1]`.
    pub(crate) path: String,
    pub(crate) load_balancer: Option<&'a Spanned<LoadBalancerSettings>>,
    pub(crate) outlier_detection: Option<&'a Spanned<OutlierDetection>>,
    pub(crate) tls: Option<&'a Spanned<ClientTlsSettings>>,
}

/// The policies of a DestinationRule in the order of the file.
pub(crate) fn policies(rule: &DestinationRule) -> Vec<Policy<'_>> {
    let mut found = Vec::new();
    if let Some(policy) = &rule.traffic_policy {
        parts("spec.trafficPolicy".to_owned(), policy, &mut found);
    }
    for (index, subset) in rule.subsets.iter().enumerate() {
        if let Some(policy) = &subset.traffic_policy {
            parts(format!("spec.subsets[{index}].trafficPolicy"), policy, &mut found);
        }
    }
    found
}

fn parts<'a>(path: String, policy: &'a TrafficPolicy, found: &mut Vec<Policy<'a>>) {
    for (index, port) in policy.port_level_settings.iter().enumerate() {
        found.push(Policy {
            path: format!("{path}.portLevelSettings[{index}]"),
            load_balancer: port.load_balancer.as_deref(),
            outlier_detection: port.outlier_detection.as_deref(),
            tls: port.tls.as_deref(),
        });
    }
    found.push(Policy {
        path,
        load_balancer: policy.load_balancer.as_deref(),
        outlier_detection: policy.outlier_detection.as_deref(),
        tls: policy.tls.as_deref(),
    });
}
