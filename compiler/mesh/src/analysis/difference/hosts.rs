//! Virtual hosts against each other.

use super::{
    Class, Difference, Frame, Side, Sides,
    effect::Effect,
    sorts::{Sort, Sorts},
};
use crate::analysis::Worlds;
use crate::analysis::host::{HostSpace, Names, entrance_of_table, reads_authority};
use crate::analysis::world::FORWARDED_PROTO;
use crate::program::{Fallback, Filter, FilterChain, RouteTable, VirtualHost};
use malha_algebra::language::{Limits, Test};
use malha_algebra::{Among, Axis, DEFAULT_BUDGET, Field, List, Overlap, Product, Reach};
use smol_str::SmolStr;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// How many regions of one change are put into words.
const SHOWN: usize = 3;

/// Pairs of rules of one virtual host that are compared; past them it is told that something may differ.
const MOST_PAIRS: usize = 500_000;

/// The route tables of one listener, as its chains lead to them.
pub(super) struct HostPairs<'p> {
    sides: &'p Sides<'p>,
    seen: Seen<'p>,
}

impl<'p> HostPairs<'p> {
    pub(super) fn new(sides: &'p Sides<'p>) -> Self {
        HostPairs { sides, seen: Seen::new() }
    }

    /// Compares what becomes of requests on a sort of connections.
    pub(super) fn compare(
        &mut self,
        sorts: &Sorts<'p>,
        sort: Sort<'p>,
        before: Option<&'p FilterChain>,
        after: Option<&'p FilterChain>,
        frame: &mut Frame<'_>,
    ) {
        let table = |side: Side<'p>, chain: Option<&FilterChain>| match chain?.filter {
            Filter::Http(index) => side.proxy?.program.route_tables.get(index),
            Filter::Tcp(_) => None,
        };
        let Some(chain) = after.or(before) else { return };
        let (old, new) = (table(self.sides.old, before), table(self.sides.new, after));
        let pair = Pair { sides: self.sides, chain, old, new, name: sort.name, sorts };
        pair.compare(&mut self.seen, frame);
    }
}

/// Two route tables of one place.
struct Pair<'p, 's> {
    sides: &'p Sides<'p>,
    chain: &'p FilterChain,
    old: Option<&'p RouteTable>,
    new: Option<&'p RouteTable>,
    /// The server name that clients say: hosts of that name are asked for. That of another host is compared where it
    /// is said.
    name: Option<&'p str>,
    sorts: &'s Sorts<'p>,
}

/// The virtual hosts of a domain that were compared.
type Seen<'p> = HashSet<(&'p str, Option<*const VirtualHost>, Option<*const VirtualHost>)>;

/// The virtual host that names of a domain go to: its own, else the closest wildcard's.
fn host_of<'p>(table: Option<&'p RouteTable>, domain: &str) -> Option<&'p Arc<VirtualHost>> {
    let hosts = table.into_iter().flat_map(|table| &table.virtual_hosts);
    let domains = hosts.flat_map(|host| host.domains.iter().map(move |own| (host, own)));
    domains
        .filter(|(_, own)| *own == domain || (own.starts_with('*') && crate::host::is_subset(domain, own)))
        .max_by_key(|(_, own)| (*own == domain, own.len()))
        .map(|(host, _)| host)
}

impl<'p> Pair<'p, '_> {
    fn compare(&self, seen: &mut Seen<'p>, frame: &mut Frame<'_>) {
        let tables = [self.old, self.new].into_iter().flatten();
        // The longest of several that lead to the same hosts is the one that all clients know.
        let domains: BTreeSet<(bool, Reverse<usize>, &str)> = tables
            .flat_map(|table| &table.virtual_hosts)
            .flat_map(|host| &host.domains)
            .map(|domain| (domain.ends_with('.'), Reverse(domain.len()), domain.as_str()))
            .collect();
        let mut pairs = HashSet::new();
        for (.., domain) in domains {
            // Of a host wider than the name, the name.
            let asked = match self.name {
                Some(name) if crate::host::is_subset(name, domain) => name,
                Some(name) if !crate::host::is_subset(domain, name) => continue,
                _ => domain,
            };
            let (old, new) = (host_of(self.old, asked), host_of(self.new, asked));
            let (one, other) = (old.map(Arc::as_ptr), new.map(Arc::as_ptr));
            let mut routes = old.into_iter().chain(new).flat_map(|host| host.routes.iter());
            // Where no rule reads it, one name stands for all that lead to the same hosts.
            let is_new = pairs.insert((one, other)) || routes.any(reads_authority);
            if seen.insert((asked, one, other)) && is_new {
                self.hosts(asked, old, new, frame);
            }
        }
    }

    fn hosts(
        &self,
        domain: &'p str,
        old: Option<&'p Arc<VirtualHost>>,
        new: Option<&'p Arc<VirtualHost>>,
        frame: &mut Frame<'_>,
    ) {
        // Where there is no listener, connections are treated as that of the mesh's own catch-all would treat requests.
        let is_fallback = |host: Option<&Arc<VirtualHost>>| host.is_none_or(|host| host.catch_all.is_some());
        if (self.old.is_none() || self.new.is_none()) && is_fallback(old) && is_fallback(new) {
            return;
        }
        let routes = |host: Option<&'p Arc<VirtualHost>>| host.map_or(&[][..], |host| &host.routes);
        let (before, after) = (routes(old), routes(new));
        let effects =
            Effects { old: Effect::of_routes(self.sides.old, before), new: Effect::of_routes(self.sides.new, after) };
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
        let mut names = Names::of_domain(domain, [self.old, self.new].into_iter().flatten());
        if self.name.is_some() {
            names.without(self.sorts.below(domain));
        }
        let entrance = entrance_of_table(proxy, frame.listener, self.chain, &names);
        let limits = Limits::of_rows(before.len() + after.len());
        let worlds = Worlds::new(side.program.settings);
        let mut asked = HostSpace::with_limits(host, &names, entrance, &worlds, limits);
        if redirects(old) != redirects(new) {
            let request = asked.request(&malha_algebra::Point::default());
            let region = "every plain request, by httpsRedirect".to_owned();
            let found = Difference { host: domain.to_owned(), region, request, ..Difference::default() };
            frame.tell(Class::Rerouted, found);
        }
        let mut asked_for = Product::all();
        if redirects(old) || redirects(new) {
            // Only requests that say https of themselves get past the redirect (semantics A42).
            let https = Test::exact(SmolStr::new_static("https"));
            let field = if side.program.settings.http(proxy.role).trusts_forwarded_proto() {
                Field::Header(FORWARDED_PROTO.into())
            } else {
                Field::Scheme
            };
            asked_for.insert(asked.space.literal(&Axis::Field(field), https, true));
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
            pairs: 0,
            found: BTreeMap::new(),
        };
        let is_whole = search.run(after.len());
        for ((one, other), (regions, more, request)) in search.found {
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let region = format!("{}{more}", regions.join("; or "));
            let (one, other) = (one.as_deref(), other.as_deref());
            let effects = format!("{:?} {:?}", one.map(Effect::text), other.map(Effect::text));
            let details = Effect::details(one, other);
            let found = Difference { host: domain.to_owned(), region, request, details, effects };
            let class = match Effect::class(one, other) {
                // What a sidecar has no listener for it passes on.
                Class::Added | Class::Removed if self.is_passed_on() => Class::Rerouted,
                class => class,
            };
            frame.tell(class, found);
        }
        if !is_whole {
            let region =
                "perhaps (not decided): others, since its rules are too many or too hard to compare all".to_owned();
            frame.tell(Class::Rerouted, Difference { host: domain.to_owned(), region, ..Difference::default() });
        }
    }
}

impl Pair<'_, '_> {
    /// Whether one side has no listener, and its proxy passes on what it has none for.
    fn is_passed_on(&self) -> bool {
        let is_on = |fallback: Fallback| matches!(fallback, Fallback::Passthrough | Fallback::EgressProxy);
        let passes = |side: Side<'_>| side.proxy.is_some_and(|proxy| is_on(proxy.program.fallback));
        (self.old.is_none() && passes(self.sides.old)) || (self.new.is_none() && passes(self.sides.new))
    }
}

struct Effects {
    old: Vec<Arc<Effect>>,
    new: Vec<Arc<Effect>>,
}

/// By what is done before and after: regions in words, how many more there are, a request.
type Found = BTreeMap<(Option<Arc<Effect>>, Option<Arc<Effect>>), (Vec<String>, usize, Option<malha_table::Request>)>;

struct Search<'s, 'p> {
    /// The old routes, then the new ones.
    list: &'s List,
    /// What is asked of all requests.
    asked_for: Product,
    asked: &'s mut HostSpace<'p>,
    effects: &'s Effects,
    /// How many old ones there are.
    count: usize,
    /// How many pairs of rules were looked at.
    pairs: usize,
    found: Found,
}

/// The first of the rows that are alike, by what they ask for.
fn firsts(rows: &[Product]) -> HashMap<&Product, usize> {
    let mut firsts = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        firsts.entry(row).or_insert(at);
    }
    firsts
}

impl Search<'_, '_> {
    /// Looks at every pair; says whether all of them were decided, or told one by one.
    fn run(&mut self, new_count: usize) -> bool {
        let overlap = Overlap::new(self.list.rows(), &self.asked.space);
        let count = self.count;
        let (of_old, of_new) = (firsts(&self.list.rows()[..count]), firsts(&self.list.rows()[count..]));
        for new in 0..new_count {
            for old in overlap.before(count + new).into_iter().filter(|&row| row < count) {
                let is_same = self.effects.old[old] == self.effects.new[new];
                let rows = self.list.rows();
                // What the one takes is gone where the other side has the same rule, and earlier.
                let is_gone = of_new.get(&rows[old]).is_some_and(|&first| first < new)
                    || of_old.get(&rows[count + new]).is_some_and(|&first| first < old);
                if is_same || is_gone || self.asked.space.plainly_disjoint(&rows[old], &rows[count + new]) {
                    continue;
                }
                self.pairs += 1;
                if self.is_spent() {
                    return false;
                }
                self.both(Some(old), Some(new));
            }
        }
        let alone = (0..count).map(|old| (Some(old), None)).chain((0..new_count).map(|new| (None, Some(new))));
        for (old, new) in alone {
            if self.is_spent() {
                return false;
            }
            self.both(old, new);
        }
        true
    }

    fn is_spent(&self) -> bool {
        self.pairs > MOST_PAIRS || self.asked.space.is_spent()
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
        let effects = (old.map(|row| &*self.effects.old[row]), new.map(|row| &*self.effects.new[row]));
        let parts = match Effect::only_paths(effects.0, effects.1) {
            None => vec![product.clone()],
            Some(paths) => {
                let space = &mut self.asked.space;
                let with =
                    |(test, holds)| product.and(&[space.literal(&Axis::Path, test, holds)].into_iter().collect());
                paths.into_iter().map(with).collect()
            }
        };
        let mut left = Reach::Empty;
        for part in &parts {
            match self.list.left_of(&mut self.asked.space, part, Among::These(&is_before), DEFAULT_BUDGET) {
                Reach::Empty | Reach::Taken(_) => {}
                found => left = found,
            }
            if matches!(left, Reach::Live(_)) {
                break;
            }
        }
        // What is not decided is told: silence would say that nothing changes.
        let point = match left {
            Reach::Live(point) => Some(point),
            Reach::Unknown => None,
            Reach::Empty | Reach::Taken(_) => return,
        };
        let effect = |effects: &[Arc<Effect>], row: Option<usize>| row.map(|row| Arc::clone(&effects[row]));
        let key = (effect(&self.effects.old, old), effect(&self.effects.new, new));
        let perhaps = if point.is_none() { "perhaps (not decided): " } else { "" };
        let words = format!("{perhaps}{}", self.asked.space.words(&product));
        let request = point.and_then(|point| self.asked.request(&point));
        let known = self.found.get(&key).map_or(0, |(regions, ..)| regions.len());
        let words = if known < SHOWN { format!("{words}{}", self.without(&product, &is_before)) } else { words };
        let entry = self.found.entry(key).or_insert_with(|| (Vec::new(), 0, None));
        if entry.2.is_none() {
            entry.2 = request;
        }
        if entry.0.contains(&words) {
            return;
        }
        if entry.0.len() < SHOWN {
            entry.0.push(words);
        } else {
            entry.1 += 1;
        }
    }

    /// What rules before take of a product, in words.
    fn without(&mut self, product: &Product, is_before: &dyn Fn(usize) -> bool) -> String {
        const LOOKED_AT: usize = 512;
        let rows = self.list.rows();
        let mut taken: Vec<String> = Vec::new();
        let mut more = 0;
        for row in (0..rows.len()).filter(|&row| is_before(row)).take(LOOKED_AT) {
            let space = &mut self.asked.space;
            if space.plainly_disjoint(product, &rows[row]) || space.is_empty(&product.and(&rows[row])) {
                continue;
            }
            let asked: Product =
                rows[row].literals().iter().copied().filter(|literal| !product.literals().contains(literal)).collect();
            let words = space.words(&asked);
            if taken.contains(&words) {
                continue;
            }
            if taken.len() < SHOWN {
                taken.push(words);
            } else {
                more += 1;
            }
        }
        if more > 0 {
            taken.push(format!("{more} more"));
        }
        if taken.is_empty() { String::new() } else { format!(", but for {}", taken.join(" or ")) }
    }
}
