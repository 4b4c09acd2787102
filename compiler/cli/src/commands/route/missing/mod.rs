//! Why a destination answers 503: what of it is missing, as the proxy sees it, and where the files say it.

mod endpoints;
mod rules;
mod why;

use super::place;
use crate::words::some;
use malha_mesh::{Mesh, ObjectName, ProxySpec, Service, ServicePort, names::fully_qualified, program::Program};
use malha_model::{Resource, Spanned, Spec, istio};
use malha_syntax::{Location, Span};
use malha_table::{Decision, Destination, Rule};
use serde::Serialize;

/// Gives the file and the line of a place.
pub(super) type Places<'p> = &'p dyn Fn(Location) -> (String, u32);

/// What is wrong with a destination, or with the host that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    /// Nothing in the files has the host.
    HostUnknown,
    /// Something has it, but is not exported to the proxy's namespace.
    HostNotExported,
    /// Something has it, or its port, but the proxy's Sidecar does not let it through.
    HostNotLetThrough,
    /// It only stands for another name, which leads nowhere.
    HostIsAlias,
    /// The service has no such port.
    PortUndefined,
    /// No DestinationRule is in force for the service, so that it has no subsets.
    NoDestinationRule,
    /// The DestinationRule in force defines no such subset.
    SubsetUndefined,
    /// The subset is defined, but no endpoint has its labels.
    SubsetWithoutEndpoints,
    /// The service has no endpoints at all.
    NoEndpoints,
}

/// The part of a destination that is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Host,
    Port,
    Subset,
}

/// What is said of a destination.
struct Told {
    reason: Reason,
    part: Part,
    message: String,
    help: Option<String>,
}

/// A destination that cannot take the request, and why.
#[derive(Serialize)]
pub(super) struct Missing {
    /// Its index among the destinations of the decision.
    pub(super) destination: usize,
    reason: Reason,
    message: String,
    help: Option<String>,
    /// Where a file says what is to blame; none for a route that no VirtualService made.
    at: Option<Place>,
}

#[derive(Serialize)]
struct Place {
    file: String,
    line: u32,
}

impl Missing {
    /// All such destinations of a decision, in order.
    pub(super) fn of(mesh: &Mesh, program: &Program, decision: &Decision, places: Places<'_>) -> Vec<Missing> {
        let Some(proxy) = place::proxy(program, decision) else { return Vec::new() };
        let proxy = ProxySpec {
            role: proxy.role,
            namespace: proxy.namespace.clone(),
            name: proxy.name.clone(),
            labels: proxy.labels.clone(),
        };
        let is_missing = |destination: &Destination| destination.missing || destination.endpoints == Some(0);
        let missing = decision.destinations.iter().enumerate().filter(|(_, destination)| is_missing(destination));
        let explained = missing.filter_map(|(number, destination)| {
            let told = why::why(mesh, &proxy, destination, places)?;
            let written = decision.rule.as_ref().and_then(|rule| written(mesh, rule, destination));
            let at = written.map(|(resource, written)| {
                let (file, line) = places(resource.location(blamed(written, told.part)));
                Place { file, line }
            });
            Some(Missing { destination: number, reason: told.reason, message: told.message, help: told.help, at })
        });
        explained.collect()
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let place = self.at.as_ref().map(|Place { file, line }| format!(" (at {file}:{line})")).unwrap_or_default();
        [Some(format!("{}{place}", self.message)), self.help.clone()].into_iter().flatten()
    }
}

/// Where the rule that took the request writes a destination; with a delegate, where the delegate does.
fn written<'m>(
    mesh: &'m Mesh,
    rule: &Rule,
    wanted: &Destination,
) -> Option<(&'m Resource, &'m Spanned<istio::Destination>)> {
    if let Some(found) = rule.delegate.as_ref().and_then(|delegate| written(mesh, delegate, wanted)) {
        return Some(found);
    }
    let resource = &*mesh.virtual_service(&ObjectName::new(&*rule.namespace, &*rule.name))?.resource;
    let Spec::VirtualService(spec) = &resource.spec else { return None };
    let index = rule.index as usize;
    let destinations: Vec<&Spanned<istio::Destination>> = match rule.section.as_str() {
        "http" => spec.http.get(index)?.route.iter().filter_map(|route| route.destination.as_ref()).collect(),
        "tls" => spec.tls.get(index)?.route.iter().filter_map(|route| route.destination.as_ref()).collect(),
        _ => spec.tcp.get(index)?.route.iter().filter_map(|route| route.destination.as_ref()).collect(),
    };
    let domain = &mesh.config().cluster_domain;
    let is_wanted = |written: &&Spanned<istio::Destination>| {
        let host = written.host.as_ref().map(|host| fully_qualified(host, &resource.namespace, domain));
        let subset = written.subset.as_ref().map(|subset| subset.as_str()).filter(|subset| !subset.is_empty());
        let port = written.port.as_ref().and_then(|port| port.number.as_ref()).map(|number| number.value);
        host.as_deref() == Some(wanted.host.as_str())
            && subset == wanted.subset.as_deref()
            && port.is_none_or(|port| port == wanted.port)
    };
    // An alias is told by the name that it stands for: of several destinations it is not known which is meant.
    let only = if let [only] = destinations.as_slice() { Some(*only) } else { None };
    let found = destinations.iter().find(|written| is_wanted(written)).copied().or(only);
    found.map(|written| (resource, written))
}

fn blamed(written: &Spanned<istio::Destination>, part: Part) -> Span {
    let span = match part {
        Part::Host => None,
        Part::Port => written.port.as_ref().and_then(|port| port.number.as_ref()).map(|number| number.span),
        Part::Subset => written.subset.as_ref().map(|subset| subset.span),
    };
    span.or_else(|| written.host.as_ref().map(|host| host.span)).unwrap_or(written.span)
}

/// The ports of a service, for people.
pub(super) fn ports(service: &Service) -> String {
    let port = |port: &ServicePort| {
        if port.name.is_empty() { port.number.to_string() } else { format!("{} ({})", port.number, port.name) }
    };
    let ports: Vec<String> = service.ports.iter().map(port).collect();
    if ports.is_empty() { "no ports".to_owned() } else { some(&ports) }
}

/// An object, where it is written.
pub(super) fn named(resource: &Resource, places: Places<'_>) -> String {
    let (file, line) = places(place::named(resource));
    format!("{} {}/{} ({file}:{line})", resource.kind.name(), resource.namespace, resource.name)
}
