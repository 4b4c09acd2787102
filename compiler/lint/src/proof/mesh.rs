//! VirtualServices that want one host of the mesh: only the first of them has it (semantics B.2).

use super::{Proof, claim::observed, replay::Replay, service::doing};
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, Reach, language::Test};
use malha_mesh::analysis::{ServiceRules, Worlds};
use malha_mesh::program::{Program, Role};
use malha_mesh::{GatewayRef, HttpRule, Mesh, ObjectName, VirtualService, Visibility};
use malha_syntax::Location;
use malha_table::{Outcome, Rule};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// A host that another VirtualService has.
#[derive(Clone, Debug)]
pub(crate) struct TakenHost {
    pub(crate) host: SmolStr,
    /// Who has it.
    pub(crate) winner: ObjectName,
    /// Where the winner's object is named.
    pub(crate) winner_location: Location,
    /// Whose rules are not used for it.
    pub(crate) loser: ObjectName,
    /// Where the loser names it.
    pub(crate) location: Location,
    /// Its index among the loser's hosts.
    pub(crate) index: usize,
    pub(crate) proof: Proof,
}

pub(super) fn prove(mesh: &Mesh, program: &Program) -> Vec<TakenHost> {
    let mut by_host: BTreeMap<&SmolStr, Vec<&VirtualService>> = BTreeMap::new();
    for service in mesh.virtual_services().iter().filter(|service| service.binds_to(&GatewayRef::Mesh)) {
        for host in service.hosts.iter().collect::<BTreeSet<_>>() {
            by_host.entry(host).or_default().push(service);
        }
    }
    by_host.retain(|_, services| services.len() > 1);
    if by_host.is_empty() {
        return Vec::new();
    }
    let replay = Replay::new(mesh, program);
    let worlds = Worlds::new(mesh.config().settings()).of_plain_headers();
    let mut taken = Vec::new();
    for (host, services) in by_host {
        for loser in &services {
            let proved = services.iter().filter(|other| other.name != loser.name).find_map(|winner| {
                let namespace = shared_namespace(winner, loser)?;
                let order = mesh.virtual_services_for(&GatewayRef::Mesh, &namespace);
                let place = |service: &VirtualService| order.iter().position(|other| other.name == service.name);
                if place(winner)? > place(loser)? {
                    return None;
                }
                difference(mesh, &replay, &worlds, host, winner, loser).map(|proof| (winner, proof))
            });
            if let Some((winner, proof)) = proved {
                taken.extend(told(host, winner, loser, proof));
            }
        }
    }
    taken
}

fn told(host: &SmolStr, winner: &VirtualService, loser: &VirtualService, proof: Proof) -> Option<TakenHost> {
    let index = loser.hosts.iter().position(|own| own == host)?;
    let malha_model::Spec::VirtualService(spec) = &loser.resource.spec else { return None };
    Some(TakenHost {
        host: host.clone(),
        winner: winner.name.clone(),
        winner_location: crate::place::named(&winner.resource),
        loser: loser.name.clone(),
        location: loser.resource.location(spec.hosts.get(index)?.span),
        index,
        proof,
    })
}

/// A namespace whose proxies see both.
fn shared_namespace(one: &VirtualService, other: &VirtualService) -> Option<SmolStr> {
    let of = |service: &VirtualService| match &service.visibility {
        Visibility::Namespaces(names) => names.clone(),
        Visibility::Public => vec![SmolStr::new_static("default"), service.name.namespace.clone()],
        Visibility::Nobody => Vec::new(),
    };
    let mut names = of(one).into_iter().chain(of(other));
    names.find(|name| one.visibility.includes(name) && other.visibility.includes(name))
}

/// A request to the host that the loser's rules would treat otherwise than the winner's do.
fn difference(
    mesh: &Mesh,
    replay: &Replay<'_>,
    worlds: &Worlds,
    host: &SmolStr,
    winner: &VirtualService,
    loser: &VirtualService,
) -> Option<Proof> {
    let mut rules = ServiceRules::new(mesh, loser, worlds);
    let ways: Vec<SmolStr> =
        rules.entrances.iter().filter(|way| way.role() == Role::Sidecar).map(|way| way.name.clone()).collect();
    for row in 0..rules.rows.len() {
        let mut through = rules.list.rows()[row].clone();
        through.insert(rules.space.literal(&Axis::Listener, Test::one_of(ways.iter().cloned()), true));
        let left = rules.list.left_of(&mut rules.space, &through, Among::Before(row), DEFAULT_BUDGET);
        let Reach::Live(point) = left else { continue };
        let Some(mut request) = rules.request(&point) else { continue };
        // Of several hosts it is this one that counts.
        if !host.starts_with('*') {
            request.authority = Some(host.to_string());
        }
        let Some(decision) = replay.decide(&request) else { continue };
        if decision.rule.is_none() && decision.outcome != Outcome::NotFound {
            continue;
        }
        let is_winner = |rule: &Rule| {
            (rule.namespace.as_str(), rule.name.as_str()) == (&*winner.name.namespace, &*winner.name.name)
        };
        if !decision.rule.as_ref().map_or(decision.host.is_some(), is_winner) {
            continue;
        }
        let same = decision.rule.as_ref().is_some_and(|taker| {
            let mut rules_of_winner = winner.http_rules();
            rules_of_winner
                .any(|rule| place(rule) == place_of(taker) && doing(rule.route) == doing(rules.rows[row].rule.route))
        });
        if same {
            continue;
        }
        return Some(Proof { claim: observed(&decision), request });
    }
    None
}

/// Index of a rule, and of the delegate's that is merged there.
fn place(rule: HttpRule<'_>) -> (u32, Option<u32>) {
    (rule.index, rule.delegate.map(|delegate| delegate.index))
}

fn place_of(rule: &Rule) -> (u32, Option<u32>) {
    (rule.index, rule.delegate.as_ref().map(|delegate| delegate.index))
}
