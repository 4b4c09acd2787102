//! Destinations as a VirtualService writes them, delegates' included.

use malha_model::{
    Resource, Spanned, Spec,
    istio::{self, virtual_service::RouteDestination},
};

/// What is sent to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Requests.
    Requests,
    /// Copies of requests.
    Copies,
    /// Connections.
    Connections,
}

/// A destination, where it is written.
pub(crate) struct Destination<'a> {
    /// What it says.
    pub(crate) value: &'a istio::Destination,
    /// Its path, as `spec.http[0].route[1].destination`.
    pub(crate) field: String,
    /// What it gets.
    pub(crate) sent: Sent,
}

/// Every destination of `resource` that gets something, in the order of the file; none if it is no VirtualService.
///
/// A weight of 0 beside others takes a destination out of use (semantics A61, C7), so such ones are left out.
pub(crate) fn destinations(resource: &Resource) -> Vec<Destination<'_>> {
    let Spec::VirtualService(spec) = &resource.spec else { return Vec::new() };
    let mut found = Vec::new();
    for (rule, http) in spec.http.iter().enumerate() {
        let weights = http.route.iter().map(|route| weight(route.weight.as_ref()));
        let used = used(weights.collect());
        for (at, route) in http.route.iter().enumerate().filter(|(at, _)| used.contains(at)) {
            let field = format!("spec.http[{rule}].route[{at}].destination");
            push(&mut found, route.destination.as_ref(), field, Sent::Requests);
        }
        if let Some(mirror) = &http.mirror {
            let field = format!("spec.http[{rule}].mirror");
            found.push(Destination { value: &mirror.value, field, sent: Sent::Copies });
        }
        for (at, mirror) in http.mirrors.iter().enumerate() {
            let field = format!("spec.http[{rule}].mirrors[{at}].destination");
            push(&mut found, mirror.destination.as_ref(), field, Sent::Copies);
        }
    }
    let tls = spec.tls.iter().enumerate().map(|(rule, tls)| ("tls", rule, &tls.route));
    let tcp = spec.tcp.iter().enumerate().map(|(rule, tcp)| ("tcp", rule, &tcp.route));
    for (section, rule, routes) in tls.chain(tcp) {
        connections(&mut found, section, rule, routes);
    }
    found
}

fn connections<'a>(
    found: &mut Vec<Destination<'a>>,
    section: &str,
    rule: usize,
    routes: &'a [Spanned<RouteDestination>],
) {
    let used = used(routes.iter().map(|route| weight(route.weight.as_ref())).collect());
    for (at, route) in routes.iter().enumerate().filter(|(at, _)| used.contains(at)) {
        let field = format!("spec.{section}[{rule}].route[{at}].destination");
        push(found, route.destination.as_ref(), field, Sent::Connections);
    }
}

fn push<'a>(
    found: &mut Vec<Destination<'a>>,
    destination: Option<&'a Spanned<istio::Destination>>,
    field: String,
    sent: Sent,
) {
    found.extend(destination.map(|destination| Destination { value: &destination.value, field, sent }));
}

fn weight(weight: Option<&Spanned<i32>>) -> i32 {
    weight.map_or(0, |weight| weight.value)
}

/// The indices of those that get something.
fn used(weights: Vec<i32>) -> Vec<usize> {
    let is_lone = weights.len() == 1;
    weights.into_iter().enumerate().filter(|(_, weight)| is_lone || *weight > 0).map(|(at, _)| at).collect()
}

impl Sent {
    /// What becomes of it where there is no such destination, for messages (semantics B26).
    pub(crate) fn fate(self) -> &'static str {
        match self {
            Sent::Requests => "requests sent to it get 503",
            Sent::Copies => "copies to it are dropped",
            Sent::Connections => "connections to it are closed",
        }
    }
}
