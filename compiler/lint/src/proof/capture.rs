//! TCP ports of ServiceEntries that take connections meant for others (semantics E14).

use super::{Proof, claim::observed, replay::Replay};
use malha_mesh::program::Program;
use malha_mesh::registry::ServiceOrigin;
use malha_mesh::{Mesh, Resolution, Service};
use malha_model::{Resource, Spec};
use malha_syntax::Location;
use malha_table::{Address, ProxyIdentity, Request};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A port of a host without addresses that takes a connection to another address.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) host: SmolStr,
    pub(crate) number: u32,
    pub(crate) resource: Arc<Resource>,
    pub(crate) location: Location,
    pub(crate) field: String,
    /// The address of the connection.
    pub(crate) elsewhere: &'static str,
    pub(crate) proof: Proof,
}

/// Addresses for documentation: nobody has them, so whoever takes a connection to one takes it for want of another.
const ELSEWHERE: [&str; 2] = ["198.51.100.77", "203.0.113.77"];

/// So many ports are tried; each costs a request.
const TRIED: usize = 512;

pub(super) fn prove(mesh: &Mesh, program: &Program) -> Vec<Captured> {
    let replay = Replay::new(mesh, program);
    let mut told: BTreeSet<(SmolStr, u32)> = BTreeSet::new();
    let services = mesh.registry().services().iter().filter(|service| {
        let is_resolved =
            matches!(service.resolution, Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin);
        service.origin == ServiceOrigin::ServiceEntry && service.addresses.is_empty() && is_resolved
    });
    let ports = services.flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    let ports = ports.filter(|(_, port)| super::entries::names_no_host(port.protocol));
    let mut found = Vec::new();
    for (service, port) in ports.take(TRIED) {
        if told.contains(&(service.namespace.clone(), port.number)) {
            continue;
        }
        let Some((elsewhere, proof)) = takes(&replay, service, port.number) else { continue };
        told.insert((service.namespace.clone(), port.number));
        let Some((resource, index)) = place_of(service, port.location) else { continue };
        found.push(Captured {
            host: service.hostname.clone(),
            number: port.number,
            resource: Arc::clone(resource),
            location: port.location,
            field: format!("spec.ports[{index}]"),
            elsewhere,
            proof,
        });
    }
    found
}

/// A connection to an address of nobody that the service takes.
fn takes(replay: &Replay<'_>, service: &Service, number: u32) -> Option<(&'static str, Proof)> {
    let namespaces = [SmolStr::new_static("default"), service.namespace.clone()];
    let seen_from = namespaces.into_iter().find(|namespace| service.visibility.includes(namespace))?;
    ELSEWHERE.into_iter().find_map(|address| {
        let identity = ProxyIdentity { namespace: seen_from.to_string(), labels: BTreeMap::new() };
        let request = Request {
            via: Some("mesh".to_owned()),
            proxy: (seen_from != "default").then_some(identity),
            port: Some(number),
            destination: Some(Address { ip: address.to_owned() }),
            protocol: Some(malha_table::Protocol::Tcp),
            ..Request::default()
        };
        let decision = replay.decide(&request)?;
        // With rules of a VirtualService in between, it is these that say where connections go.
        let goes = decision.rule.is_none()
            && decision.destinations.iter().any(|destination| destination.host == service.hostname);
        goes.then(|| (address, Proof { claim: observed(&decision), request }))
    })
}

/// The object that writes a port, and the port's index there.
fn place_of(service: &Service, place: Location) -> Option<(&Arc<Resource>, usize)> {
    service.objects().iter().find_map(|resource| {
        let Spec::ServiceEntry(entry) = &resource.spec else { return None };
        let index = entry.ports.iter().position(|port| resource.location(port.span) == place)?;
        Some((resource, index))
    })
}
