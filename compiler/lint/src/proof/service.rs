//! The rules of one VirtualService against each other.

use malha_algebra::{Among, DEFAULT_BUDGET, Point, Reach, Search};
use malha_mesh::analysis::{Layer4Rules, RuleRow, ServiceRules};
use malha_mesh::{Mesh, VirtualService};
use malha_model::istio::virtual_service::HttpRoute;
use malha_syntax::{Claim, Finding, Location, RuleName};
use malha_table::Request;
use rayon::prelude::*;

/// What is proved of a VirtualService.
pub(crate) struct ServiceProof<'a> {
    pub(crate) service: &'a VirtualService,
    /// Its matches in order: those of `http`, then of `tls`, then of `tcp`.
    pub(crate) rows: Vec<RowProof>,
    /// A request that no rule takes, and all such requests in words.
    pub(crate) unmatched: Option<(Option<Request>, String)>,
}

/// What is proved of one match; or of the rule, where it has none.
#[derive(Clone, Debug)]
pub(crate) struct RowProof {
    pub(crate) section: &'static str,
    /// Index of the rule in its section: of the root's rule where a delegate is merged.
    pub(crate) index: u32,
    /// Index of the match in the rule that says it.
    pub(crate) item: Option<u32>,
    /// Which of the section's rules it is, delegates' rules counted one by one.
    pub(crate) number: usize,
    pub(crate) location: Location,
    /// It takes all that there is.
    pub(crate) is_catch_all: bool,
    pub(crate) fate: Fate,
}

/// What becomes of a match.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Requests reach it.
    Live,
    /// Only requests that send a header on several lines do: such a one, and the rows in the way of others.
    NeedsRepeatedHeader { blockers: Vec<usize>, request: Option<Request> },
    /// No request can meet its conditions, whatever stands before: the conditions that exclude each other.
    Empty(String),
    /// Earlier rows take all its requests.
    Taken {
        /// Those rows, none of which can be spared.
        blockers: Vec<usize>,
        /// One of its requests.
        request: Option<Request>,
        /// The row that takes that request.
        winner: usize,
        /// The blockers do with requests what it would do.
        same: bool,
    },
    /// The proof would take too long.
    Unknown,
}

/// Proves what there is to prove of each VirtualService.
pub(super) fn prove(mesh: &Mesh) -> Vec<ServiceProof<'_>> {
    mesh.virtual_services()
        .par_iter()
        .filter(|service| !service.hosts.is_empty())
        .map(|service| of(mesh, service))
        .collect()
}

fn of<'a>(mesh: &'a Mesh, service: &'a VirtualService) -> ServiceProof<'a> {
    let mut proof = ServiceProof { service, rows: Vec::new(), unmatched: None };
    if service.http_rules().next().is_some() {
        http(mesh, service, &mut proof);
    }
    for rules in [Layer4Rules::tls(mesh, service), Layer4Rules::tcp(mesh, service)] {
        layer4(rules, &mut proof.rows);
    }
    proof
}

fn http<'a>(mesh: &'a Mesh, service: &'a VirtualService, proof: &mut ServiceProof<'a>) {
    let mut rules = ServiceRules::new(mesh, service, false);
    let mut single_lines = None;
    let mut rows = Vec::with_capacity(rules.rows.len());
    for row in 0..rules.rows.len() {
        let fate = match rules.list.reach(&mut rules.space, row, DEFAULT_BUDGET) {
            Reach::Live(point) => repeated(mesh, service, &mut rules, &mut single_lines, row, &point),
            Reach::Empty => Fate::Empty(why_empty(&mut rules, row)),
            Reach::Unknown => Fate::Unknown,
            Reach::Taken(blockers) => taken(&mut rules, row, blockers),
        };
        let RuleRow { rule, number, item, location, is_catch_all, .. } = &rules.rows[row];
        rows.push(RowProof {
            section: "http",
            index: rule.index,
            item: *item,
            number: *number,
            location: *location,
            is_catch_all: *is_catch_all,
            fate,
        });
    }
    proof.unmatched = unmatched(&mut rules);
    proof.rows = rows;
}

/// Whether a live row is reached by a request that sends no header twice.
fn repeated<'a>(
    mesh: &'a Mesh,
    service: &'a VirtualService,
    rules: &mut ServiceRules<'a>,
    single_lines: &mut Option<ServiceRules<'a>>,
    row: usize,
    point: &Point,
) -> Fate {
    if rules.space.named(point).iter().all(|(_, values)| values.len() < 2) {
        return Fate::Live;
    }
    let single = single_lines.get_or_insert_with(|| ServiceRules::new(mesh, service, true));
    match single.list.reach(&mut single.space, row, DEFAULT_BUDGET) {
        Reach::Taken(blockers) => Fate::NeedsRepeatedHeader { blockers, request: rules.request(point) },
        Reach::Empty => Fate::NeedsRepeatedHeader { blockers: Vec::new(), request: rules.request(point) },
        Reach::Live(_) | Reach::Unknown => Fate::Live,
    }
}

/// The conditions of one axis that no value meets; all of them, where it is not one axis alone.
fn why_empty(rules: &mut ServiceRules<'_>, row: usize) -> String {
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

fn taken(rules: &mut ServiceRules<'_>, row: usize, blockers: Vec<usize>) -> Fate {
    let product = rules.list.rows()[row].clone();
    let point = match rules.space.point(&product) {
        Search::Found(point) => point,
        Search::Empty | Search::Unknown => return Fate::Unknown,
    };
    let winner = rules.list.first(&mut rules.space, &point).unwrap_or(row);
    let own = doing(rules.rows[row].rule.route);
    let same = blockers.iter().all(|&at| doing(rules.rows[at].rule.route) == own);
    Fate::Taken { request: rules.request(&point), blockers, winner, same }
}

/// What a rule does, without what it asks and what it is called.
fn doing(route: &HttpRoute) -> HttpRoute {
    HttpRoute { matches: Vec::new(), name: None, ..route.clone() }
}

fn unmatched(rules: &mut ServiceRules<'_>) -> Option<(Option<Request>, String)> {
    let all = malha_algebra::Product::all();
    let every = |_: usize| true;
    let Reach::Live(point) = rules.list.left_of(&mut rules.space, &all, Among::These(&every), DEFAULT_BUDGET) else {
        return None;
    };
    let rows: Vec<_> = rules.list.rows().iter().take(4).map(|row| rules.space.words(row)).collect();
    let more = rules.list.rows().len().saturating_sub(rows.len());
    let more = if more > 0 { format!("; nor one of {more} others") } else { String::new() };
    Some((rules.request(&point), format!("all that is neither {}{more}", rows.join("; nor "))))
}

fn layer4(mut rules: Layer4Rules, proofs: &mut Vec<RowProof>) {
    let first = proofs.len();
    for row in 0..rules.rows.len() {
        let fate = match rules.list.reach(&mut rules.space, row, DEFAULT_BUDGET) {
            Reach::Live(_) => Fate::Live,
            Reach::Empty => Fate::Empty(rules.space.words(&rules.list.rows()[row])),
            Reach::Unknown => Fate::Unknown,
            Reach::Taken(blockers) => {
                let winner = blockers.first().copied().unwrap_or(row);
                let request = rules.request(row);
                let same = blockers.iter().all(|&at| rules.rows[at].rule == rules.rows[row].rule);
                let blockers = blockers.into_iter().map(|at| first + at).collect();
                Fate::Taken { blockers, request, winner: first + winner, same }
            }
        };
        let told = &rules.rows[row];
        proofs.push(RowProof {
            section: rules.section,
            index: told.rule as u32,
            item: told.item.map(|item| item as u32),
            number: told.rule,
            location: told.location,
            is_catch_all: told.item.is_none(),
            fate,
        });
    }
}

impl ServiceProof<'_> {
    /// The name of a row's rule, as decisions have it.
    pub(crate) fn rule_name(&self, row: &RowProof) -> RuleName {
        RuleName {
            namespace: self.service.name.namespace.to_string(),
            name: self.service.name.name.to_string(),
            section: row.section,
            index: row.index,
        }
    }

    /// Path of a row, as `spec.http[1].match[0]`.
    pub(crate) fn field(row: &RowProof) -> String {
        match row.item {
            Some(item) => format!("spec.{}[{}].match[{item}]", row.section, row.index),
            None => format!("spec.{}[{}]", row.section, row.index),
        }
    }

    /// What is claimed of a request that a row asks for and does not get.
    pub(crate) fn lost(&self, row: &RowProof, winner: &RowProof) -> Claim {
        Claim {
            taken_by: Some(self.rule_name(winner)),
            not_by: Some(self.rule_name(row)).filter(|name| Some(name) != Some(&self.rule_name(winner))),
        }
    }

    /// The rows of the rule that a row belongs to.
    pub(crate) fn rows_of_rule<'p>(&'p self, row: &'p RowProof) -> impl Iterator<Item = &'p RowProof> {
        self.rows.iter().filter(move |other| (other.section, other.number) == (row.section, row.number))
    }

    /// Whether the whole rule of a row is dead because of earlier rules, and the row is the first of it.
    pub(crate) fn is_dead_rule(&self, row: &RowProof) -> bool {
        let dead = |row: &RowProof| matches!(row.fate, Fate::Taken { .. } | Fate::Empty(_));
        self.rows_of_rule(row).all(dead) && self.rows_of_rule(row).any(|row| matches!(row.fate, Fate::Taken { .. }))
    }

    /// Whether the whole rule of a row is dead, and the row is the first of it that others take.
    pub(crate) fn is_first_of_dead_rule(&self, row: &RowProof) -> bool {
        let first = self.rows_of_rule(row).find(|row| matches!(row.fate, Fate::Taken { .. }));
        first.is_some_and(|first| std::ptr::eq(first, row)) && self.is_dead_rule(row)
    }

    /// Whether a rule that takes everything is in the way of a row.
    pub(crate) fn is_after_catch_all(&self, row: &RowProof) -> bool {
        match &row.fate {
            Fate::Taken { blockers, .. } => blockers.iter().any(|&at| self.rows[at].is_catch_all),
            _ => false,
        }
    }

    /// Path of the rule of a row, as `spec.http[1]`.
    pub(crate) fn rule_field(row: &RowProof) -> String {
        format!("spec.{}[{}]", row.section, row.index)
    }

    /// The rules of some rows, each once.
    pub(crate) fn rules_of(&self, rows: &[usize]) -> Vec<String> {
        let mut rules: Vec<String> =
            rows.iter().map(|&at| format!("`{}`", ServiceProof::rule_field(&self.rows[at]))).collect();
        rules.dedup();
        rules
    }

    /// Points at the rows that are in the way.
    pub(crate) fn with_blockers(&self, finding: Finding, blockers: &[usize]) -> Finding {
        let finding = finding.resource(self.service.resource.resource_name());
        blockers.iter().fold(finding, |finding, &at| finding.related(self.rows[at].location, "takes its requests"))
    }
}
