//! What the webhook refuses of a DestinationRule.

use super::{
    Judge, domains,
    export_to::{self, Owner},
    labels, traffic_policy,
};
use crate::{
    Metadata,
    istio::DestinationRule,
    read::shorten,
    rules::{DUPLICATE_ITEM, INVALID_NAME, INVALID_TEXT},
};
use malha_syntax::{Finding, Span};
use std::collections::HashMap;

pub(super) fn judge(metadata: &Metadata, rule: &DestinationRule, judge: &mut Judge<'_, '_>) {
    if let Some(host) = &rule.host
        && let Some(problem) = domains::wildcard_fault(host)
    {
        let message = format!("`{}` is no DNS name: {problem}", shorten(host));
        judge.refuse(&INVALID_TEXT, "spec.host", host.span, message, domains::NAME_HELP);
    }
    if let Some(policy) = &rule.traffic_policy {
        traffic_policy::check(policy, metadata, format_args!("spec.trafficPolicy"), judge);
    }
    check_subsets(metadata, rule, judge);
    if let Some(selector) = &rule.workload_selector {
        export_to::check_own_namespace(&rule.export_to, selector.key, metadata, judge);
    }
    export_to::check_export_to(&rule.export_to, Owner::Other, metadata, judge);
}

fn check_subsets(metadata: &Metadata, rule: &DestinationRule, judge: &mut Judge<'_, '_>) {
    let mut known: HashMap<&str, Span> = HashMap::new();
    for (index, subset) in rule.subsets.iter().enumerate() {
        let path = format_args!("spec.subsets[{index}]");
        if let Some(name) = &subset.name {
            if !domains::is_label(name) {
                judge.refuse(
                    &INVALID_NAME,
                    format!("{path}.name"),
                    name.span,
                    format!("`{}` cannot be the name of a subset", shorten(name)),
                    "use at most 63 letters, digits and inner hyphens, as `v1-2`",
                );
            } else if let Some(first) = known.insert(name.as_str(), name.span) {
                let message = format!("this DestinationRule has a subset `{}` already", name.value);
                let finding = Finding::new(&DUPLICATE_ITEM, judge.reader.location(name.span), message)
                    .field(format!("{path}.name"))
                    .related(judge.reader.location(first), "the first one is here")
                    .help("give each subset another name");
                judge.report(finding);
            }
        }
        labels::check_labels(&subset.labels, format_args!("{path}.labels"), judge);
        if let Some(policy) = &subset.traffic_policy {
            traffic_policy::check(policy, metadata, format_args!("{path}.trafficPolicy"), judge);
        }
    }
}
