//! VirtualServices that meet in one virtual host of a gateway, or hide each other there.

use super::{Proof, replay::Replay};
use malha_algebra::{Among, DEFAULT_BUDGET, Overlap, Point, Reach};
use malha_mesh::analysis::{HostSpace, Names, Worlds, entrance_of_table};
use malha_mesh::program::{Filter, FilterChain, Listener, Origin, Program, Proxy, Role, RouteTable, VirtualHost};
use malha_mesh::{Mesh, ObjectName};
use malha_syntax::{Claim, Location, RuleName};
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
    /// The virtual host.
    pub(crate) host: String,
    /// The route that takes the request today.
    pub(crate) winner: Arc<Origin>,
    /// The route that would.
    pub(crate) loser: Arc<Origin>,
    /// How many other VirtualServices win over the loser's in the same way, at most [`MOST_OTHERS`].
    pub(crate) others: usize,
    pub(crate) proof: Option<Proof>,
}

/// What is proved of virtual hosts.
#[derive(Clone, Debug)]
pub(crate) enum MergeProof {
    /// Which of two rules takes a request depends on the age of their objects.
    Order(Conflict),
    /// Two rules take all that is left; the first has it.
    CatchAlls(Conflict),
    /// A request to the narrower host meets none of its rules, and is not given to the wider one. The loser is the wider
    /// host's rule, the winner some rule of the narrower.
    Hidden(Conflict),
}

pub(super) fn prove(mesh: &Mesh, program: &Program) -> Vec<MergeProof> {
    let replay = Replay::new(mesh, program);
    // That a request could send a header twice makes no two rules meet in practice.
    let worlds = Worlds::new(program.settings.path_normalization).of_single_lines();
    let mut merger = Merger { replay, worlds, mesh, seen: HashSet::new(), told: BTreeSet::new(), proofs: Vec::new() };
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
    told: BTreeSet<(u8, ObjectName, ObjectName)>,
    proofs: Vec<MergeProof>,
}

fn owner(origin: &Origin) -> ObjectName {
    ObjectName::new(origin.namespace.clone(), origin.name.clone())
}

/// The rule of a route, as decisions have it.
fn rule_name(origin: &Origin) -> RuleName {
    RuleName {
        namespace: origin.namespace.to_string(),
        name: origin.name.to_string(),
        section: origin.section,
        index: origin.index,
    }
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

    /// The request of a point, if the winner takes it and the loser does not.
    fn proof(
        &self,
        host: &mut HostSpace<'a>,
        point: &Point,
        winner: Option<&Arc<Origin>>,
        loser: &Arc<Origin>,
    ) -> Option<Proof> {
        let claim = Claim { taken_by: winner.map(|winner| rule_name(winner)), not_by: Some(rule_name(loser)) };
        let request = self.replay.proves(host.request(point), &claim)?;
        Some(Proof { request, claim })
    }

    fn tell(&mut self, sort: u8, winner: &ObjectName, loser: &ObjectName) -> bool {
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
                if found.get(&loser).is_some_and(|known| known.others == MOST_OTHERS) || pairs == MOST_PAIRS {
                    break;
                }
                pairs += 1;
                if self.age_is_known(winner_name, loser_name) {
                    decided.insert((winner, loser));
                    continue;
                }
                let Some(point) = Self::contested(host, &owners, earlier, later) else { continue };
                decided.insert((winner, loser));
                if let Some(known) = found.get_mut(&loser) {
                    known.others += 1;
                } else if let (Some(winner), Some(origin)) = (host.rows[earlier].origin, host.rows[later].origin) {
                    let proof = self.proof(host, &point, Some(winner), origin);
                    let (host, winner, loser_origin) = (domain(host), Arc::clone(winner), Arc::clone(origin));
                    found.insert(loser, Conflict { host, winner, loser: loser_origin, others: 0, proof });
                }
            }
        }
        for conflict in found.into_values() {
            if self.tell(0, &owner(&conflict.winner), &owner(&conflict.loser)) {
                self.proofs.push(MergeProof::Order(conflict));
            }
        }
    }

    /// A request that each of two rules has if its object comes first: rather one that the earlier has today.
    fn contested(host: &mut HostSpace<'a>, owners: &[Option<usize>], earlier: usize, later: usize) -> Option<Point> {
        let both = host.list.rows()[earlier].and(&host.list.rows()[later]);
        let of_loser = |row: usize| row < later && owners[row] == owners[later];
        let today = |row: usize| row < earlier || of_loser(row);
        let ever = |row: usize| (row < earlier && owners[row] == owners[earlier]) || of_loser(row);
        match host.list.left_of(&mut host.space, &both, Among::These(&today), DEFAULT_BUDGET) {
            Reach::Live(point) => return Some(point),
            Reach::Empty => return None,
            Reach::Taken(_) | Reach::Unknown => {}
        }
        match host.list.left_of(&mut host.space, &both, Among::These(&ever), DEFAULT_BUDGET) {
            Reach::Live(point) => Some(point),
            Reach::Empty | Reach::Taken(_) | Reach::Unknown => None,
        }
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
                || !self.tell(1, &one, &other)
            {
                continue;
            }
            let specific = |at: usize| !all.contains(&at);
            let product = host.list.rows()[row].clone();
            let left = host.list.left_of(&mut host.space, &product, Among::These(&specific), DEFAULT_BUDGET);
            let Reach::Live(point) = left else { continue };
            let proof = self.proof(host, &point, Some(winner), loser);
            let (winner, loser) = (Arc::clone(winner), Arc::clone(loser));
            let conflict = Conflict { host: domain(host), winner, loser, others: 0, proof };
            self.proofs.push(MergeProof::CatchAlls(conflict));
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
            let wide = wide.max_by_key(|wide| wide.domains.iter().map(SmolStr::len).max());
            if let Some(wide) = wide {
                for route in wide.routes.iter() {
                    let Some(loser) = &route.origin else { continue };
                    let name = owner(loser);
                    if own.contains(&name) || self.told.contains(&(2, name.clone(), owner(&winner))) {
                        continue;
                    }
                    let asked = asked.get_or_insert_with(|| space(narrow));
                    let product = asked.space.product(&route.predicate);
                    let all = |_: usize| true;
                    let left = asked.list.left_of(&mut asked.space, &product, Among::These(&all), DEFAULT_BUDGET);
                    let Reach::Live(point) = left else { continue };
                    self.told.insert((2, name, owner(&winner)));
                    let proof = self.proof(asked, &point, None, loser);
                    let (winner, loser) = (Arc::clone(&winner), Arc::clone(loser));
                    let host = domain(asked);
                    self.proofs.push(MergeProof::Hidden(Conflict { host, winner, loser, others: 0, proof }));
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
    let below = |domain: &str| {
        wide.domains
            .iter()
            .any(|other| other != domain && other.starts_with('*') && malha_mesh::host::is_subset(domain, other))
    };
    narrow.domains.iter().all(|domain| below(domain))
}
