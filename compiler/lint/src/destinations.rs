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
    /// Where it is written.
    place: Place,
    /// What it gets.
    pub(crate) sent: Sent,
}

/// Where in its VirtualService a destination is written.
#[derive(Clone, Copy)]
enum Place {
    Route { section: &'static str, rule: usize, at: usize },
    Mirror { rule: usize },
    Mirrors { rule: usize, at: usize },
}

impl Destination<'_> {
    /// Its path, as `spec.http[0].route[1].destination`.
    pub(crate) fn field(&self) -> String {
        match self.place {
            Place::Route { section, rule, at } => format!("spec.{section}[{rule}].route[{at}].destination"),
            Place::Mirror { rule } => format!("spec.http[{rule}].mirror"),
            Place::Mirrors { rule, at } => format!("spec.http[{rule}].mirrors[{at}].destination"),
        }
    }
}

/// Every destination of `resource` that gets something, in the order of the file; none if it is no VirtualService.
///
/// A weight of 0 beside others takes a destination out of use (semantics A61, C7), so such ones are left out.
pub(crate) fn destinations(resource: &Resource) -> Vec<Destination<'_>> {
    let Spec::VirtualService(spec) = &resource.spec else { return Vec::new() };
    let mut found = Vec::new();
    for (rule, http) in spec.http.iter().enumerate() {
        let is_lone = http.route.len() == 1;
        let is_used = |weight: Option<&Spanned<i32>>| is_lone || weight.is_some_and(|weight| weight.value > 0);
        for (at, route) in http.route.iter().enumerate().filter(|(_, route)| is_used(route.weight.as_ref())) {
            push(&mut found, route.destination.as_ref(), Place::Route { section: "http", rule, at }, Sent::Requests);
        }
        if let Some(mirror) = &http.mirror {
            found.push(Destination { value: &mirror.value, place: Place::Mirror { rule }, sent: Sent::Copies });
        }
        for (at, mirror) in http.mirrors.iter().enumerate() {
            push(&mut found, mirror.destination.as_ref(), Place::Mirrors { rule, at }, Sent::Copies);
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
    section: &'static str,
    rule: usize,
    routes: &'a [Spanned<RouteDestination>],
) {
    let is_lone = routes.len() == 1;
    let is_used = |weight: Option<&Spanned<i32>>| is_lone || weight.is_some_and(|weight| weight.value > 0);
    for (at, route) in routes.iter().enumerate().filter(|(_, route)| is_used(route.weight.as_ref())) {
        push(found, route.destination.as_ref(), Place::Route { section, rule, at }, Sent::Connections);
    }
}

fn push<'a>(
    found: &mut Vec<Destination<'a>>,
    destination: Option<&'a Spanned<istio::Destination>>,
    place: Place,
    sent: Sent,
) {
    found.extend(destination.map(|destination| Destination { value: &destination.value, place, sent }));
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
