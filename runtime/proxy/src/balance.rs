//! Which endpoint of a cluster takes a request (semantics D.4).

use crate::random::Random;

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
/// more, round robin gives each its share of a run of turns.
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
        (Algorithm::RoundRobin, false) => {
            by_share(candidates, turn(), |candidate| u64::from(candidate.weight().max(1)))
        }
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
    fn one_or_none() {
        let random = Random::new(1, 0);
        let none: [Endpoint; 0] = [];
        assert_eq!(pick(Algorithm::LeastRequest, &none, || 0, &random), None);
        assert_eq!(pick(Algorithm::LeastRequest, &[Endpoint(1, 7)], || 0, &random), Some(0));
    }
}
