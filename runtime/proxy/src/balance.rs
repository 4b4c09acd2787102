//! Which endpoint of a cluster takes a request (semantics D.4).

use crate::random::Random;
use std::{cmp::Reverse, collections::BinaryHeap};

/// How endpoints are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Two at random, the less busy one of them.
    #[default]
    LeastRequest,
    /// In turn.
    RoundRobin,
    /// Any.
    Random,
}

/// An endpoint as far as choosing needs it.
pub(crate) trait Candidate {
    /// Its share; 0 counts as 1 (D25).
    fn weight(&self) -> u32;
    /// Requests that it is working on.
    fn active(&self) -> u32;
}

/// The index of the endpoint to use; none if there is none. `turn` is the round robin's place, moved on by one.
///
/// Endpoints of unequal weight are drawn by weight: least request divides the weight by the requests in flight and one
/// more, round robin gives each its share of a run of turns, and spreads it.
pub(crate) fn pick<C: Candidate>(
    algorithm: Algorithm,
    candidates: &[C],
    turn: impl FnOnce() -> u64,
    random: &Random,
) -> Option<usize> {
    let count = candidates.len() as u64;
    if count <= 1 {
        return count.checked_sub(1).map(|_| 0);
    }
    let equal = candidates.windows(2).all(|pair| pair[0].weight().max(1) == pair[1].weight().max(1));
    let index = match (algorithm, equal) {
        (Algorithm::Random, _) => random.below(count),
        (Algorithm::RoundRobin, true) => turn() % count,
        (Algorithm::RoundRobin, false) => in_turn(candidates, turn()),
        (Algorithm::LeastRequest, true) => {
            let one = random.below(count);
            let other = (one + 1 + random.below(count - 1)) % count;
            let active = |index: u64| candidates[index as usize].active();
            if active(other) < active(one) { other } else { one }
        }
        (Algorithm::LeastRequest, false) => by_share(candidates, random.next(), |candidate| {
            let weight = u64::from(candidate.weight().max(1)) << 16;
            (weight / (u64::from(candidate.active()) + 1)).max(1)
        }),
    };
    Some(index as usize)
}

/// The same while weights move, as they do when endpoints warm up: by lot, since turns are counted for weights that stay.
pub(crate) fn pick_moving<C: Candidate>(
    algorithm: Algorithm,
    candidates: &[C],
    weights: &[f64],
    random: &Random,
) -> Option<usize> {
    let share = |(candidate, weight): (&C, &f64)| match algorithm {
        Algorithm::LeastRequest => weight / (f64::from(candidate.active()) + 1.0),
        Algorithm::RoundRobin | Algorithm::Random => *weight,
    };
    let shares: Vec<f64> = candidates.iter().zip(weights).map(share).collect();
    let total: f64 = shares.iter().sum();
    let mut rest = random.part() * total;
    let is_it = |share: &f64| {
        let falls = rest < *share;
        rest -= share;
        falls
    };
    // Rounding may leave a rest.
    shares.iter().position(is_it).or_else(|| shares.len().checked_sub(1))
}

/// Whose turn it is where each comes so often as its weight says, at equal distances: the `number`th turn of one of weight
/// `w` is due at `number / w`, and the earliest has it.
fn in_turn<C: Candidate>(candidates: &[C], turn: u64) -> u64 {
    let weight = |candidate: &C| u64::from(candidate.weight().max(1));
    let total: u64 = candidates.iter().map(weight).sum();
    let turn = turn % total.max(1);
    // All that is due by `turn / total` has been; what is next of each after that is found in order.
    let had = |weight: u64| (u128::from(turn) * u128::from(weight) / u128::from(total.max(1))) as u64;
    // In parts so small that only equal times are equal.
    let due = |number: u64, weight: u64| (u128::from(number) << 64) / u128::from(weight);
    let mut next: BinaryHeap<Reverse<(u128, usize, u64)>> = candidates
        .iter()
        .enumerate()
        .map(|(index, candidate)| {
            let number = had(weight(candidate)) + 1;
            Reverse((due(number, weight(candidate)), index, number))
        })
        .collect();
    let before: u64 = candidates.iter().map(|candidate| had(weight(candidate))).sum();
    for _ in before..turn {
        if let Some(mut first) = next.peek_mut() {
            let Reverse((_, index, number)) = *first;
            *first = Reverse((due(number + 1, weight(&candidates[index])), index, number + 1));
        }
    }
    next.peek().map_or(0, |Reverse((_, index, _))| *index as u64)
}

/// The candidate in whose share `draw`, taken modulo the sum of the shares, falls.
fn by_share<C>(candidates: &[C], draw: u64, share: impl Fn(&C) -> u64) -> u64 {
    let total: u64 = candidates.iter().map(&share).sum();
    let mut rest = draw % total.max(1);
    for (index, candidate) in candidates.iter().enumerate() {
        let share = share(candidate);
        if rest < share {
            return index as u64;
        }
        rest -= share;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Endpoint(u32, u32);

    impl Candidate for Endpoint {
        fn weight(&self) -> u32 {
            self.0
        }
        fn active(&self) -> u32 {
            self.1
        }
    }

    fn counts(algorithm: Algorithm, endpoints: &[Endpoint], draws: u64) -> Vec<u32> {
        let random = Random::new(5, 0);
        let mut counts = vec![0; endpoints.len()];
        for turn in 0..draws {
            counts[pick(algorithm, endpoints, || turn, &random).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_is_exact() {
        let equal = [Endpoint(1, 0), Endpoint(0, 9), Endpoint(1, 0)];
        assert_eq!(counts(Algorithm::RoundRobin, &equal, 9), [3, 3, 3]);
        assert_eq!(counts(Algorithm::RoundRobin, &[Endpoint(3, 0), Endpoint(1, 0)], 8), [6, 2]);
    }

    #[test]
    fn round_robin_spreads_shares() {
        let random = Random::new(5, 0);
        let order = |weights: &[u32], turns: u64| -> String {
            let endpoints: Vec<Endpoint> = weights.iter().map(|weight| Endpoint(*weight, 0)).collect();
            let pick = |turn| pick(Algorithm::RoundRobin, &endpoints, || turn, &random).expect("an endpoint");
            (0..turns).map(|turn| char::from(b'a' + pick(turn) as u8)).collect()
        };
        assert_eq!(order(&[80, 20], 10), "aaaabaaaab");
        assert_eq!(order(&[1, 2, 1], 8), "babcbabc");
        for weights in [&[5, 3, 2][..], &[79, 21], &[u32::MAX, 1], &[7, 7, 7, 1]] {
            let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for turns in [1_u32, 10, 57, 100, 200] {
                let order = order(weights, turns.into());
                for (name, weight) in ('a'..).zip(weights) {
                    let count = u32::try_from(order.matches(name).count()).expect("few turns");
                    let wanted = f64::from(*weight) / total * f64::from(turns);
                    assert!((f64::from(count) - wanted).abs() < 2.0, "{weights:?}: {name} in {order}");
                }
            }
        }
    }

    #[test]
    fn random_reaches_all() {
        let endpoints = [Endpoint(1, 0), Endpoint(1, 0), Endpoint(1, 0)];
        assert!(counts(Algorithm::Random, &endpoints, 300).iter().all(|&count| count > 60));
    }

    #[test]
    fn least_request_avoids_the_busy() {
        assert_eq!(counts(Algorithm::LeastRequest, &[Endpoint(1, 5), Endpoint(1, 0)], 50), [0, 50]);
        let weighted = counts(Algorithm::LeastRequest, &[Endpoint(1, 0), Endpoint(3, 0)], 400);
        assert!(weighted[1] > 250, "{weighted:?}");
    }

    #[test]
    fn moving_weights_are_drawn() {
        let random = Random::new(5, 0);
        let share = |algorithm, endpoints: &[Endpoint]| {
            let picks =
                (0..1000).map(|_| pick_moving(algorithm, endpoints, &[1.0, 0.25], &random).expect("an endpoint"));
            picks.sum::<usize>()
        };
        let fifth = share(Algorithm::RoundRobin, &[Endpoint(1, 0), Endpoint(1, 9)]);
        assert!((160..240).contains(&fifth), "{fifth}");
        let half = share(Algorithm::LeastRequest, &[Endpoint(1, 3), Endpoint(1, 0)]);
        assert!((450..550).contains(&half), "{half}");
        assert_eq!(pick_moving::<Endpoint>(Algorithm::RoundRobin, &[], &[], &random), None);
    }

    #[test]
    fn one_or_none() {
        let random = Random::new(1, 0);
        let none: [Endpoint; 0] = [];
        assert_eq!(pick(Algorithm::LeastRequest, &none, || 0, &random), None);
        assert_eq!(pick(Algorithm::LeastRequest, &[Endpoint(1, 7)], || 0, &random), Some(0));
    }
}
