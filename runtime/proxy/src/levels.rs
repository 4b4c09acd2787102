//! The endpoints of a cluster by priority and locality, as a table places them (semantics D29 to D34).

use crate::{cluster::EndpointState, hashing::Places};
use malha_table::view::LoadBalancer;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Where a table places an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place<'t> {
    pub(crate) priority: u32,
    pub(crate) locality: &'t str,
    /// None: localities do not count.
    pub(crate) weight: Option<u32>,
}

/// The endpoints of one priority. All numbers of endpoints are indexes into those of the cluster.
#[derive(Debug)]
pub(crate) struct Level {
    priority: u32,
    pub(crate) members: Vec<usize>,
    /// Drawn by their weights before an endpoint of theirs is; none: they do not count.
    pub(crate) localities: Vec<Locality>,
    /// Where hashes lead; none: endpoints are chosen otherwise.
    hashed: Option<Arc<Hashed>>,
    pub(crate) turns: Turns,
}

/// The endpoints of a level that are at one place.
#[derive(Debug)]
pub(crate) struct Locality {
    name: Box<str>,
    pub(crate) weight: u32,
    pub(crate) members: Vec<usize>,
    pub(crate) turns: Turns,
}

/// Where round robin is, among localities and among endpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    localities: Arc<AtomicU64>,
    endpoints: Arc<AtomicU64>,
}

impl Turns {
    pub(crate) fn next_locality(&self) -> u64 {
        self.localities.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_endpoint(&self) -> u64 {
        self.endpoints.fetch_add(1, Ordering::Relaxed)
    }
}

/// Places, and what they were made of.
#[derive(Debug)]
struct Hashed {
    load_balancer: LoadBalancer,
    named: Vec<(String, u32)>,
    places: Places,
}

impl Level {
    /// The levels of a cluster, the nearest first. Where round robin was `before`, it goes on; what hashes lead to stays
    /// where nothing of it changed.
    pub(crate) fn all(
        endpoints: &[Arc<EndpointState>],
        placed: &[Place<'_>],
        load_balancer: LoadBalancer,
        before: &[Level],
    ) -> Vec<Level> {
        let mut by_priority: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, place) in placed.iter().enumerate() {
            by_priority.entry(place.priority).or_default().push(at);
        }
        let level = |(priority, members): (u32, Vec<usize>)| {
            let known = before.binary_search_by_key(&priority, |level| level.priority);
            let before = known.ok().and_then(|at| before.get(at));
            let localities = localities(&members, placed, before);
            let hashed = hashed(endpoints, &members, &localities, load_balancer, before);
            let turns = before.map(|level| level.turns.clone()).unwrap_or_default();
            Level { priority, members, localities, hashed, turns }
        };
        by_priority.into_iter().map(level).collect()
    }

    /// One level of so many endpoints.
    pub(crate) fn only(endpoints: usize) -> Vec<Level> {
        let (localities, turns) = (Vec::new(), Turns::default());
        vec![Level { priority: 0, members: (0..endpoints).collect(), localities, hashed: None, turns }]
    }

    /// Where hashes lead: to indexes of members.
    pub(crate) fn places(&self) -> Option<&Places> {
        self.hashed.as_ref().map(|hashed| &hashed.places)
    }
}

fn localities(members: &[usize], placed: &[Place<'_>], before: Option<&Level>) -> Vec<Locality> {
    if members.iter().all(|at| placed[*at].weight.is_none()) {
        return Vec::new();
    }
    let mut by_name: BTreeMap<&str, (u32, Vec<usize>)> = BTreeMap::new();
    for at in members {
        let place = placed[*at];
        let (weight, members) = by_name.entry(place.locality).or_default();
        *weight = (*weight).max(place.weight.unwrap_or(1));
        members.push(*at);
    }
    let made = by_name.into_iter().map(|(name, (weight, members))| {
        // They are in order of their names.
        let known = before.and_then(|level| {
            let at = level.localities.binary_search_by(|known| (*known.name).cmp(name)).ok()?;
            level.localities.get(at)
        });
        let turns = known.map(|known| known.turns.clone()).unwrap_or_default();
        Locality { name: name.into(), weight, members, turns }
    });
    made.collect()
}

fn hashed(
    endpoints: &[Arc<EndpointState>],
    members: &[usize],
    localities: &[Locality],
    load_balancer: LoadBalancer,
    before: Option<&Level>,
) -> Option<Arc<Hashed>> {
    if !matches!(load_balancer, LoadBalancer::RingHash { .. } | LoadBalancer::Maglev { .. }) {
        return None;
    }
    let weights = weights(endpoints, members, localities);
    let named = members.iter().zip(weights).map(|(at, weight)| (endpoints[*at].address.to_string(), weight));
    let named: Vec<(String, u32)> = named.collect();
    let known = before.and_then(|level| level.hashed.as_ref());
    if let Some(known) = known.filter(|known| known.load_balancer == load_balancer && known.named == named) {
        return Some(Arc::clone(known));
    }
    let places = Places::of(load_balancer, &named)?;
    Some(Arc::new(Hashed { load_balancer, named, places }))
}

/// The weights by which hashes are spread over members: their own, as parts of their localities' where those count.
fn weights(endpoints: &[Arc<EndpointState>], members: &[usize], localities: &[Locality]) -> Vec<u32> {
    /// The weight of all members together.
    const WHOLE: u128 = 1_000_000;
    let own = |at: usize| endpoints[at].weight.max(1);
    if localities.is_empty() {
        return members.iter().map(|at| own(*at)).collect();
    }
    let total: u128 = localities.iter().map(|locality| u128::from(locality.weight)).sum();
    let mut parts: BTreeMap<usize, u32> = BTreeMap::new();
    for locality in localities {
        let all: u128 = locality.members.iter().map(|at| u128::from(own(*at))).sum();
        let part = |at: usize| (WHOLE * u128::from(locality.weight) * u128::from(own(at))).checked_div(total * all);
        parts.extend(locality.members.iter().map(|at| (*at, part(*at).map_or(1, |part| (part as u32).max(1)))));
    }
    members.iter().map(|at| parts.get(at).copied().unwrap_or(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::EndpointAddress;

    const RING: LoadBalancer = LoadBalancer::RingHash { minimum_size: 16 };

    fn endpoints(weights: &[u32]) -> Vec<Arc<EndpointState>> {
        let endpoint = |(number, weight): (usize, &u32)| {
            let address = EndpointAddress { host: format!("192.0.2.{number}").into(), port: 80 };
            Arc::new(EndpointState::new(address, false, *weight, 0))
        };
        weights.iter().enumerate().map(endpoint).collect()
    }

    fn place(priority: u32, locality: &'static str, weight: impl Into<Option<u32>>) -> Place<'static> {
        Place { priority, locality, weight: weight.into() }
    }

    #[test]
    fn levels_are_in_order_whatever_their_numbers() {
        let placed = [place(7, "a", None), place(u32::MAX, "a", None), place(0, "b", None), place(7, "c", None)];
        let levels = Level::all(&endpoints(&[1; 4]), &placed, LoadBalancer::Random, &[]);
        let members: Vec<&[usize]> = levels.iter().map(|level| level.members.as_slice()).collect();
        assert_eq!(members, [&[2][..], &[0, 3], &[1]]);
        assert!(levels.iter().all(|level| level.localities.is_empty() && level.places().is_none()));
    }

    #[test]
    fn localities_count_where_one_has_a_weight() {
        let placed = [place(0, "b", 30), place(0, "a", 70), place(0, "b", 30), place(0, "", None)];
        let levels = Level::all(&endpoints(&[1; 4]), &placed, LoadBalancer::Random, &[]);
        let localities = |level: &Level| -> Vec<(String, u32, Vec<usize>)> {
            let told = |locality: &Locality| (locality.name.to_string(), locality.weight, locality.members.clone());
            level.localities.iter().map(told).collect()
        };
        let wanted = [(String::new(), 1, vec![3]), ("a".into(), 70, vec![1]), ("b".into(), 30, vec![0, 2])];
        assert_eq!(localities(&levels[0]), wanted);
    }

    #[test]
    fn hashes_are_spread_by_locality_and_weight() {
        let placed = [place(0, "a", 80), place(0, "b", 20), place(0, "b", 20)];
        let endpoints = endpoints(&[1, 1, 3]);
        let levels = Level::all(&endpoints, &placed, RING, &[]);
        let members: Vec<usize> = vec![0, 1, 2];
        assert_eq!(weights(&endpoints, &members, &levels[0].localities), [800_000, 50_000, 150_000]);
        assert_eq!(weights(&endpoints, &members, &[]), [1, 1, 3]);
    }

    #[test]
    fn a_table_after_another_goes_on_where_it_was() {
        let placed = [place(0, "a", 1), place(1, "b", 1)];
        let endpoints = endpoints(&[1, 1]);
        let first = Level::all(&endpoints, &placed, RING, &[]);
        first[1].localities[0].turns.next_endpoint();
        let second = Level::all(&endpoints, &placed, RING, &first);
        assert_eq!(second[1].localities[0].turns.next_endpoint(), 1);
        let same = |one: &Level, other: &Level| match (&one.hashed, &other.hashed) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        assert!(same(&first[0], &second[0]));
        let other = Level::all(&endpoints, &[place(0, "a", 1), place(0, "b", 1)], RING, &first);
        assert!(!same(&first[0], &other[0]), "there is one more endpoint");
    }
}
