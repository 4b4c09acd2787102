//! What the webhook refuses of a DestinationRule.

use super::{Judge, hosts, labels, traffic_policy};
use crate::{
    Metadata, Spanned,
    istio::DestinationRule,
    read::shorten,
    rules::{DUPLICATE_ITEM, EXCLUSIVE_FIELDS, INVALID_NAME, INVALID_TEXT},
};
use malha_syntax::{Finding, Span};
use smol_str::SmolStr;
use std::collections::HashMap;

pub(super) fn judge(metadata: &Metadata, rule: &DestinationRule, judge: &mut Judge<'_, '_>) {
    if let Some(host) = &rule.host
        && let Some(problem) = hosts::wildcard_fault(host)
    {
        let message = format!("`{}` is no DNS name: {problem}", shorten(host));
        judge.refuse(&INVALID_TEXT, "spec.host", host.span, message, hosts::NAME_HELP);
    }
    if let Some(policy) = &rule.traffic_policy {
        traffic_policy::check(policy, metadata, format_args!("spec.trafficPolicy"), judge);
    }
    check_subsets(metadata, rule, judge);
    if let Some(selector) = &rule.workload_selector {
        check_own_namespace(&rule.export_to, selector.key, metadata, judge);
    }
    judge.export_to(&rule.export_to, Judge::namespace(metadata), false);
}

fn check_subsets(metadata: &Metadata, rule: &DestinationRule, judge: &mut Judge<'_, '_>) {
    let mut known: HashMap<&str, Span> = HashMap::new();
    for (index, subset) in rule.subsets.iter().enumerate() {
        let path = format_args!("spec.subsets[{index}]");
        if let Some(name) = &subset.name {
            if !hosts::is_label(name) {
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

/// Judges the `exportTo` of a DestinationRule that has a `workloadSelector`: it works in its own namespace alone.
fn check_own_namespace(export_to: &[Spanned<SmolStr>], selector: Span, metadata: &Metadata, judge: &mut Judge<'_, '_>) {
    let own = Judge::namespace(metadata);
    for (index, entry) in export_to.iter().enumerate().filter(|(_, entry)| *entry.value != *"." && *entry.value != *own)
    {
        let message = format!(
            "`{}` is not the namespace of this DestinationRule, and one with a `workloadSelector` works in its own alone",
            shorten(entry)
        );
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(entry.span), message)
            .field(format!("spec.exportTo[{index}]"))
            .related(judge.reader.location(selector), "the `workloadSelector` is here")
            .help("write `exportTo: [.]`, or remove `workloadSelector`");
        judge.report(finding);
    }
}
