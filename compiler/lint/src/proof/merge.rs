//! VirtualServices that meet in one virtual host of a gateway, or hide each other there.

use super::{
    Proof,
    claim::{rule_name, unanswered},
    replay::Replay,
};
use malha_algebra::{Among, DEFAULT_BUDGET, Overlap, Point, Reach};
use malha_mesh::analysis::{HostSpace, Names, Worlds, entrance_of_table};
use malha_mesh::program::{Filter, FilterChain, Listener, Origin, Program, Proxy, Role, RouteTable, VirtualHost};
use malha_mesh::{Mesh, ObjectName};
use malha_syntax::{Claim, Location};
use smol_str::SmolStr;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// Pairs of routes of one virtual host that are looked at; past them some conflicts are not told.
const MOST_PAIRS: usize = 2_000_000;

/// Beyond these it is not counted who else is in the way.
pub(crate) const MOST_OTHERS: usize = 9;

/// Two VirtualServices that treat a request differently, where only one of them is asked.
#[derive(Clone, Debug)]
pub(crate) struct Conflict {
    pub(crate) sort: Sort,
    /// The virtual host.
    pub(crate) host: String,
    /// The route that has the request if its object is the older one.
    pub(crate) winner: Arc<Origin>,
    /// The route that would.
    pub(crate) loser: Arc<Origin>,
    /// How many other VirtualServices win over the loser's in the same way, at most [`MOST_OTHERS`].
    pub(crate) others: usize,
    pub(crate) proof: Proof,
}

/// How two VirtualServices are in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// Which of two rules takes a request depends on the age of their objects.
    Order,
    /// Two rules take all that is left; the first has it.
    CatchAlls,
    /// A request to the narrower host meets none of its rules, and is not given to the wider one. The loser is the wider
    /// host's rule, the winner some rule of the narrower.
    Hidden,
}

/// What is proved of virtual hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergeProofs {
    pub(crate) conflicts: Vec<Conflict>,
    /// Rules of which it was not decided whether they are in the way of others, each with its virtual host.
    pub(crate) undecided: BTreeMap<Location, (String, Arc<Origin>)>,
}

pub(super) fn prove(mesh: &Mesh, program: &Program) -> MergeProofs {
    let replay = Replay::new(mesh, program);
    // That a request could send a header twice makes no two rules meet in practice.
    let worlds = Worlds::new(program.settings).of_plain_headers();
    let mut merger =
        Merger { replay, worlds, mesh, seen: HashSet::new(), told: BTreeSet::new(), proofs: MergeProofs::default() };
    for proxy in program.proxies.iter().filter(|proxy| proxy.role == Role::Gateway) {
        for listener in &proxy.program.listeners {
            for chain in &listener.filter_chains {
                let Filter::Http(index) = chain.filter else { continue };
                let Some(table) = proxy.program.route_tables.get(index) else { continue };
                merger.table(proxy, listener, chain, table);
            }
        }
    }
    merger.proofs
}

struct Merger<'a> {
    replay: Replay<'a>,
    worlds: Worlds,
    mesh: &'a Mesh,
    /// Virtual hosts that were looked at, by the places of their routes: many proxies and domains share them.
    seen: HashSet<Vec<Location>>,
    /// Which object lost to which, by sort.
    told: BTreeSet<(Sort, ObjectName, ObjectName)>,
    proofs: MergeProofs,
}

fn owner(origin: &Origin) -> ObjectName {
    ObjectName::new(origin.namespace.clone(), origin.name.clone())
}

impl<'a> Merger<'a> {
    fn table(&mut self, proxy: &'a Proxy, listener: &'a Listener, chain: &'a FilterChain, table: &'a RouteTable) {
        let worlds = self.worlds.clone();
        let space = |host: &'a VirtualHost| {
            let names = Names::of(host, table);
            HostSpace::new(host, &names, entrance_of_table(proxy, listener, chain, &names), &worlds)
        };
        let mut several = Vec::new();
        for host in table.virtual_hosts.iter().filter(|host| !host.require_tls) {
            let mut owners: Vec<ObjectName> =
                host.routes.iter().filter_map(|route| route.origin.as_deref()).map(owner).collect();
            owners.dedup();
            let places: Vec<Location> =
                host.routes.iter().filter_map(|route| route.origin.as_ref()).map(|origin| origin.location).collect();
            if owners.len() > 1 && self.seen.insert(places) {
                several.push(space(host));
            }
        }
        for mut host in several {
            self.catch_alls(&mut host);
            self.order(&mut host);
        }
        self.hidden(table, space);
    }

    /// Whether the files themselves say which of two objects is older.
    fn age_is_known(&self, one: &ObjectName, other: &ObjectName) -> bool {
        let created = |name: &ObjectName| {
            let resource = &self.mesh.virtual_service(name)?.resource;
            resource.metadata.creation_timestamp.as_ref().map(|time| time.value.clone())
        };
        matches!((created(one), created(other)), (Some(one), Some(other)) if one != other)
    }

    /// The request of a point, if what the virtual host says of it is so: which route has it, if any.
    fn proof(&self, host: &mut HostSpace<'a>, point: &Point) -> Option<Proof> {
        let taker = host.list.first(&mut host.space, point).and_then(|row| host.rows[row].origin);
        let claim = taker.map_or_else(unanswered, |origin| Claim::TakenBy(rule_name(origin)));
        self.replay.proof(host.request(point), &claim)
    }

    fn is_new(&mut self, sort: Sort, winner: &ObjectName, loser: &ObjectName) -> bool {
        self.told.insert((sort, loser.clone(), winner.clone()))
    }

    fn order(&mut self, host: &mut HostSpace<'a>) {
        let names: Vec<Option<ObjectName>> =
            host.rows.iter().map(|row| row.origin.map(|origin| owner(origin))).collect();
        let mut numbers: BTreeMap<&ObjectName, usize> = BTreeMap::new();
        let owners: Vec<Option<usize>> = names
            .iter()
            .map(|name| {
                let next = numbers.len();
                name.as_ref().map(|name| *numbers.entry(name).or_insert(next))
            })
            .collect();
        let overlap = Overlap::new(host.list.rows(), &host.space);
        let mut found: BTreeMap<usize, Conflict> = BTreeMap::new();
        let mut decided: HashSet<(usize, usize)> = HashSet::new();
        let mut pairs = 0;
        for later in 0..host.rows.len() {
            let (Some(loser), Some(loser_name)) = (owners[later], &names[later]) else { continue };
            if host.rows[later].route.predicate.is_catch_all() {
                continue;
            }
            for earlier in overlap.before(later) {
                let (Some(winner), Some(winner_name)) = (owners[earlier], &names[earlier]) else { continue };
                if winner == loser
                    || host.rows[earlier].route.predicate.is_catch_all()
                    || host.space.plainly_disjoint(&host.list.rows()[earlier], &host.list.rows()[later])
                    || decided.contains(&(winner, loser))
                    || does_the_same(host, earlier, later)
                {
                    continue;
                }
                if found.get(&loser).is_some_and(|known| known.others == MOST_OTHERS) {
                    break;
                }
                if pairs == MOST_PAIRS {
                    self.undecided(host, later);
                    break;
                }
                pairs += 1;
                if self.age_is_known(winner_name, loser_name) {
                    decided.insert((winner, loser));
                    continue;
                }
                let point = match Self::contested(host, &owners, earlier, later) {
                    Reach::Live(point) => point,
                    Reach::Empty | Reach::Taken(_) => continue,
                    Reach::Unknown => {
                        self.undecided(host, later);
                        continue;
                    }
                };
                if let Some(known) = found.get_mut(&loser) {
                    decided.insert((winner, loser));
                    known.others += 1;
                } else if let (Some(winner_origin), Some(origin)) = (host.rows[earlier].origin, host.rows[later].origin)
                    && let Some(proof) = self.proof(host, &point)
                {
                    decided.insert((winner, loser));
                    let (sort, host) = (Sort::Order, domain(host));
                    let (winner, loser_origin) = (Arc::clone(winner_origin), Arc::clone(origin));
                    found.insert(loser, Conflict { sort, host, winner, loser: loser_origin, others: 0, proof });
                }
            }
        }
        for conflict in found.into_values() {
            if self.is_new(Sort::Order, &owner(&conflict.winner), &owner(&conflict.loser)) {
                self.proofs.conflicts.push(conflict);
            }
        }
    }

    fn undecided(&mut self, host: &HostSpace<'a>, row: usize) {
        if let Some(origin) = host.rows[row].origin {
            let told = || (domain(host), Arc::clone(origin));
            self.proofs.undecided.entry(origin.location).or_insert_with(told);
        }
    }

    /// A request that each of two rules has if its object comes first: rather one that the earlier has today.
    fn contested(host: &mut HostSpace<'a>, owners: &[Option<usize>], earlier: usize, later: usize) -> Reach {
        let both = host.list.rows()[earlier].and(&host.list.rows()[later]);
        let of_loser = |row: usize| row < later && owners[row] == owners[later];
        let today = |row: usize| row < earlier || of_loser(row);
        let ever = |row: usize| (row < earlier && owners[row] == owners[earlier]) || of_loser(row);
        match host.list.left_of(&mut host.space, &both, Among::These(&today), DEFAULT_BUDGET) {
            Reach::Taken(_) | Reach::Unknown => {}
            reach => return reach,
        }
        host.list.left_of(&mut host.space, &both, Among::These(&ever), DEFAULT_BUDGET)
    }

    fn catch_alls(&mut self, host: &mut HostSpace<'a>) {
        let all: Vec<usize> =
            (0..host.rows.len()).filter(|&row| host.rows[row].route.predicate.is_catch_all()).collect();
        let Some((&first, rest)) = all.split_first() else { return };
        let Some(winner) = host.rows[first].origin else { return };
        for &row in rest {
            let Some(loser) = host.rows[row].origin else { continue };
            let (one, other) = (owner(winner), owner(loser));
            if one == other
                || host.rows[first].route.action == host.rows[row].route.action
                || self.age_is_known(&one, &other)
                || self.told.contains(&(Sort::CatchAlls, other.clone(), one.clone()))
            {
                continue;
            }
            let specific = |at: usize| !all.contains(&at);
            let product = host.list.rows()[row].clone();
            let left = host.list.left_of(&mut host.space, &product, Among::These(&specific), DEFAULT_BUDGET);
            let Reach::Live(point) = left else { continue };
            let Some(proof) = self.proof(host, &point) else { continue };
            self.told.insert((Sort::CatchAlls, other, one));
            let (sort, host) = (Sort::CatchAlls, domain(host));
            let (winner, loser) = (Arc::clone(winner), Arc::clone(loser));
            self.proofs.conflicts.push(Conflict { sort, host, winner, loser, others: 0, proof });
        }
    }

    /// Requests to a host that its own rules do not take, and a wildcard's rules would.
    fn hidden(&mut self, table: &'a RouteTable, space: impl Fn(&'a VirtualHost) -> HostSpace<'a>) {
        let hosts = || table.virtual_hosts.iter().filter(|host| !host.require_tls && !host.routes.is_empty());
        let wildcards: Vec<&'a Arc<VirtualHost>> =
            hosts().filter(|host| host.domains.iter().any(|domain| domain.starts_with('*'))).collect();
        for narrow in hosts() {
            if narrow.routes.iter().any(|route| route.predicate.is_catch_all()) {
                continue;
            }
            let own: BTreeSet<ObjectName> =
                narrow.routes.iter().filter_map(|route| route.origin.as_deref()).map(owner).collect();
            let Some(winner) = narrow.routes.iter().find_map(|route| route.origin.clone()) else { continue };
            let mut asked = None;
            // Of several wildcards the closest would have the requests.
            let wide = wildcards.iter().filter(|wide| is_below(narrow, wide));
            let wide = wide.max_by_key(|wide| above(narrow, wide).map(str::len).max());
            if let Some(wide) = wide {
                for route in wide.routes.iter() {
                    let Some(loser) = &route.origin else { continue };
                    let name = owner(loser);
                    if own.contains(&name) || self.told.contains(&(Sort::Hidden, name.clone(), owner(&winner))) {
                        continue;
                    }
                    let asked = asked.get_or_insert_with(|| space(narrow));
                    let product = asked.space.product(&route.predicate);
                    let all = |_: usize| true;
                    let left = asked.list.left_of(&mut asked.space, &product, Among::These(&all), DEFAULT_BUDGET);
                    let Reach::Live(point) = left else { continue };
                    // An earlier rule of the wildcard's might have it.
                    let mut before = wide.routes.iter().take_while(|other| !std::ptr::eq(*other, route));
                    let is_taken = before.any(|other| {
                        let product = asked.space.product(&other.predicate);
                        asked.space.contains(&product, &point)
                    });
                    if is_taken {
                        continue;
                    }
                    let Some(proof) = self.proof(asked, &point) else { continue };
                    self.told.insert((Sort::Hidden, name, owner(&winner)));
                    let (winner, loser) = (Arc::clone(&winner), Arc::clone(loser));
                    let (sort, host) = (Sort::Hidden, domain(asked));
                    self.proofs.conflicts.push(Conflict { sort, host, winner, loser, others: 0, proof });
                }
            }
        }
    }
}

fn does_the_same(host: &HostSpace<'_>, one: usize, other: usize) -> bool {
    let (one, other) = (&host.rows[one].route.action, &host.rows[other].route.action);
    Arc::ptr_eq(one, other) || one == other
}

fn domain(host: &HostSpace<'_>) -> String {
    host.host.domains.first().map(ToString::to_string).unwrap_or_default()
}

/// Whether the names of one virtual host are all names that the other, a wildcard's, would have without it.
fn is_below(narrow: &VirtualHost, wide: &VirtualHost) -> bool {
    narrow.domains.iter().all(|domain| wide.domains.iter().any(|other| is_above(other, domain)))
}

/// The domains of a wildcard's host that have names of the narrower one.
fn above<'w>(narrow: &'w VirtualHost, wide: &'w VirtualHost) -> impl Iterator<Item = &'w str> {
    let of_narrow = move |other: &&str| narrow.domains.iter().any(|domain| is_above(other, domain));
    wide.domains.iter().map(SmolStr::as_str).filter(of_narrow)
}

fn is_above(wide: &str, domain: &str) -> bool {
    wide != domain && wide.starts_with('*') && malha_mesh::host::is_subset(domain, wide)
}
