//! What prefixes do beyond the ends of segments: whose paths they take, and what is left where they are replaced.

use super::{Proof, claim::rule_name, replay::Replay, service::doing};
use crate::{
    rule::Context,
    written::{WrittenRule, rules_of},
};
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, PathTest, Reach, language::Test};
use malha_mesh::VirtualService;
use malha_mesh::analysis::{RuleRow, ServiceRules, Worlds};
use malha_model::istio::virtual_service::StringMatch;
use malha_syntax::{Claim, Location, ResourceName};
use malha_table::{Decision, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// A prefix that ends within a segment and takes a path that belongs to another rule's.
pub(crate) struct Boundary {
    pub(crate) place: Place,
    /// The prefix.
    pub(crate) prefix: String,
    /// The other rule: its path in words, where it is.
    pub(crate) other: String,
    pub(crate) other_location: Location,
    /// The path that is taken.
    pub(crate) path: String,
    pub(crate) proof: Option<Proof>,
}

/// A match as a finding names it.
pub(crate) struct Place {
    pub(crate) location: Location,
    pub(crate) field: String,
    pub(crate) resource: ResourceName,
}

impl Place {
    fn of(rules: &ServiceRules<'_>, row: &RuleRow<'_>) -> Place {
        let own = row.own();
        let resource = row.rule.delegate.map_or(&rules.service.resource, |delegate| &delegate.resource);
        let item = own.match_index.map_or_else(String::new, |item| format!(".match[{item}]"));
        Place {
            location: own.location,
            field: format!("spec.http[{}]{item}", own.index),
            resource: resource.resource_name(),
        }
    }
}

/// What a prefix leaves where a rewrite replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Slashes meet: `/foo` with `/` makes `//bar` of `/foo/bar`.
    DoubleSlash,
    /// Segments are glued: `/foo/` with `/v2` makes `/v2bar` of `/foo/bar`.
    Glued,
}

/// Matches of one rule whose prefixes are replaced by a text that does not fit them.
pub(crate) struct Rewriting<'a> {
    pub(crate) written: WrittenRule<'a>,
    /// A prefix that does not fit, what of it, and a path with what becomes of it.
    pub(crate) misfit: (String, Shape, [String; 2]),
    /// A path, and what becomes of it, below a prefix of the same rule that fits, or does not in the other way.
    pub(crate) other: Option<[String; 2]>,
    /// Whether all matches of the rule are prefixes that do not fit in the same way.
    pub(crate) is_all: bool,
    pub(crate) proof: Option<Proof>,
}

/// Paths of other rules that are tried for one prefix.
const TRIED: usize = 16;

/// Paths that are looked at for one prefix before any is tried.
const LOOKED_AT: usize = 64;

/// The text of a prefix that may end within a segment.
fn open_prefix<'r>(row: &'r RuleRow<'_>) -> Option<&'r str> {
    match &row.predicate.path {
        PathTest::Prefix { value, ignore_case: false } if !value.is_empty() && !value.ends_with('/') => Some(value),
        _ => None,
    }
}

/// Looks for prefixes that take paths of others.
pub(super) fn boundaries(context: &Context<'_>) -> Vec<Boundary> {
    let replay = Replay::new(context.mesh, context.program);
    let worlds = Worlds::new(context.mesh.config().settings()).of_plain_headers();
    let mut found = Vec::new();
    for service in context.mesh.virtual_services().iter().filter(|service| !service.hosts.is_empty()) {
        if !may_take_others(service) {
            continue;
        }
        let mut rules = ServiceRules::new(context.mesh, service, &worlds);
        of_service(&mut rules, &replay, &mut found);
    }
    found
}

/// Whether a path of one rule goes on where a prefix of another ends within a segment: only then there is something to
/// prove.
fn may_take_others(service: &VirtualService) -> bool {
    let mut paths: Vec<(&str, bool, usize)> = Vec::new();
    for written in rules_of(service) {
        for item in written.rule.matches() {
            match item.request.uri.as_ref().map(|uri| &uri.value) {
                Some(StringMatch::Exact(path)) => paths.push((path, false, written.number)),
                Some(StringMatch::Prefix(path)) => paths.push((path, !path.ends_with('/'), written.number)),
                _ => {}
            }
        }
    }
    paths.sort_unstable();
    let goes_on =
        |path: &str, prefix: &str| path.strip_prefix(prefix).is_some_and(|it| !it.is_empty() && !it.starts_with('/'));
    paths.iter().enumerate().filter(|(_, (prefix, is_open, _))| *is_open && !prefix.is_empty()).any(
        |(at, (prefix, _, number))| {
            let after =
                paths.get(at + 1..).unwrap_or_default().iter().take_while(|(path, ..)| path.starts_with(prefix));
            after.take(LOOKED_AT).any(|(path, _, other)| other != number && goes_on(path, prefix))
        },
    )
}

fn of_service(rules: &mut ServiceRules<'_>, replay: &Replay<'_>, found: &mut Vec<Boundary>) {
    // Paths of all rows, in order, so that those that go on where a prefix ends stand together.
    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    for (at, row) in rules.rows.iter().enumerate() {
        if let PathTest::Exact { value, .. } | PathTest::Prefix { value, .. } = &row.predicate.path {
            paths.entry(value.to_string()).or_insert(at);
        }
    }
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for row in 0..rules.rows.len() {
        let Some(prefix) = rules.rows.get(row).and_then(open_prefix).map(str::to_owned) else { continue };
        let number = rules.rows[row].number;
        let goes_on = |path: &str| path.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.starts_with('/'));
        let longer = paths.range(format!("{prefix}\0")..).take_while(|(path, _)| path.starts_with(prefix.as_str()));
        let others: Vec<(String, usize)> = longer
            .filter(|(path, other)| goes_on(path) && rules.rows[**other].number != number)
            .map(|(path, other)| (path.clone(), *other))
            .take(TRIED)
            .collect();
        let boundary = others.into_iter().find_map(|(path, other)| taken(rules, replay, row, &prefix, &path, other));
        if let Some(boundary) = boundary.filter(|_| told.insert(number)) {
            found.push(boundary);
        }
    }
}

/// A path at or below `path`, which the rule of `other` is for, that `row` takes by its prefix.
fn taken(
    rules: &mut ServiceRules<'_>,
    replay: &Replay<'_>,
    row: usize,
    prefix: &str,
    path: &str,
    other: usize,
) -> Option<Boundary> {
    if doing(rules.rows[other].rule.route) == doing(rules.rows[row].rule.route) {
        return None;
    }
    // A rule that no request reaches has a finding of its own.
    if !matches!(rules.list.reach(&mut rules.space, other, DEFAULT_BUDGET), Reach::Live(_)) {
        return None;
    }
    let bare = path.trim_end_matches('/');
    let below = [format!("{bare}/"), format!("{bare}/a"), bare.to_owned()];
    below.into_iter().filter(|path| path.len() > prefix.len()).find_map(|path| {
        let proof = try_path(rules, replay, row, &path)?.proof();
        let told = &rules.rows[other];
        Some(Boundary {
            place: Place::of(rules, &rules.rows[row]),
            prefix: prefix.to_owned(),
            other: words(&told.predicate.path),
            other_location: told.own().location,
            path,
            proof,
        })
    })
}

fn words(path: &PathTest) -> String {
    match path {
        PathTest::Exact { value, .. } => format!("the path `{value}`"),
        PathTest::Prefix { value, .. } => format!("paths from `{value}`"),
        PathTest::Any | PathTest::Regex(_) => "other paths".to_owned(),
    }
}

/// A path that a row takes.
enum Taken {
    /// A request that shows it, and what becomes of it.
    Shown(Box<(Decision, Proof)>),
    /// The rules say so, and the files hold nobody who listens, so that no request could be sent.
    Untried,
}

impl Taken {
    fn proof(self) -> Option<Proof> {
        match self {
            Taken::Shown(shown) => Some(shown.1),
            Taken::Untried => None,
        }
    }
}

/// Whether a row takes a path, and how; none if it does not, or if other objects have its requests.
fn try_path(rules: &mut ServiceRules<'_>, replay: &Replay<'_>, row: usize, path: &str) -> Option<Taken> {
    let mut wanted = rules.list.rows().get(row)?.clone();
    wanted.insert(rules.space.literal(&Axis::Path, Test::exact(path), true));
    let left = rules.list.left_of(&mut rules.space, &wanted, Among::Before(row), DEFAULT_BUDGET);
    let Reach::Live(point) = left else { return None };
    let claim = Claim::TakenBy(rule_name(&rules.rows.get(row)?.origin));
    let requests = rules.requests(&point);
    if let Some(proof) = replay.proof(requests.iter().cloned(), &claim) {
        return Some(Taken::Shown(Box::new((replay.decide(&proof.request)?, proof))));
    }
    let is_untried = |request| match replay.decide(request) {
        Some(decision) => matches!(decision.outcome, Outcome::NoListener | Outcome::Passthrough | Outcome::Blackhole),
        None => true,
    };
    requests.iter().all(is_untried).then_some(Taken::Untried)
}

/// Looks for rules whose rewrite does not fit the prefixes that it replaces.
pub(super) fn rewritings<'a>(context: &Context<'a>) -> Vec<Rewriting<'a>> {
    let replay = Replay::new(context.mesh, context.program);
    let worlds = Worlds::new(context.mesh.config().settings()).of_plain_headers();
    let mut found = Vec::new();
    for service in context.mesh.virtual_services().iter().filter(|service| !service.hosts.is_empty()) {
        let misfits = rules_of(service).filter_map(|written| {
            let text = replacement(&written).filter(|text| may_misfit(&written, text))?;
            Some((written, text))
        });
        let misfits: Vec<(WrittenRule<'a>, &str)> = misfits.collect();
        if misfits.is_empty() {
            continue;
        }
        let mut rules = ServiceRules::new(context.mesh, service, &worlds);
        found.extend(misfits.into_iter().filter_map(|(written, text)| of_rule(&mut rules, &replay, written, text)));
    }
    found
}

/// What a rule puts in the place of matched prefixes.
fn replacement<'a>(written: &WrittenRule<'a>) -> Option<&'a str> {
    let route = written.rule.route;
    let rewrite = route.rewrite.as_ref().and_then(|rewrite| rewrite.uri.as_ref());
    let redirect = || route.redirect.as_ref().and_then(|redirect| redirect.prefix_rewrite.as_ref());
    let text = rewrite.or_else(redirect)?.value.as_str();
    // Without a leading slash it is meant for something else than paths.
    text.starts_with('/').then_some(text)
}

/// What a prefix leaves beside the text that replaces it.
fn shape(prefix: &str, text: &str) -> Option<Shape> {
    match (prefix.ends_with('/'), text.ends_with('/')) {
        (false, true) if !prefix.is_empty() => Some(Shape::DoubleSlash),
        (true, false) => Some(Shape::Glued),
        _ => None,
    }
}

fn may_misfit(written: &WrittenRule<'_>, text: &str) -> bool {
    let of_item = |uri: Option<&StringMatch>| match uri {
        None | Some(StringMatch::Any) => shape("/", text).is_some(),
        Some(StringMatch::Prefix(prefix)) => shape(prefix, text).is_some(),
        Some(StringMatch::Exact(_) | StringMatch::Regex(_)) => false,
    };
    if written.rule.route.matches.is_empty() {
        return of_item(None);
    }
    written.rule.matches().any(|item| of_item(item.request.uri.as_ref().map(|uri| &uri.value)))
}

/// One match of a rule that a rewrite replaces a prefix of.
struct Tried {
    prefix: String,
    shape: Option<Shape>,
    paths: [String; 2],
    proof: Option<Proof>,
}

fn of_rule<'a>(
    rules: &mut ServiceRules<'a>,
    replay: &Replay<'_>,
    written: WrittenRule<'a>,
    text: &str,
) -> Option<Rewriting<'a>> {
    let mut tried: Vec<Tried> = Vec::new();
    let rows: Vec<usize> =
        (0..rules.rows.len()).filter(|row| rules.rows[*row].number == written.number).take(TRIED).collect();
    for &row in &rows {
        let prefix = match &rules.rows[row].predicate.path {
            PathTest::Any => "/".to_owned(),
            PathTest::Prefix { value, .. } if !value.is_empty() => value.to_string(),
            _ => continue,
        };
        let path = if prefix.ends_with('/') { format!("{prefix}a") } else { format!("{prefix}/a") };
        let Some(taken) = try_path(rules, replay, row, &path) else { continue };
        let after = match &taken {
            Taken::Shown(shown) => path_after(&shown.0),
            Taken::Untried => path.get(prefix.len()..).map(|rest| format!("{text}{rest}")),
        };
        let (Some(after), proof) = (after, taken.proof()) else { continue };
        let shape = shape(&prefix, text).filter(|shape| match shape {
            Shape::DoubleSlash => after.ends_with("//a"),
            Shape::Glued => !after.ends_with("/a"),
        });
        tried.push(Tried { prefix, shape, paths: [path, after], proof });
    }
    let first = tried.iter().position(|it| it.shape.is_some())?;
    let misfit = tried.get(first)?;
    let other = tried.iter().find(|it| it.shape != misfit.shape);
    let other = other.map(|it| it.paths.clone());
    let is_all = tried.len() == rows.len() && other.is_none();
    let misfit = tried.swap_remove(first);
    Some(Rewriting {
        written,
        misfit: (misfit.prefix, misfit.shape?, misfit.paths),
        other,
        is_all,
        proof: misfit.proof,
    })
}

/// The path, without its query, that the upstream sees, or that a client is sent to.
fn path_after(decision: &Decision) -> Option<String> {
    let target = match (&decision.rewrite, &decision.redirect) {
        (Some(rewrite), _) => rewrite.path.as_str(),
        (None, Some(redirect)) => {
            let (_, rest) = redirect.location.split_once("://")?;
            rest.get(rest.find('/')?..)?
        }
        (None, None) => return None,
    };
    target.split('?').next().map(str::to_owned)
}
