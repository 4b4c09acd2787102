//! Rules of one VirtualService of which the earlier takes a part of the later one's requests, and neither is a special
//! case of the other.

use super::service::{Fate, RowProof, ServiceProof, doing};
use super::{MOST_OTHERS, Proof, claim::rule_name, replay::Replay};
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, Overlap, Reach, language::Test};
use malha_mesh::analysis::{ServiceRules, Worlds};
use malha_mesh::program::Program;
use malha_mesh::{Mesh, VirtualService};
use malha_model::istio::virtual_service::HttpRoute;
use malha_syntax::Claim;
use rayon::prelude::*;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Earlier matches that are looked at for each match; past them some overlaps are not told.
const LOOKED_AT: usize = 512;

/// Pairs of matches of one VirtualService that the algebra is asked about: for each of its matches, and besides.
const ASKED: (usize, usize) = (2, 1_000);

/// Findings about one VirtualService: who has as many of them wants no more.
const MOST_TOLD: usize = 64;

/// An earlier rule that takes a part of a later one's requests.
pub(crate) struct Partial<'a> {
    /// Two rows: a match of the earlier rule, and one of the later.
    pub(crate) rows: ServiceProof<'a>,
    /// Of how many more rules the earlier one takes a part, at most [`MOST_OTHERS`].
    pub(crate) others: usize,
    /// A request of both.
    pub(crate) proof: Option<Proof>,
}

/// Looks at each VirtualService. No rule is named twice as the earlier one, and none twice as the later one: a rule in
/// front of many, or behind many, is told once.
pub(super) fn prove<'a>(mesh: &'a Mesh, program: &'a Program) -> Vec<Partial<'a>> {
    let replay = Replay::new(mesh, program);
    // That a request could send a header twice makes no two rules meet in practice.
    let worlds = Worlds::new(mesh.config().settings()).of_plain_headers();
    let services = mesh.virtual_services().par_iter().filter(|service| service.http_rules().nth(1).is_some());
    services.flat_map_iter(|service| of_service(mesh, &replay, &worlds, service)).collect()
}

/// A pair that is told.
struct Told {
    earlier: usize,
    later: usize,
    others: usize,
}

fn of_service<'a>(
    mesh: &'a Mesh,
    replay: &Replay<'a>,
    worlds: &Worlds,
    service: &'a VirtualService,
) -> Vec<Partial<'a>> {
    let mut rules = ServiceRules::new(mesh, service, worlds);
    let overlap = Overlap::new(rules.list.rows(), &rules.space);
    let count = rules.rows.len();
    let does = actions(&rules);
    let mut asked = ASKED.0 * count + ASKED.1;
    // By the number of the earlier rule.
    let mut told: BTreeMap<usize, Told> = BTreeMap::new();
    let mut told_later: BTreeSet<usize> = BTreeSet::new();
    let mut decided: BTreeSet<(usize, usize)> = BTreeSet::new();
    'rows: for later in 0..count {
        let mut is_live = None;
        if rules.rows[later].is_catch_all {
            continue;
        }
        for earlier in overlap.before(later).into_iter().take(LOOKED_AT) {
            let pair = (rules.rows[earlier].number, rules.rows[later].number);
            if asked == 0 {
                break 'rows;
            }
            let is_full = match told.get(&pair.0) {
                Some(known) => known.others == MOST_OTHERS,
                None => told.len() == MOST_TOLD || told_later.contains(&pair.1),
            };
            if pair.0 == pair.1
                || is_full
                || decided.contains(&pair)
                || rules.space.plainly_disjoint(&rules.list.rows()[earlier], &rules.list.rows()[later])
                || does.get(pair.0) == does.get(pair.1)
            {
                continue;
            }
            asked -= 1;
            if !cross(&mut rules, earlier, later) {
                continue;
            }
            if !*is_live.get_or_insert_with(|| {
                matches!(rules.list.reach(&mut rules.space, later, DEFAULT_BUDGET), Reach::Live(_))
            }) {
                continue 'rows;
            }
            decided.insert(pair);
            if let Some(known) = told.get_mut(&pair.0) {
                known.others += 1;
            } else {
                told_later.insert(pair.1);
                told.insert(pair.0, Told { earlier, later, others: 0 });
            }
        }
    }
    told.into_values().map(|told| partial(&mut rules, replay, &told)).collect()
}

/// What each rule does, by its number.
fn actions(rules: &ServiceRules<'_>) -> Vec<HttpRoute> {
    let mut actions: Vec<HttpRoute> = Vec::new();
    for row in &rules.rows {
        if row.number == actions.len() {
            actions.push(doing(row.rule.route));
        }
    }
    actions
}

/// Whether the earlier of two rows has requests of both, and also others, which the later rule does not ask for:
/// without these it is a special case that stands where it should.
fn cross(rules: &mut ServiceRules<'_>, earlier: usize, later: usize) -> bool {
    let both = rules.list.rows()[earlier].and(&rules.list.rows()[later]);
    let shared = rules.list.left_of(&mut rules.space, &both, Among::Before(earlier), DEFAULT_BUDGET);
    if !matches!(shared, Reach::Live(_)) {
        return false;
    }
    let (own, number) = (rules.list.rows()[earlier].clone(), rules.rows[later].number);
    let rows = &rules.rows;
    let others = |row: usize| row < earlier || rows[row].number == number;
    let own = rules.list.left_of(&mut rules.space, &own, Among::These(&others), DEFAULT_BUDGET);
    matches!(own, Reach::Live(_))
}

fn partial<'a>(rules: &mut ServiceRules<'a>, replay: &Replay<'a>, told: &Told) -> Partial<'a> {
    let claim = Claim::TakenBy(rule_name(&rules.rows[told.earlier].origin));
    let both = rules.list.rows()[told.earlier].and(&rules.list.rows()[told.later]);
    let ways: Vec<SmolStr> = rules.entrances.iter().map(|way| way.name.clone()).collect();
    let proof = ways.into_iter().find_map(|way| {
        let mut through = both.clone();
        through.insert(rules.space.literal(&Axis::Listener, Test::exact(way), true));
        let before = Among::Before(told.earlier);
        let Reach::Live(point) = rules.list.left_of(&mut rules.space, &through, before, DEFAULT_BUDGET) else {
            return None;
        };
        replay.proof(rules.requests(&point), &claim)
    });
    let rows = [told.earlier, told.later].map(|row| RowProof::of(&rules.rows[row], Fate::Live)).into();
    let rows = ServiceProof { service: rules.service, rows, unmatched: None };
    Partial { rows, others: told.others, proof }
}
