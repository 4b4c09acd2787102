//! What single rules win and lose, for whoever asks about one: no finding need come of it.

use super::{claim::rule_name, replay::Replay, service::why_empty};
use malha_algebra::{Among, DEFAULT_BUDGET, Overlap, Reach};
use malha_mesh::analysis::{Layer4Rules, RuleRow, ServiceRules, Worlds};
use malha_mesh::program::{Origin, Program};
use malha_mesh::{Mesh, VirtualService};
use malha_syntax::{Claim, Location, RuleName};
use malha_table::Request;

/// Rows before one that are looked at.
const LOOKED_AT: usize = 64;

/// What a match of a rule, or a rule without one, wins and loses.
#[derive(Clone, Debug)]
pub struct RowAccount {
    /// The match, by its place.
    pub row: RuleName,
    /// Where it is written: in the delegate, where one is merged.
    pub location: Location,
    /// What it wins.
    pub standing: Standing,
    /// Which matches of rules before it take a part of what it asks for, in their order.
    pub losses: Vec<RowLoss>,
    /// Whether there are rules before it that were not looked at.
    pub is_partial: bool,
}

/// What a match wins.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Requests reach it, such as this one. None: those that do cannot be shown, since no tried one behaves as claimed.
    Wins(Option<Box<Request>>),
    /// No request can meet its conditions: those that exclude each other, in words.
    Impossible(String),
    /// Others take all that it asks for.
    Taken,
    /// The proof would take too long.
    Unknown,
}

/// An earlier match that takes requests of a later one.
#[derive(Clone, Debug)]
pub struct RowLoss {
    /// The earlier one.
    pub to: RuleName,
    /// Where it is written.
    pub location: Location,
    /// A request that both ask for, and the earlier one has. None: no tried one behaves so.
    pub request: Option<Request>,
}

/// What those matches of a VirtualService win and lose whose places are `wanted`, in order.
///
/// Only its own rules are held against each other, as the control plane lists them; of `tls` and `tcp` it is not told
/// what they lose.
pub fn account(
    mesh: &Mesh,
    program: &Program,
    service: &VirtualService,
    wanted: &dyn Fn(Location) -> bool,
) -> Vec<RowAccount> {
    let replay = Replay::new(mesh, program);
    let mut accounts = http(mesh, service, &replay, wanted);
    if !service.tls_rules().is_empty() {
        layer4(service, Layer4Rules::tls(mesh, service), &replay, wanted, &mut accounts);
    }
    if !service.tcp_rules().is_empty() {
        layer4(service, Layer4Rules::tcp(mesh, service), &replay, wanted, &mut accounts);
    }
    accounts
}

fn http(
    mesh: &Mesh,
    service: &VirtualService,
    replay: &Replay<'_>,
    wanted: &dyn Fn(Location) -> bool,
) -> Vec<RowAccount> {
    let worlds = Worlds::new(mesh.config().settings());
    let mut rules = ServiceRules::new(mesh, service, &worlds);
    let is_wanted = |row: &RuleRow<'_>| wanted(row.own().location);
    let rows: Vec<usize> = (0..rules.rows.len()).filter(|&row| is_wanted(&rules.rows[row])).collect();
    let overlap = Overlap::new(rules.list.rows(), &rules.space);
    rows.into_iter().map(|row| of_row(&mut rules, replay, &overlap, row)).collect()
}

fn of_row(rules: &mut ServiceRules<'_>, replay: &Replay<'_>, overlap: &Overlap, row: usize) -> RowAccount {
    let standing = match rules.list.reach(&mut rules.space, row, DEFAULT_BUDGET) {
        Reach::Live(point) => {
            let claim = Claim::TakenBy(rule_name(&rules.rows[row].origin));
            Standing::Wins(replay.proof(rules.requests(&point), &claim).map(|proof| Box::new(proof.request)))
        }
        Reach::Empty => Standing::Impossible(why_empty(rules, row)),
        Reach::Taken(_) => Standing::Taken,
        Reach::Unknown => Standing::Unknown,
    };
    let before = overlap.before(row);
    let is_partial = before.len() > LOOKED_AT;
    let mut losses = Vec::new();
    for earlier in before.into_iter().take(LOOKED_AT) {
        let (own, other) = (&rules.list.rows()[row], &rules.list.rows()[earlier]);
        // Which of its own matches takes a request makes no difference.
        if rules.rows[earlier].number == rules.rows[row].number || rules.space.plainly_disjoint(own, other) {
            continue;
        }
        let both = own.and(other);
        let shared = rules.list.left_of(&mut rules.space, &both, Among::Before(earlier), DEFAULT_BUDGET);
        let Reach::Live(point) = shared else { continue };
        let origin = rules.rows[earlier].origin.clone();
        let claim = Claim::TakenBy(rule_name(&origin));
        let request = replay.proof(rules.requests(&point), &claim).map(|proof| proof.request);
        losses.push(RowLoss { to: said(&origin), location: rules.rows[earlier].own().location, request });
    }
    let own = &rules.rows[row];
    RowAccount { row: said(&own.origin), location: own.own().location, standing, losses, is_partial }
}

/// The match where it is said: in the delegate, where one is merged.
fn said(origin: &Origin) -> RuleName {
    rule_name(origin.delegate.as_deref().unwrap_or(origin))
}

fn layer4(
    service: &VirtualService,
    mut rules: Layer4Rules,
    replay: &Replay<'_>,
    wanted: &dyn Fn(Location) -> bool,
    accounts: &mut Vec<RowAccount>,
) {
    for row in 0..rules.rows.len() {
        if !wanted(rules.rows[row].location) {
            continue;
        }
        let name = super::service::name_of(service, rules.section, &rules.rows[row]);
        let standing = match rules.list.reach(&mut rules.space, row, DEFAULT_BUDGET) {
            Reach::Live(_) => {
                let claim = Claim::TakenBy(name.clone());
                Standing::Wins(replay.proof(rules.request(row), &claim).map(|proof| Box::new(proof.request)))
            }
            Reach::Empty => Standing::Impossible(rules.space.words(&rules.list.rows()[row])),
            Reach::Taken(_) => Standing::Taken,
            Reach::Unknown => Standing::Unknown,
        };
        let location = rules.rows[row].location;
        accounts.push(RowAccount { row: name, location, standing, losses: Vec::new(), is_partial: false });
    }
}
