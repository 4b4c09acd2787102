//! The rules of one VirtualService against each other.

use super::{
    Proof,
    claim::{rule_name, unanswered},
    replay::Replay,
};
use crate::rule::Context;
use malha_algebra::language::{Answer, Automata, Form, Limits, Test, shortest};
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, Field, Point, Reach};
use malha_mesh::analysis::{Layer4Row, Layer4Rules, RuleRow, ServiceRules, Worlds};
use malha_mesh::program::Program;
use malha_mesh::{DelegateRule, Mesh, VirtualService};
use malha_model::{Spec, istio::virtual_service::HttpRoute};
use malha_syntax::{Claim, Finding, Fix, Location, ResourceName, RuleName};
use rayon::prelude::*;
use smol_str::SmolStr;
use std::collections::HashSet;

/// How many rules a description names.
const SHOWN: usize = 4;

/// What is proved of a VirtualService.
pub(crate) struct ServiceProof<'a> {
    pub(crate) service: &'a VirtualService,
    /// Its matches in order: those of `http`, then of `tls`, then of `tcp`.
    pub(crate) rows: Vec<RowProof<'a>>,
    /// Requests that no rule takes, in words, and one of them.
    pub(crate) unmatched: Option<(String, Proof)>,
}

/// What is proved of one match; or of the rule, where it has none.
#[derive(Clone, Debug)]
pub(crate) struct RowProof<'a> {
    pub(crate) section: &'static str,
    /// Index of the rule in its section: of the root's rule where a delegate is merged.
    pub(crate) index: u32,
    /// Index of the match in the rule that says it.
    pub(crate) item: Option<u32>,
    /// The delegate's rule that is merged there.
    pub(crate) delegate: Option<&'a DelegateRule>,
    /// Index and place of the root's match, where a delegate is merged below one.
    root: Option<(u32, Location)>,
    /// Which of the section's rules it is, delegates' rules counted one by one.
    pub(crate) number: usize,
    pub(crate) location: Location,
    /// It takes all that there is.
    pub(crate) is_catch_all: bool,
    /// No path meets it, and paths with a query would.
    pub(crate) asks_for_query: bool,
    pub(crate) fate: Fate,
}

/// What only few clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A header on several lines.
    SeveralLines,
    /// A header whose value is not UTF-8.
    NotUtf8,
}

/// What becomes of a match.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Requests reach it.
    Live,
    /// Only requests with unusual headers do: such a one, and the rows in the way of others.
    NeedsOddHeader { oddity: Oddity, blockers: Vec<usize>, proof: Option<Proof> },
    /// No request can meet its conditions, whatever stands before: the conditions that exclude each other.
    Empty(String),
    /// Earlier rows take all its requests.
    Taken {
        /// Those rows, none of which can be spared.
        blockers: Vec<usize>,
        /// One of its requests, which another rule takes.
        proof: Option<Proof>,
        /// The blockers do with requests what it would do.
        same: bool,
    },
    /// The proof would take too long.
    Unknown,
}

/// Proves what there is to prove of each VirtualService.
pub(super) fn prove<'a>(mesh: &'a Mesh, program: &'a Program) -> Vec<ServiceProof<'a>> {
    let replay = Replay::new(mesh, program);
    let worlds = Worlds::new(mesh.config().settings());
    let prover = Prover { mesh, replay, plain: worlds.of_plain_headers(), worlds };
    let services = mesh.virtual_services().par_iter().filter(|service| !service.hosts.is_empty());
    // Most are in order, and nothing of them need be kept.
    let mut proofs: Vec<ServiceProof<'a>> =
        services.map(|service| prover.of(service)).filter(ServiceProof::says_something).collect();
    forgive_delegates(&mut proofs);
    proofs
}

/// What a delegate says is dead only if it is dead wherever it is merged. Else it may be the root's match that is: if all
/// that is merged below it is dead.
fn forgive_delegates(proofs: &mut [ServiceProof<'_>]) {
    let is_dead = |row: &RowProof<'_>| matches!(row.fate, Fate::Taken { .. } | Fate::Empty(_));
    let rows = || proofs.iter().flat_map(|proof| &proof.rows).filter(|row| row.delegate.is_some());
    let live_rows = || rows().filter(|row| !is_dead(row));
    let live: HashSet<Location> = live_rows().map(|row| row.location).collect();
    let mut live_roots: HashSet<Location> = live_rows().filter_map(|row| Some(row.root?.1)).collect();
    for row in proofs.iter_mut().flat_map(|proof| &mut proof.rows) {
        if row.delegate.is_none() || !is_dead(row) || !live.contains(&row.location) {
            continue;
        }
        match row.root {
            // Told once, at the root.
            Some((item, location)) if live_roots.insert(location) => {
                (row.item, row.location, row.delegate) = (Some(item), location, None);
            }
            _ => row.fate = Fate::Live,
        }
    }
}

/// What proofs are made with.
struct Prover<'a> {
    mesh: &'a Mesh,
    replay: Replay<'a>,
    worlds: Worlds,
    /// Without requests that send odd headers.
    plain: Worlds,
}

impl<'a> Prover<'a> {
    fn of(&self, service: &'a VirtualService) -> ServiceProof<'a> {
        let mut proof = ServiceProof { service, rows: Vec::new(), unmatched: None };
        if service.http_rules().next().is_some() {
            self.http(service, &mut proof);
        }
        if !service.tls_rules().is_empty() {
            layer4(service, Layer4Rules::tls(self.mesh, service), &self.replay, &mut proof.rows);
        }
        if !service.tcp_rules().is_empty() {
            layer4(service, Layer4Rules::tcp(self.mesh, service), &self.replay, &mut proof.rows);
        }
        proof
    }

    fn http(&self, service: &'a VirtualService, proof: &mut ServiceProof<'a>) {
        let mut rules = ServiceRules::new(self.mesh, service, &self.worlds);
        let mut plain = None;
        let mut rows = Vec::with_capacity(rules.rows.len());
        for row in 0..rules.rows.len() {
            let fate = match rules.list.reach(&mut rules.space, row, DEFAULT_BUDGET) {
                Reach::Live(point) => match self.oddity(service, &rules, &mut plain, row, &point) {
                    None => Fate::Live,
                    Some((oddity, blockers)) => {
                        let claim = Claim::TakenBy(rule_name(&rules.rows[row].origin));
                        let proof = self.replay.proof(rules.requests(&point), &claim);
                        Fate::NeedsOddHeader { oddity, blockers, proof }
                    }
                },
                Reach::Empty => Fate::Empty(why_empty(&mut rules, row)),
                Reach::Unknown => Fate::Unknown,
                Reach::Taken(blockers) => taken(&mut rules, &self.replay, row, blockers),
            };
            let asks_for_query = matches!(fate, Fate::Empty(_)) && asks_for_query(&rules, row);
            rows.push(RowProof { asks_for_query, ..RowProof::of(&rules.rows[row], fate) });
        }
        proof.unmatched = unmatched(&mut rules, &self.replay);
        proof.rows = rows;
    }

    /// What is odd about the requests that reach a live row, if they all are odd, and the rows that take the others.
    fn oddity(
        &self,
        service: &'a VirtualService,
        rules: &ServiceRules<'a>,
        plain: &mut Option<ServiceRules<'a>>,
        row: usize,
        point: &Point,
    ) -> Option<(Oddity, Vec<usize>)> {
        let named = rules.space.named(point);
        let values = || named.iter().filter(|(axis, _)| matches!(axis, Axis::Field(Field::Header(_))));
        let oddity = if values().any(|(_, lines)| lines.len() > 1) {
            Oddity::SeveralLines
        } else if values().any(|(_, lines)| lines.iter().any(|line| std::str::from_utf8(line).is_err())) {
            Oddity::NotUtf8
        } else {
            return None;
        };
        let plain = plain.get_or_insert_with(|| ServiceRules::new(self.mesh, service, &self.plain));
        match plain.list.reach(&mut plain.space, row, DEFAULT_BUDGET) {
            Reach::Taken(blockers) => Some((oddity, blockers)),
            Reach::Empty => Some((oddity, Vec::new())),
            Reach::Live(_) | Reach::Unknown => None,
        }
    }
}

impl<'a> RowProof<'a> {
    /// What is proved of a match of `http`.
    pub(super) fn of(row: &RuleRow<'a>, fate: Fate) -> RowProof<'a> {
        RowProof {
            section: "http",
            index: row.rule.index,
            item: row.own().match_index,
            delegate: row.rule.delegate,
            root: row.rule.delegate.and(row.origin.match_index).map(|item| (item, row.origin.location)),
            number: row.number,
            location: row.own().location,
            is_catch_all: row.is_catch_all,
            asks_for_query: false,
            fate,
        }
    }
}

/// Whether no path meets a row, which is compared without its query, and one with its query would.
fn asks_for_query(rules: &ServiceRules<'_>, row: usize) -> bool {
    let (test, form) = (Test::from(&rules.rows[row].predicate.path), rules.space.world().path);
    let mut automata = Automata::default();
    let mut is_empty = |form: Form| shortest(&form, &[&test], &[], Limits::default(), &mut automata) == Answer::Empty;
    is_empty(Form::Path(form)) && !is_empty(Form::Target(form))
}

/// The conditions of one axis that no value meets; all of them, where it is not one axis alone.
pub(super) fn why_empty(rules: &mut ServiceRules<'_>, row: usize) -> String {
    let product = rules.list.rows()[row].clone();
    let mut axes: Vec<_> = product.literals().iter().map(|literal| rules.space.axis_of(*literal).clone()).collect();
    axes.dedup();
    for axis in axes {
        let mut alone = malha_algebra::Product::all();
        for &literal in product.literals() {
            if *rules.space.axis_of(literal) == axis {
                alone.insert(literal);
            }
        }
        if rules.space.is_empty(&alone) {
            return rules.space.words(&alone);
        }
    }
    rules.space.words(&product)
}

fn taken(rules: &mut ServiceRules<'_>, replay: &Replay<'_>, row: usize, blockers: Vec<usize>) -> Fate {
    let product = rules.list.rows()[row].clone();
    let proof = rules.through_each(&product).into_iter().find_map(|point| {
        let winner = rules.list.first(&mut rules.space, &point)?;
        let claim = Claim::TakenBy(rule_name(&rules.rows[winner].origin));
        replay.proof(rules.requests(&point), &claim)
    });
    let own = doing(rules.rows[row].rule.route);
    let same = blockers.iter().all(|&at| doing(rules.rows[at].rule.route) == own);
    Fate::Taken { blockers, proof, same }
}

/// What a rule does, without what it asks and what it is called.
pub(super) fn doing(route: &HttpRoute) -> HttpRoute {
    HttpRoute { matches: Vec::new(), name: None, ..route.clone() }
}

fn unmatched(rules: &mut ServiceRules<'_>, replay: &Replay<'_>) -> Option<(String, Proof)> {
    let all = malha_algebra::Product::all();
    let every = |_: usize| true;
    let claim = unanswered();
    // Through some of the ways in another object may answer; what comes through none of them proves nothing.
    let proof = rules.through_each(&all).into_iter().find_map(|way| {
        let mut through = all.clone();
        let way = rules.space.values(&way, &Axis::Listener).into_iter().next().unwrap_or_default();
        let way = SmolStr::from(String::from_utf8_lossy(&way));
        through.insert(rules.space.literal(&Axis::Listener, Test::exact(way), true));
        let left = rules.list.left_of(&mut rules.space, &through, Among::These(&every), DEFAULT_BUDGET);
        let Reach::Live(point) = left else { return None };
        replay.proof(rules.requests(&point), &claim)
    })?;
    let rows: Vec<malha_algebra::Product> = rules.list.rows().to_vec();
    let rows: Vec<_> = rows.iter().filter(|row| !rules.space.is_empty(row)).collect();
    let mut words: Vec<String> = rows.iter().take(SHOWN).map(|row| rules.space.words(row)).collect();
    if rows.len() > SHOWN {
        words.push(format!("one of {} others", rows.len() - SHOWN));
    }
    let words = match words.as_slice() {
        [] => "any request".to_owned(),
        [one] => format!("all but {one}"),
        several => format!("all but {}", several.join("; or ")),
    };
    Some((words, proof))
}

pub(super) fn name_of(service: &VirtualService, section: &'static str, row: &Layer4Row) -> RuleName {
    RuleName {
        namespace: service.name.namespace.to_string(),
        name: service.name.name.to_string(),
        section,
        index: row.rule as u32,
        match_index: row.item.map(|item| item as u32),
        delegate: None,
    }
}

fn layer4(service: &VirtualService, mut rules: Layer4Rules, replay: &Replay<'_>, proofs: &mut Vec<RowProof<'_>>) {
    let first = proofs.len();
    for row in 0..rules.rows.len() {
        let fate = match rules.list.reach(&mut rules.space, row, DEFAULT_BUDGET) {
            Reach::Live(_) => Fate::Live,
            Reach::Empty => Fate::Empty(rules.space.words(&rules.list.rows()[row])),
            Reach::Unknown => Fate::Unknown,
            Reach::Taken(blockers) => {
                let winner = blockers.first().map(|&winner| &rules.rows[winner]);
                let claim = winner.map(|row| Claim::TakenBy(name_of(service, rules.section, row)));
                let same = blockers.iter().all(|&at| rules.rows[at].rule == rules.rows[row].rule);
                let proof = claim.and_then(|claim| replay.proof(rules.request(row), &claim));
                let blockers = blockers.into_iter().map(|at| first + at).collect();
                Fate::Taken { blockers, proof, same }
            }
        };
        let told = &rules.rows[row];
        proofs.push(RowProof {
            section: rules.section,
            index: told.rule as u32,
            item: told.item.map(|item| item as u32),
            delegate: None,
            root: None,
            number: told.rule,
            location: told.location,
            is_catch_all: told.item.is_none(),
            asks_for_query: false,
            fate,
        });
    }
}

impl ServiceProof<'_> {
    /// Whether a lint may have something to say of it, or of a delegate that it shares with others.
    fn says_something(&self) -> bool {
        self.unmatched.is_some()
            || self.rows.iter().any(|row| row.delegate.is_some() || !matches!(row.fate, Fate::Live))
    }

    /// Path of a row in the object that says it, as `spec.http[1].match[0]`.
    pub(crate) fn field(row: &RowProof<'_>) -> String {
        let rule = ServiceProof::rule_field(row);
        row.item.map_or_else(|| rule.clone(), |item| format!("{rule}.match[{item}]"))
    }

    /// Path of the rule of a row, as `spec.http[1]`.
    pub(crate) fn rule_field(row: &RowProof<'_>) -> String {
        format!("spec.{}[{}]", row.section, row.delegate.map_or(row.index, |delegate| delegate.index))
    }

    /// The object that says a row.
    pub(crate) fn resource(&self, row: &RowProof<'_>) -> ResourceName {
        row.delegate.map_or_else(|| self.service.resource.resource_name(), |delegate| delegate.resource.resource_name())
    }

    /// The name of a row or rule for a message about another: with its object, if that is not the same.
    fn named(&self, path: &str, of: &RowProof<'_>, beside: &RowProof<'_>) -> String {
        let resource = self.resource(of);
        if resource == self.resource(beside) {
            return format!("`{path}`");
        }
        format!("`{path}` of `{}/{}`", resource.namespace, resource.name)
    }

    /// The matches of some rows, as a message about `beside` names them.
    pub(crate) fn matches_of(&self, rows: &[usize], beside: &RowProof<'_>) -> Vec<String> {
        let name = |at: &usize| self.named(&ServiceProof::field(&self.rows[*at]), &self.rows[*at], beside);
        rows.iter().map(name).collect()
    }

    /// The rows of the rule that a row belongs to.
    pub(crate) fn rows_of_rule<'p>(&'p self, row: &'p RowProof<'p>) -> impl Iterator<Item = &'p RowProof<'p>> {
        self.rows.iter().filter(move |other| (other.section, other.number) == (row.section, row.number))
    }

    /// Whether the whole rule of a row is dead, and not only since its conditions exclude each other.
    pub(crate) fn is_dead_rule(&self, row: &RowProof<'_>) -> bool {
        let dead = |row: &RowProof<'_>| matches!(row.fate, Fate::Taken { .. } | Fate::Empty(_));
        self.rows_of_rule(row).all(dead) && self.rows_of_rule(row).any(|row| matches!(row.fate, Fate::Taken { .. }))
    }

    /// Whether the whole rule of a row is dead, and the row is the first of it that others take.
    pub(crate) fn is_first_of_dead_rule(&self, row: &RowProof<'_>) -> bool {
        let first = self.rows_of_rule(row).find(|row| matches!(row.fate, Fate::Taken { .. }));
        first.is_some_and(|first| std::ptr::eq(first, row)) && self.is_dead_rule(row)
    }

    /// The fix that removes the whole rule of a row, which is dead.
    ///
    /// It is safe if what takes its requests does with them what it would do; else what the rule was written for is
    /// given up. None for rules of delegates, which may be merged elsewhere, and for the only rule of its object.
    pub(crate) fn without_rule(&self, context: &Context<'_>, row: &RowProof<'_>) -> Option<Fix> {
        if row.section != "http" || row.delegate.is_some() {
            return None;
        }
        let Spec::VirtualService(spec) = &self.service.resource.spec else { return None };
        let rule = spec.http.get(row.index as usize).filter(|_| spec.http.len() > 1)?;
        let place = self.service.resource.location(rule.span);
        let same = self.rows_of_rule(row).all(|row| match &row.fate {
            Fate::Taken { same, .. } => *same,
            Fate::Empty(_) => true,
            _ => false,
        });
        context.removal(place, same, format!("delete `{}`", ServiceProof::rule_field(row)))
    }

    /// The fix that removes a match which is not needed, beside others of its rule that are. It is safe: no request is
    /// treated otherwise.
    pub(crate) fn without_match(&self, context: &Context<'_>, row: &RowProof<'_>) -> Option<Fix> {
        // Without any match a rule would take everything.
        let stays = |row: &RowProof<'_>| !matches!(row.fate, Fate::Taken { .. });
        if row.section != "http" || row.delegate.is_some() || !self.rows_of_rule(row).any(stays) {
            return None;
        }
        context.removal(row.location, true, format!("delete `{}`", ServiceProof::field(row)))
    }

    /// Whether a rule that takes everything is in the way of a row.
    pub(crate) fn is_after_catch_all(&self, row: &RowProof<'_>) -> bool {
        match &row.fate {
            Fate::Taken { blockers, .. } => blockers.iter().any(|&at| self.rows[at].is_catch_all),
            _ => false,
        }
    }

    /// The rules of some rows, each once, as a message about `beside` names them.
    pub(crate) fn rules_of(&self, rows: &[usize], beside: &RowProof<'_>) -> Vec<String> {
        let name = |at: &usize| self.named(&ServiceProof::rule_field(&self.rows[*at]), &self.rows[*at], beside);
        let mut rules: Vec<String> = rows.iter().map(name).collect();
        rules.dedup();
        rules
    }

    /// Points at the rows that are in the way.
    pub(crate) fn with_blockers(&self, finding: Finding, blockers: &[usize]) -> Finding {
        blockers.iter().fold(finding, |finding, &at| finding.related(self.rows[at].location, "takes its requests"))
    }
}
