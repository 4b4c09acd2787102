//! Virtual hosts against each other.

use super::{Change, Class, Frame, Side, Sides};
use crate::analysis::Worlds;
use crate::analysis::host::{HostSpace, Names, entrance_of_table, reads_authority};
use crate::program::{Action, ActionKind, Destination, Filter, FilterChain, Listener, Route, RouteTable, VirtualHost};
use malha_algebra::language::Test;
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, Field, List, Overlap, Product, Reach};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// How many regions of one change are put into words.
const SHOWN: usize = 3;

/// Route tables of a listener: by the server names of their chain.
type Tables<'p> = BTreeMap<Vec<&'p str>, (&'p FilterChain, &'p RouteTable)>;

fn tables<'p>(side: Side<'p>, listener: Option<&'p Listener>) -> Tables<'p> {
    let (Some(proxy), Some(listener)) = (side.proxy, listener) else { return Tables::new() };
    if listener.rejected.is_some() {
        return Tables::new();
    }
    let chains = listener.filter_chains.iter().filter_map(|chain| {
        let Filter::Http(index) = chain.filter else { return None };
        let names = chain.server_names.iter().chain(&chain.destinations).map(SmolStr::as_str).collect();
        Some((names, (chain, proxy.program.route_tables.get(index)?)))
    });
    chains.collect()
}

pub(super) fn compare(
    sides: &Sides<'_>,
    old: Option<&Listener>,
    new: Option<&Listener>,
    frame: &Frame<'_>,
    changes: &mut Vec<Change>,
) {
    let (before, after) = (tables(sides.old, old), tables(sides.new, new));
    let names: BTreeSet<&Vec<&str>> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (before, after) = (before.get(name), after.get(name));
        let Some((chain, _)) = after.or(before) else { continue };
        let pair =
            Pair { sides, frame, chain, old: before.map(|(_, table)| *table), new: after.map(|(_, table)| *table) };
        pair.compare(changes);
    }
}

/// Two route tables of one place.
struct Pair<'p> {
    sides: &'p Sides<'p>,
    frame: &'p Frame<'p>,
    chain: &'p FilterChain,
    old: Option<&'p RouteTable>,
    new: Option<&'p RouteTable>,
}

/// The virtual host that names of a domain go to: its own, else the closest wildcard's.
fn host_of<'p>(table: Option<&'p RouteTable>, domain: &str) -> Option<&'p Arc<VirtualHost>> {
    let hosts = table.into_iter().flat_map(|table| &table.virtual_hosts);
    let domains = hosts.flat_map(|host| host.domains.iter().map(move |own| (host, own)));
    domains
        .filter(|(_, own)| *own == domain || (own.starts_with('*') && crate::host::is_subset(domain, own)))
        .max_by_key(|(_, own)| (*own == domain, own.len()))
        .map(|(host, _)| host)
}

impl<'p> Pair<'p> {
    fn compare(&self, changes: &mut Vec<Change>) {
        let tables = [self.old, self.new].into_iter().flatten();
        let domains: BTreeSet<&str> =
            tables.flat_map(|table| &table.virtual_hosts).flat_map(|host| &host.domains).map(SmolStr::as_str).collect();
        let mut seen = HashSet::new();
        for domain in domains {
            let (old, new) = (host_of(self.old, domain), host_of(self.new, domain));
            let mut routes = old.into_iter().chain(new).flat_map(|host| host.routes.iter());
            // Where no rule reads it, one name stands for all that lead to the same hosts.
            if seen.insert((old.map(Arc::as_ptr), new.map(Arc::as_ptr))) || routes.any(reads_authority) {
                self.hosts(domain, old, new, changes);
            }
        }
    }

    fn hosts(
        &self,
        domain: &str,
        old: Option<&'p Arc<VirtualHost>>,
        new: Option<&'p Arc<VirtualHost>>,
        changes: &mut Vec<Change>,
    ) {
        let routes = |host: Option<&'p Arc<VirtualHost>>| host.map_or(&[][..], |host| &host.routes);
        let (before, after) = (routes(old), routes(new));
        let effects = Effects { old: effects(self.sides.old, before), new: effects(self.sides.new, after) };
        let redirects = |host: Option<&'p Arc<VirtualHost>>| host.is_some_and(|host| host.require_tls);
        let same = before.len() == after.len()
            && effects.old == effects.new
            && before.iter().zip(after).all(|(one, other)| one.predicate == other.predicate)
            && redirects(old) == redirects(new);
        if same {
            return;
        }
        let side = if new.is_some() { self.sides.new } else { self.sides.old };
        let (Some(proxy), Some(host)) = (side.proxy, new.or(old)) else { return };
        let names = Names::of_domain(domain, [self.old, self.new].into_iter().flatten());
        let entrance = entrance_of_table(proxy, self.frame.listener, self.chain, &names);
        let mut asked = HostSpace::new(host, &names, entrance, &Worlds::new(side.program.settings.path_normalization));
        if redirects(old) != redirects(new) {
            let request = asked.request(&malha_algebra::Point::default());
            let words = "every plain request, by httpsRedirect".to_owned();
            changes.push(self.frame.change(Class::Rerouted, domain.to_owned(), words, request));
            return;
        }
        let mut asked_for = Product::all();
        if redirects(old) {
            // Only requests that say https of themselves get past the redirect (semantics A42).
            let https = Test::exact(SmolStr::new_static("https"));
            asked_for.insert(asked.space.literal(&Axis::Field(Field::Scheme), https, true));
        }
        let predicates = before.iter().chain(after).map(|route| &route.predicate);
        let rows: Vec<Product> = predicates.map(|predicate| asked.space.product(predicate)).collect();
        let list = List::new(rows, &asked.space);
        let mut search = Search {
            list: &list,
            asked_for,
            asked: &mut asked,
            effects: &effects,
            count: before.len(),
            found: BTreeMap::new(),
        };
        search.run(after.len());
        for ((one, other), (regions, more, request)) in search.found {
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let region = format!("{}{more}", regions.join("; or "));
            changes.push(self.frame.change(class(one.as_ref(), other.as_ref()), domain.to_owned(), region, request));
        }
    }
}

/// What each route does, with what the proxy knows of where it leads.
fn effects(side: Side<'_>, routes: &[Route]) -> Vec<Effect> {
    let mut effects: Vec<Effect> = Vec::with_capacity(routes.len());
    for (at, route) in routes.iter().enumerate() {
        // The matches of a rule share their action.
        let before = at.checked_sub(1).filter(|&before| Arc::ptr_eq(&routes[before].action, &route.action));
        let effect = before.map_or_else(|| effect(side, &route.action), |before| effects[before].clone());
        effects.push(effect);
    }
    effects
}

/// What a route does, as texts that are equal exactly if it is the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    /// Where requests go and how they arrive.
    target: String,
    /// Everything.
    whole: String,
}

struct Effects {
    old: Vec<Effect>,
    new: Vec<Effect>,
}

fn effect(side: Side<'_>, action: &Action) -> Effect {
    let mut whole = format!("{action:?}");
    let target = match &action.kind {
        ActionKind::Forward(forward) => {
            let to: Vec<String> = forward.destinations.iter().map(|to| destination(side, to, &mut whole)).collect();
            format!("{to:?} {:?} {:?}", forward.path_rewrite, forward.authority)
        }
        other => format!("{other:?}"),
    };
    Effect { target, whole }
}

/// Where a destination leads; `whole` is told the policy of its cluster too.
pub(super) fn destination(side: Side<'_>, to: &Destination, whole: &mut String) -> String {
    let clusters = side.proxy.map_or(&[][..], |proxy| &proxy.program.clusters);
    let cluster = to.cluster.as_ref().and_then(|name| clusters.iter().find(|cluster| cluster.name == *name));
    let reached = cluster.map(|cluster| {
        // How an address is found and spoken to; endpoints themselves come and go.
        // Writing to a string cannot fail.
        let _ = write!(whole, "{:?} {:?} {}", cluster.policy, cluster.discovery, cluster.http2);
        cluster.endpoints.is_empty()
    });
    format!("{}:{} {:?} {:?} {reached:?}", to.host, to.port, to.subset, to.authority)
}

fn class(old: Option<&Effect>, new: Option<&Effect>) -> Class {
    match (old, new) {
        (None, _) => Class::Added,
        (_, None) => Class::Removed,
        (Some(old), Some(new)) if old.target == new.target => Class::Policy,
        _ => Class::Rerouted,
    }
}

/// By what is done before and after: regions in words, how many more there are, a request.
type Found<'e> = BTreeMap<(Option<Effect>, Option<Effect>), (Vec<String>, usize, Option<malha_table::Request>)>;

struct Search<'s, 'p> {
    /// The old routes, then the new ones.
    list: &'s List,
    /// What is asked of all requests.
    asked_for: Product,
    asked: &'s mut HostSpace<'p>,
    effects: &'s Effects,
    /// How many old ones there are.
    count: usize,
    found: Found<'s>,
}

impl Search<'_, '_> {
    fn run(&mut self, new_count: usize) {
        let overlap = Overlap::new(self.list.rows(), &self.asked.space);
        let count = self.count;
        for new in 0..new_count {
            for old in overlap.before(count + new).into_iter().filter(|&row| row < count) {
                if self.effects.old[old] != self.effects.new[new] {
                    self.both(Some(old), Some(new));
                }
            }
        }
        for old in 0..count {
            self.both(Some(old), None);
        }
        for new in 0..new_count {
            self.both(None, Some(new));
        }
    }

    /// Looks for a request that the one takes before, and the other after.
    fn both(&mut self, old: Option<usize>, new: Option<usize>) {
        let count = self.count;
        let mut product = self.asked_for.clone();
        for row in [old, new.map(|new| count + new)].into_iter().flatten() {
            product = product.and(&self.list.rows()[row]);
        }
        let is_before = |row: usize| {
            if row < count { old.is_none_or(|old| row < old) } else { new.is_none_or(|new| row < count + new) }
        };
        let left = self.list.left_of(&mut self.asked.space, &product, Among::These(&is_before), DEFAULT_BUDGET);
        // What is not decided is told: silence would say that nothing changes.
        let point = match left {
            Reach::Live(point) => Some(point),
            Reach::Unknown => None,
            Reach::Empty | Reach::Taken(_) => return,
        };
        let key = (old.map(|old| self.effects.old[old].clone()), new.map(|new| self.effects.new[new].clone()));
        let perhaps = if point.is_none() { "perhaps (not decided): " } else { "" };
        let words = format!("{perhaps}{}", self.asked.space.words(&product));
        let request = point.and_then(|point| self.asked.request(&point));
        let entry = self.found.entry(key).or_insert_with(|| (Vec::new(), 0, request));
        if entry.0.contains(&words) {
            return;
        }
        if entry.0.len() < SHOWN {
            entry.0.push(words);
        } else {
            entry.1 += 1;
        }
    }
}
