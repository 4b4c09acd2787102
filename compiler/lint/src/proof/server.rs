//! Servers of Gateways that lose to another: what it means for a request.

use super::{Proof, claim::observed, replay::Replay};
use crate::rule::Context;
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, Field, Reach, language::Test};
use malha_mesh::analysis::{ServiceRules, Worlds};
use malha_mesh::{Gateway, GatewayRef, VirtualService, host};
use malha_model::istio::gateway::Server;
use malha_syntax::{Claim, Location};
use malha_table::Tls;
use smol_str::SmolStr;

/// How many VirtualServices of a Gateway, and how many matches of each, are tried.
const TRIED: usize = 16;

impl Context<'_> {
    /// The server that is written at `place`, with its Gateway.
    pub(crate) fn server_at(&self, place: Location) -> Option<(&Gateway, &Server)> {
        self.mesh.gateways().iter().find_map(|gateway| {
            let server = gateway.servers().iter().find(|server| gateway.resource.location(server.span) == place)?;
            Some((&**gateway, &server.value))
        })
    }

    /// A request that `server` was written for: a rule of a VirtualService asks for it there, and no rule of that
    /// VirtualService has it. `winner` is the Gateway whose server is in the way.
    pub(crate) fn lost_at(&self, gateway: &Gateway, server: &Server, winner: Option<&Gateway>) -> Option<Proof> {
        let replay = Replay::new(self.mesh, self.program);
        let worlds = Worlds::new(self.mesh.config().settings()).of_plain_headers();
        let wanted = GatewayRef::Named(gateway.name.clone());
        let services = self.mesh.virtual_services().iter().filter(|service| service.binds_to(&wanted));
        services.take(TRIED).find_map(|service| {
            let host = shared_host(server, service)?;
            let mut rules = ServiceRules::new(self.mesh, service, &worlds);
            let proof = lost(&mut rules, &replay, &wanted, server, &host)?;
            // Where the rules stand on both Gateways, another object's may be before them on the winner's by age alone.
            let is_on_both = winner.is_some_and(|winner| service.binds_to(&GatewayRef::Named(winner.name.clone())));
            (!is_on_both || matches!(proof.claim, Claim::NoRule { .. })).then_some(proof)
        })
    }
}

/// A host, without wildcards, of both the server and the VirtualService.
fn shared_host(server: &Server, service: &VirtualService) -> Option<String> {
    let own = server.hosts.iter().filter_map(|entry| match entry.split_once('/') {
        Some(("*", host)) => Some(host),
        Some((namespace, host)) => (namespace == "." || namespace == service.name.namespace).then_some(host),
        None => Some(entry.as_str()),
    });
    let shared = host::intersection(own, service.hosts.iter().map(SmolStr::as_str));
    shared.first().map(|host| match host.strip_prefix('*') {
        Some("") => "www.example.com".to_owned(),
        Some(suffix) => format!("www{suffix}"),
        None => (*host).to_owned(),
    })
}

fn lost(
    rules: &mut ServiceRules<'_>,
    replay: &Replay<'_>,
    gateway: &GatewayRef,
    server: &Server,
    host: &str,
) -> Option<Proof> {
    let number = server.port.as_ref()?.number.as_ref()?.value;
    let way = rules.entrances.iter().find(|way| way.gateway == *gateway && way.number == Some(number))?;
    let (way, tls) = (way.name.clone(), way.tls);
    for row in (0..rules.rows.len()).take(TRIED) {
        // Such a rule chooses the host itself.
        if rules.rows[row].predicate.conditions.iter().any(|condition| condition.field == Field::Authority) {
            continue;
        }
        let mut product = rules.list.rows()[row].clone();
        product.insert(rules.space.literal(&Axis::Listener, Test::exact(way.clone()), true));
        let left = rules.list.left_of(&mut rules.space, &product, Among::Before(row), DEFAULT_BUDGET);
        let Reach::Live(point) = left else { continue };
        let Some(mut request) = rules.request(&point) else { continue };
        request.authority = Some(host.to_owned());
        request.tls = tls.then(|| Tls { sni: Some(host.to_owned()), alpn: Vec::new() });
        let Some(decision) = replay.decide(&request) else { continue };
        let name = &rules.service.name;
        let is_own = |rule: &malha_table::Rule| rule.namespace == *name.namespace && rule.name == *name.name;
        if decision.rule.as_ref().is_some_and(is_own) {
            // Another server leads to the same rules.
            return None;
        }
        return Some(Proof { claim: observed(&decision), request });
    }
    None
}
