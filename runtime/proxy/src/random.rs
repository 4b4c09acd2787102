//! The one source of chance: weights, load balancing, jitter, request ids.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
};

/// A small generator (splitmix64): fast, repeatable, and nothing secret hangs on it.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    /// One generator for each worker: the same seed gives each the same numbers in every run.
    pub(crate) fn new(seed: u64, worker: u64) -> Self {
        let random = Random(Cell::new(seed ^ worker.wrapping_mul(0xD1B5_4A32_D192_ED03)));
        random.next();
        random
    }

    /// 64 random bits.
    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub(crate) fn part(&self) -> f64 {
        f64::from((self.next() >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }

    /// Whether something happens that does so many times in a million.
    pub(crate) fn is_drawn(&self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    /// A random UUID (version 4), as `x-request-id` carries it.
    pub(crate) fn uuid(&self) -> [u8; 36] {
        let high = (self.next() & !0xF000) | 0x4000;
        let low = (self.next() & (u64::MAX >> 2)) | (1 << 63);
        let digit = |number: u8| b"0123456789abcdef"[usize::from(number & 0xF)];
        let mut text = [b'-'; 36];
        let mut bytes = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
        for group in [0..8, 9..13, 14..18, 19..23, 24..36] {
            for (pair, byte) in text[group].chunks_exact_mut(2).zip(&mut bytes) {
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte)]);
            }
        }
        text
    }
}

/// A seed that the system gives.
pub(crate) fn system_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_repeats_and_workers_differ() {
        let draw = |worker| {
            let random = Random::new(7, worker);
            (0..4).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(0), draw(0));
        assert_ne!(draw(0), draw(1));
    }

    #[test]
    fn parts_are_between_0_and_1() {
        let random = Random::new(3, 0);
        let parts: Vec<f64> = (0..1000).map(|_| random.part()).collect();
        assert!(parts.iter().all(|part| (0.0..1.0).contains(part)));
        let mean = parts.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let random = Random::new(1, 0);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[usize::try_from(random.below(5)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn chances_are_in_parts_per_million() {
        let random = Random::new(1, 0);
        let drawn = |per_million| (0..10_000).filter(|_| random.is_drawn(per_million)).count();
        assert_eq!((drawn(0), drawn(1_000_000)), (0, 10_000));
        let half = drawn(500_000);
        assert!((4_700..5_300).contains(&half), "{half}");
    }

    #[test]
    fn request_ids_are_version_4() {
        let uuid = Random::new(3, 0).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid[14], b'4');
        assert!(b"89ab".contains(&uuid[19]), "{uuid:?}");
    }
}
