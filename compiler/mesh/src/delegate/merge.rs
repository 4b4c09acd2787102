//! Merging a rule of a delegate into the root's rule (semantics B17, B18, B22).

use super::{DropReason, MOST_MATCHES_OF_RULE, MergedMatch, conflict::conflict};
use crate::names::{fully_qualified, gateway_ref};
use malha_model::{
    Entries, Resource, Spanned,
    istio::{
        Destination,
        virtual_service::{HttpMatchRequest, HttpRoute},
    },
};
use smol_str::{SmolStr, ToSmolStr, format_smolstr};

/// A rule with the object that says it.
#[derive(Clone, Copy)]
pub(super) struct RuleOf<'a> {
    pub(super) resource: &'a Resource,
    pub(super) route: &'a HttpRoute,
}

/// `delegate` refined by `root`: one rule with whole names, and where its match items come from, of which there may be
/// no more than `budget`.
pub(super) fn merge(
    root: RuleOf<'_>,
    delegate: RuleOf<'_>,
    cluster_domain: &str,
    budget: usize,
) -> Result<(HttpRoute, Vec<MergedMatch>), DropReason> {
    if budget == 0 {
        return Err(DropReason::TooMany { in_all: true });
    }
    let outer = with_whole_names(root, cluster_domain);
    let mut merged = with_whole_names(delegate, cluster_domain);
    let (matches, origins) = merge_matches((root.resource, &outer), (delegate.resource, &merged), budget)?;
    merged.matches = matches;
    merged.name = join(outer.name, merged.name);
    merged.rewrite = merged.rewrite.or(outer.rewrite);
    merged.direct_response = merged.direct_response.or(outer.direct_response);
    merged.timeout = merged.timeout.or(outer.timeout);
    merged.retries = merged.retries.or(outer.retries);
    merged.fault = merged.fault.or(outer.fault);
    merged.mirror = merged.mirror.or(outer.mirror);
    merged.mirror_percent = merged.mirror_percent.or(outer.mirror_percent);
    merged.mirror_percent_snake_case = merged.mirror_percent_snake_case.or(outer.mirror_percent_snake_case);
    merged.mirror_percentage = merged.mirror_percentage.or(outer.mirror_percentage);
    merged.cors_policy = merged.cors_policy.or(outer.cors_policy);
    merged.headers = merged.headers.or(outer.headers);
    if merged.mirrors.is_empty() {
        merged.mirrors = outer.mirrors;
    }
    Ok((merged, origins))
}

/// The rule with its hosts and gateways resolved in the namespace of its own object (semantics B23).
fn with_whole_names(rule: RuleOf<'_>, cluster_domain: &str) -> HttpRoute {
    let namespace = rule.resource.namespace.as_str();
    let resolve = |destination: &mut Spanned<Destination>| {
        if let Some(host) = &mut destination.value.host {
            host.value = fully_qualified(&host.value, namespace, cluster_domain);
        }
    };
    let mut route = rule.route.clone();
    route.route.iter_mut().filter_map(|item| item.value.destination.as_mut()).for_each(resolve);
    route.mirrors.iter_mut().filter_map(|item| item.value.destination.as_mut()).for_each(resolve);
    route.mirror.as_deref_mut().into_iter().for_each(resolve);
    for item in &mut route.matches {
        for gateway in &mut item.value.gateways {
            gateway.value = gateway_ref(&gateway.value, namespace).to_smolstr();
        }
    }
    route
}

/// For each item of the delegate every item of the root that it refines (semantics B17).
fn merge_matches(
    (root_resource, root): (&Resource, &HttpRoute),
    (leaf_resource, leaf): (&Resource, &HttpRoute),
    budget: usize,
) -> Result<(Vec<Spanned<HttpMatchRequest>>, Vec<MergedMatch>), DropReason> {
    let place = |resource: &Resource, index: usize, item: &Spanned<HttpMatchRequest>| {
        Some((index as u32, resource.location(item.span)))
    };
    let most = budget.min(MOST_MATCHES_OF_RULE);
    let too_many = || DropReason::TooMany { in_all: budget < MOST_MATCHES_OF_RULE };
    // Where one list is empty, the other stands as it is.
    if leaf.matches.len().max(root.matches.len()) > most {
        return Err(too_many());
    }
    if leaf.matches.is_empty() {
        let origin = |(index, item)| MergedMatch { root: place(root_resource, index, item), delegate: None };
        return Ok((root.matches.clone(), root.matches.iter().enumerate().map(origin).collect()));
    }
    if root.matches.is_empty() {
        let origin = |(index, item)| MergedMatch { root: None, delegate: place(leaf_resource, index, item) };
        return Ok((leaf.matches.clone(), leaf.matches.iter().enumerate().map(origin).collect()));
    }
    let mut matches = Vec::new();
    let mut origins = Vec::new();
    for (leaf_index, leaf_item) in leaf.matches.iter().enumerate() {
        let mut disagreement = None;
        let before = matches.len();
        for (root_index, root_item) in root.matches.iter().enumerate() {
            if let Some(field) = conflict(root_item, leaf_item) {
                disagreement = Some((field, root_item));
                continue;
            }
            if matches.len() == most {
                return Err(too_many());
            }
            let merged = merge_item(root_item, leaf_item);
            matches.push(Spanned { value: merged, span: leaf_item.span, key: leaf_item.key });
            origins.push(MergedMatch {
                root: place(root_resource, root_index, root_item),
                delegate: place(leaf_resource, leaf_index, leaf_item),
            });
        }
        if let (true, Some((field, root_item))) = (matches.len() == before, disagreement) {
            return Err(DropReason::Conflict {
                item: leaf_index as u32,
                location: leaf_resource.location(leaf_item.span),
                field,
                root: root_resource.location(root_item.span),
            });
        }
    }
    Ok((matches, origins))
}

/// The delegate's item with its gaps filled by the root's (semantics B18).
fn merge_item(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> HttpMatchRequest {
    HttpMatchRequest {
        name: join(root.name.clone(), leaf.name.clone()),
        uri: leaf.uri.clone().or_else(|| root.uri.clone()),
        ignore_uri_case: leaf.ignore_uri_case,
        scheme: leaf.scheme.clone().or_else(|| root.scheme.clone()),
        method: leaf.method.clone().or_else(|| root.method.clone()),
        authority: leaf.authority.clone().or_else(|| root.authority.clone()),
        headers: union(&root.headers, &leaf.headers),
        without_headers: union(&root.without_headers, &leaf.without_headers),
        query_params: union(&root.query_params, &leaf.query_params),
        port: leaf.port.filter(|port| port.value > 0).or(root.port),
        source_labels: union(&root.source_labels, &leaf.source_labels),
        source_namespace: leaf.source_namespace.clone().or_else(|| root.source_namespace.clone()),
        gateways: if leaf.gateways.is_empty() { root.gateways.clone() } else { leaf.gateways.clone() },
        stat_prefix: leaf.stat_prefix.clone().or_else(|| root.stat_prefix.clone()),
    }
}

fn union<T: Clone>(root: &Entries<T>, leaf: &Entries<T>) -> Entries<T> {
    let kept = root.iter().filter(|(name, _)| !leaf.contains_key(name));
    kept.chain(leaf).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `root-delegate`, or whichever there is.
fn join(root: Option<Spanned<SmolStr>>, leaf: Option<Spanned<SmolStr>>) -> Option<Spanned<SmolStr>> {
    match (root, leaf) {
        (Some(root), Some(leaf)) if !root.is_empty() && !leaf.is_empty() => {
            Some(Spanned { value: format_smolstr!("{}-{}", root.value, leaf.value), ..leaf })
        }
        (root, leaf) => leaf.filter(|name| !name.is_empty()).or(root),
    }
}
