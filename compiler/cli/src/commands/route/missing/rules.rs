//! Subsets that no DestinationRule in force defines (semantics D.1).

use super::{Part, Places, Reason, Told, named};
use crate::words::some;
use malha_mesh::{
    Mesh, ProxySpec, Service, Visibility, destination_rule::DestinationRule, host::is_subset, names::fully_qualified,
};
use malha_model::{Resource, Spec, istio};
use malha_syntax::nearest;

/// The subset is not defined where the proxy looks.
pub(super) fn no_subset(
    mesh: &Mesh,
    proxy: &ProxySpec,
    service: &Service,
    rule: Option<&DestinationRule>,
    subset: &str,
    places: Places<'_>,
) -> Told {
    let in_force = rule.and_then(|rule| rule.rules.first());
    let elsewhere = elsewhere(mesh, proxy, service, rule, subset, places);
    let part = Part::Subset;
    let (Some(rule), Some(resource)) = (rule, in_force) else {
        let message = format!("no DestinationRule is in force for `{}` here, so it has no subsets", service.hostname);
        let help = elsewhere
            .unwrap_or_else(|| format!("add a DestinationRule for `{}` that defines `{subset}`", service.hostname));
        return Told { reason: Reason::NoDestinationRule, part, message, help: Some(help) };
    };
    let names: Vec<String> = rule.subset_names().map(ToString::to_string).collect();
    let has = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", some(&names)) };
    let message = format!("{} is in force here and has no subset `{subset}`; {has}", named(resource, places));
    let close = nearest(subset, names.iter().map(String::as_str)).map(|close| format!("did you mean `{close}`?"));
    let help = elsewhere.or(close).unwrap_or_else(|| "define it there, with the labels of its endpoints".to_owned());
    Told { reason: Reason::SubsetUndefined, part, message, help: Some(help) }
}

/// A DestinationRule that defines the subset and is not in force for the proxy, and why it is not.
fn elsewhere(
    mesh: &Mesh,
    proxy: &ProxySpec,
    service: &Service,
    in_force: Option<&DestinationRule>,
    subset: &str,
    places: Places<'_>,
) -> Option<String> {
    let domain = &mesh.config().cluster_domain;
    let (resource, rule) = mesh.resources().iter().find_map(|resource| {
        let Spec::DestinationRule(rule) = &resource.spec else { return None };
        let host = fully_qualified(rule.host.as_ref()?, &resource.namespace, domain);
        let defines = rule.subsets.iter().any(|own| own.name.as_ref().is_some_and(|name| name.value == subset));
        (defines && is_subset(&service.hostname, &host)).then_some((resource, rule))
    })?;
    Some(format!(
        "{} defines it, but {}",
        named(resource, places),
        why_not(mesh, proxy, service, in_force, resource, rule)
    ))
}

fn why_not(
    mesh: &Mesh,
    proxy: &ProxySpec,
    service: &Service,
    in_force: Option<&DestinationRule>,
    resource: &Resource,
    rule: &istio::DestinationRule,
) -> String {
    let (config, client) = (mesh.config(), &proxy.namespace);
    let looked_at = [client, &service.namespace, &config.root_namespace];
    if !looked_at.contains(&&resource.namespace) {
        let mut names: Vec<String> = Vec::with_capacity(looked_at.len());
        for name in looked_at.map(|name| format!("`{name}`")) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        return format!("rules for this proxy and service are looked for in {} only", names.join(", then "));
    }
    if let Some(selector) = &rule.workload_selector
        && (resource.namespace != *client
            || selector.match_labels.iter().any(|(name, value)| proxy.labels.get(&name.value) != Some(&value.value)))
    {
        return "its `workloadSelector` does not select the proxy".to_owned();
    }
    let entries = rule.export_to.iter().map(|entry| entry.value.as_str());
    if !Visibility::new(entries, &resource.namespace, &config.default_destination_rule_export_to).includes(client) {
        return format!("it is not exported to namespace `{client}`, where the proxy is");
    }
    match in_force {
        Some(in_force) => format!("DestinationRule `{}` is found before it", in_force.name()),
        None => "a rule for a more specific host hides it".to_owned(),
    }
}
