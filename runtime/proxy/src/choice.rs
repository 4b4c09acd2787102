//! The choice of an endpoint: the level of priority, the locality in it, the endpoint in that (semantics D.4, D.5).

use crate::{
    balance::{self, Algorithm, Candidate},
    cluster::{ClusterState, EndpointState},
    counters::count,
    levels::{Level, Locality, Turns},
    members::Members,
    pool::EndpointAddress,
    priority::{Count, Spread},
    random::Random,
};
use std::{borrow::Borrow, sync::Arc};

/// What a request brings to the choice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Where the cluster hashes; none: the request has nothing of what is hashed (D21).
    pub(crate) hash: Option<u64>,
    /// Where it was tried before, in order.
    pub(crate) tried: &'a [EndpointAddress],
    /// Another endpoint than those, if five draws find one (C57).
    pub(crate) avoids_tried: bool,
    /// Other levels than theirs, too (C58).
    pub(crate) leaves_levels: bool,
}

/// An endpoint for a request; none: none is healthy.
pub(crate) fn choose(cluster: &ClusterState, random: &Random, wanted: &Wanted<'_>) -> Option<Arc<EndpointState>> {
    let chosen = find(cluster, random, wanted);
    if chosen.is_none() {
        count(&cluster.counters.none_healthy);
    }
    chosen
}

fn find(cluster: &ClusterState, random: &Random, wanted: &Wanted<'_>) -> Option<Arc<EndpointState>> {
    let members = cluster.members();
    let view = View::of(cluster, &members);
    if cluster.is_hashed() {
        return view.by_hash(random, wanted);
    }
    let spread = if wanted.leaves_levels { view.spread_of_retry(wanted.tried) } else { view.spread.clone() };
    let draw = || view.draw(spread.as_ref(), random);
    let mut chosen = draw()?;
    if wanted.avoids_tried {
        for _ in 0..5 {
            if !wanted.tried.contains(&chosen.address) {
                break;
            }
            chosen = draw()?;
        }
    }
    Some(Arc::clone(chosen))
}

/// A cluster as it is now.
struct View<'c> {
    cluster: &'c ClusterState,
    members: &'c Members,
    /// Where something hangs on the time.
    now: u64,
    /// Which endpoints are ejected; empty: none is.
    ejected: Vec<bool>,
    /// None: all requests go to the first level, which does not panic.
    spread: Option<Spread>,
}

impl<'c> View<'c> {
    fn of(cluster: &'c ClusterState, members: &'c Members) -> Self {
        let is_timed = cluster.detection.is_some() || cluster.warm_up.is_some();
        let now = if is_timed { cluster.now() } else { 0 };
        let ejected = cluster.ejected(members, now);
        let mut view = View { cluster, members, now, ejected, spread: None };
        if !view.ejected.is_empty() {
            view.spread = Some(Spread::of(&view.counts(), cluster.panic_threshold()));
        }
        view
    }

    fn is_healthy(&self, at: usize) -> bool {
        self.ejected.get(at) != Some(&true)
    }

    fn count(&self, members: &[usize]) -> Count {
        Count { healthy: members.iter().filter(|at| self.is_healthy(**at)).count(), all: members.len() }
    }

    fn counts(&self) -> Vec<Count> {
        self.members.levels.iter().map(|level| self.count(&level.members)).collect()
    }

    fn spread_of_retry(&self, tried: &[EndpointAddress]) -> Option<Spread> {
        let levels = &self.members.levels;
        if levels.len() < 2 || tried.is_empty() {
            return self.spread.clone();
        }
        let endpoints = &self.members.endpoints;
        let is_of = |level: &Level, address: &EndpointAddress| {
            level.members.iter().filter_map(|at| endpoints.get(*at)).any(|endpoint| endpoint.address == *address)
        };
        // An endpoint that is gone was in a level that is none any more.
        let level = |address| levels.iter().position(|level| is_of(level, address)).unwrap_or(usize::MAX);
        let tried: Vec<usize> = tried.iter().map(level).collect();
        let counts = self.counts();
        let spread = self.spread.clone().unwrap_or_else(|| Spread::of(&counts, self.cluster.panic_threshold()));
        Some(spread.moved_on(&counts, &tried))
    }

    /// The level that a draw falls to, and whether all of its endpoints are used.
    fn level(&self, spread: Option<&Spread>, draw: impl FnOnce() -> u64) -> Option<(&'c Level, bool)> {
        let levels = &self.members.levels;
        let draw = if levels.len() > 1 { draw() } else { 0 };
        let (at, panics) = spread.map_or((0, false), |spread| spread.level(draw));
        Some((levels.get(at)?, panics))
    }

    fn draw(&self, spread: Option<&Spread>, random: &Random) -> Option<&'c Arc<EndpointState>> {
        let (level, panics) = self.level(spread, || random.next())?;
        let endpoints = &self.members.endpoints;
        if self.ejected.is_empty() && level.localities.is_empty() && self.members.levels.len() == 1 {
            return self.pick(endpoints, &level.turns, random);
        }
        let among = |members: &[usize], turns: &Turns| {
            let used = members.iter().filter(|at| panics || self.is_healthy(**at));
            let candidates: Vec<&'c Arc<EndpointState>> = used.filter_map(|at| endpoints.get(*at)).collect();
            self.pick(&candidates, turns, random).copied()
        };
        if panics || level.localities.is_empty() {
            return among(&level.members, &level.turns);
        }
        let locality = self.locality(level, random)?;
        among(&locality.members, &locality.turns)
    }

    /// By weight, which a locality loses as its endpoints fail.
    fn locality(&self, level: &'c Level, random: &Random) -> Option<&'c Locality> {
        let shares = level.localities.iter().filter_map(|locality| {
            let share = u64::from(locality.weight) * self.count(&locality.members).health();
            (share > 0).then(|| Share(locality, u32::try_from(share).unwrap_or(u32::MAX)))
        });
        let shares: Vec<Share<'c>> = shares.collect();
        let at = balance::pick(Algorithm::RoundRobin, &shares, || level.turns.next_locality(), random)?;
        shares.get(at).map(|share| share.0)
    }

    fn pick<'l, E>(&self, candidates: &'l [E], turns: &Turns, random: &Random) -> Option<&'l E>
    where
        E: Borrow<Arc<EndpointState>> + Candidate,
    {
        let algorithm = self.cluster.algorithm;
        let at = match self.warming(candidates) {
            Some(weights) => balance::pick_moving(algorithm, candidates, &weights, random)?,
            None => balance::pick(algorithm, candidates, || turns.next_endpoint(), random)?,
        };
        candidates.get(at)
    }

    /// Weights, where some endpoint is warming up and so has another part of its own than the others have of theirs.
    fn warming<E: Borrow<Arc<EndpointState>>>(&self, candidates: &[E]) -> Option<Vec<f64>> {
        let warm_up = self.cluster.warm_up.as_ref()?;
        let part = |endpoint: &E| warm_up.part(self.now.saturating_sub(endpoint.borrow().joined));
        let parts: Vec<f64> = candidates.iter().map(part).collect();
        let (least, most) =
            parts.iter().fold((f64::MAX, 0.0_f64), |(least, most), part| (least.min(*part), most.max(*part)));
        let differ = least < most * 0.999;
        let weight = |(endpoint, part): (&E, f64)| f64::from(endpoint.borrow().weight.max(1)) * part;
        differ.then(|| candidates.iter().zip(parts).map(weight).collect())
    }

    /// The endpoint of a request's hash; of one that has nothing of what is hashed, any (D21). Where those that were tried
    /// are avoided, the next ones on the way. The hash decides on the level, too.
    fn by_hash(&self, random: &Random, wanted: &Wanted<'_>) -> Option<Arc<EndpointState>> {
        let hash = wanted.hash.unwrap_or_else(|| random.next());
        let (level, panics) = self.level(self.spread.as_ref(), || hash)?;
        let is_out = |member: usize| !panics && level.members.get(member).is_none_or(|at| !self.is_healthy(*at));
        if (0..level.members.len()).all(is_out) {
            return None;
        }
        let find = |attempt| {
            let member = level.places()?.find(hash, attempt, is_out)?;
            self.members.endpoints.get(*level.members.get(member)?)
        };
        let mut chosen = find(0)?;
        if wanted.avoids_tried {
            for attempt in 1..=5 {
                if !wanted.tried.contains(&chosen.address) {
                    break;
                }
                chosen = find(attempt)?;
            }
        }
        Some(Arc::clone(chosen))
    }
}

/// A locality and what of its weight it has.
struct Share<'c>(&'c Locality, u32);

impl Candidate for Share<'_> {
    fn weight(&self) -> u32 {
        self.1
    }

    fn active(&self) -> u32 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outlier::Detection, warmup::WarmUp};
    use serde_json::json;
    use std::time::{Duration, Instant};

    /// A cluster that is an hour old, whose endpoints came so many seconds ago.
    fn cluster(algorithm: Algorithm, ages: &[u64]) -> ClusterState {
        let address = |number| EndpointAddress { host: "192.0.2.1".into(), port: 80 + number };
        let mut cluster = ClusterState::of_one("c", address(0), algorithm, Duration::from_secs(1));
        cluster.set_epoch(Instant::now().checked_sub(Duration::from_hours(1)).expect("the clock is older"));
        let endpoint =
            |(number, age): (u16, &u64)| EndpointState::new(address(number), false, 1, (3_600 - age) * 1_000);
        cluster.set_members(Members::flat((0..).zip(ages).map(endpoint).map(Arc::new).collect()));
        cluster
    }

    fn counts(cluster: &ClusterState, draws: usize) -> Vec<usize> {
        let random = Random::new(3, 0);
        let endpoints = &cluster.members().endpoints;
        let mut counts = vec![0; endpoints.len()];
        for _ in 0..draws {
            let chosen = choose(cluster, &random, &Wanted::default()).expect("an endpoint");
            let at = endpoints.iter().position(|endpoint| Arc::ptr_eq(endpoint, &chosen));
            counts[at.expect("it is one of them")] += 1;
        }
        counts
    }

    #[test]
    fn a_new_endpoint_gets_its_part() {
        for algorithm in [Algorithm::RoundRobin, Algorithm::LeastRequest] {
            let mut cluster = cluster(algorithm, &[3_600, 0, 300]);
            let even = counts(&cluster, 1200);
            assert!(even.iter().all(|count| (300..500).contains(count)), "{even:?}");
            cluster.warm_up = WarmUp::of(&json!({"loadBalancer": {"warmup": {"duration": "10m"}}}));
            // 1, 0.1 and 0.5 of 1.6.
            let counts = counts(&cluster, 1600);
            let near = |count: usize, wanted: usize| count.abs_diff(wanted) < 70;
            assert!(near(counts[0], 1000) && near(counts[1], 100) && near(counts[2], 500), "D26: {counts:?}");
        }
    }

    #[test]
    fn endpoints_that_came_together_are_equal() {
        let mut cluster = cluster(Algorithm::RoundRobin, &[5, 5]);
        cluster.warm_up = WarmUp::of(&json!({"loadBalancer": {"warmup": {"duration": "10m"}}}));
        assert_eq!(counts(&cluster, 10), [5, 5], "in turn, as ever");
    }

    #[test]
    fn where_nothing_is_healthy_nothing_is_chosen() {
        let mut cluster = cluster(Algorithm::RoundRobin, &[5, 5]);
        cluster.detection = Detection::of(&json!({"outlierDetection": {"maxEjectionPercent": 100}}));
        let now = cluster.now();
        let detection = cluster.detection.clone().expect("there is one");
        cluster.members().endpoints[0].health.eject(&detection, now, 0, 2);
        assert_eq!(counts(&cluster, 10), [0, 10]);
        cluster.members().endpoints[1].health.eject(&detection, now, 1, 2);
        assert!(choose(&cluster, &Random::new(3, 0), &Wanted::default()).is_none(), "D45");
        cluster.detection = Detection::of(&json!({"outlierDetection": {"minHealthPercent": 10}}));
        assert_eq!(counts(&cluster, 10), [5, 5], "D45");
    }
}
