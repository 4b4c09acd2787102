//! Rules for bytes: weighted destinations of `tcp` and `tls` rules (semantics A61).

use super::destinations::{Scope, Target};
use crate::VirtualService;
use crate::program::{Destination, Origin, TcpRoute};
use malha_model::Spanned;
use malha_model::istio::virtual_service::RouteDestination;
use malha_syntax::Span;
use std::sync::Arc;

/// The rule that a chain comes from.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) service: &'a VirtualService,
    pub(super) section: &'static str,
    pub(super) index: usize,
    pub(super) item: Option<usize>,
    /// The match item, or the rule.
    pub(super) place: Span,
}

/// Where the bytes go that `rule` takes: its only destination, or those with a weight.
pub(super) fn route(routes: &[Spanned<RouteDestination>], rule: Rule<'_>, scope: &Scope<'_>) -> TcpRoute {
    let several = routes.len() > 1;
    let destinations = routes.iter().filter_map(|route| {
        let weight = route.weight.as_ref().and_then(|weight| u32::try_from(weight.value).ok()).unwrap_or(0);
        if several && weight == 0 {
            return None;
        }
        let Target { destination, .. } = scope.layer4_target(route.destination.as_ref()?);
        Some(Destination { weight: if several { weight } else { 1 }, ..destination })
    });
    TcpRoute {
        destinations: destinations.collect(),
        origin: Some(Arc::new(Origin {
            namespace: rule.service.name.namespace.clone(),
            name: rule.service.name.name.clone(),
            section: rule.section,
            index: rule.index as u32,
            match_index: rule.item.map(|at| at as u32),
            route_name: None,
            location: rule.service.resource.location(rule.place),
            delegate: None,
        })),
    }
}
