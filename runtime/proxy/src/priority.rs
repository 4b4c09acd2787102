//! How requests are spread over priority levels as endpoints fail (semantics D34, D45, C58).

/// A level or a locality takes its whole share until less than 100 / 140 of its endpoints are healthy.
const OVERPROVISIONING: u64 = 140;

/// How many endpoints of a level, or of a locality in it, are healthy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) healthy: usize,
    pub(crate) all: usize,
}

impl Count {
    /// In percent, overprovisioned: what it can take of its share.
    pub(crate) fn health(self) -> u64 {
        (OVERPROVISIONING * self.healthy as u64).checked_div(self.all as u64).unwrap_or(0).min(100)
    }
}

/// What each level gets, in percent of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    loads: Vec<u64>,
    /// Levels whose endpoints are all used, whatever their health.
    panics: Vec<bool>,
}

impl Spread {
    /// Over levels, the nearest first; below `threshold` percent of healthy endpoints a level panics, unless all levels
    /// together can take everything.
    pub(crate) fn of(levels: &[Count], threshold: u64) -> Spread {
        let health: Vec<u64> = levels.iter().map(|level| level.health()).collect();
        let total = health.iter().sum::<u64>().min(100);
        let is_below = |level: &Count| level.healthy as u64 * 100 < threshold * level.all as u64;
        let panics: Vec<bool> = levels.iter().map(|level| total < 100 && is_below(level)).collect();
        let loads = if !panics.is_empty() && panics.iter().all(|panics| *panics) {
            let all: u64 = levels.iter().map(|level| level.all as u64).sum();
            let parts = levels.iter().map(|level| (level.all as u64 * 100).checked_div(all).unwrap_or(0));
            first_takes_the_rest(parts.collect(), |at| levels[at].all > 0)
        } else {
            let mut left = 100;
            let parts = health.iter().map(|health| {
                let part = (health * 100).checked_div(total).unwrap_or(0).min(left);
                left -= part;
                part
            });
            // Where nothing is healthy the first level has it all, and no endpoint for it.
            first_takes_the_rest(parts.collect(), |at| health[at] > 0)
        };
        Spread { loads, panics }
    }

    /// As retries have it that leave levels: those that were tried twice in a row are left out while any other is healthy.
    /// `tried` are the levels of the tries so far.
    pub(crate) fn moved_on(self, levels: &[Count], tried: &[usize]) -> Spread {
        let mut left = vec![false; levels.len()];
        let mut from = 0;
        let health = |left: &[bool]| -> Vec<u64> {
            levels.iter().zip(left).map(|(level, is_left)| if *is_left { 0 } else { level.health() }).collect()
        };
        for end in (TRIES_OF_A_LEVEL..=tried.len()).step_by(TRIES_OF_A_LEVEL) {
            for at in &tried[from..end] {
                if let Some(is_left) = left.get_mut(*at) {
                    *is_left = true;
                }
            }
            if health(&left).iter().all(|health| *health == 0) {
                left.fill(false);
                from = end;
            }
        }
        if !left.contains(&true) {
            return self;
        }
        let health = health(&left);
        let total = health.iter().sum::<u64>().min(100);
        let mut rest = 100;
        let mut loads = vec![0; levels.len()];
        while total > 0 && rest > 0 {
            for (load, health) in loads.iter_mut().zip(&health) {
                let part = (health * 100 / total).min(rest);
                *load += part;
                rest -= part;
            }
        }
        Spread { loads, ..self }
    }

    /// The level that a draw falls to, and whether it panics.
    pub(crate) fn level(&self, draw: u64) -> (usize, bool) {
        let mut rest = draw % 100;
        let is_it = |load: &u64| {
            let falls = rest < *load;
            rest = rest.saturating_sub(*load);
            falls
        };
        let at = self.loads.iter().position(is_it).unwrap_or(0);
        (at, self.panics.get(at) == Some(&true))
    }
}

/// After so many tries retries leave a level.
const TRIES_OF_A_LEVEL: usize = 2;

/// Gives what rounding left over to the first that may have it, else to the first of all.
fn first_takes_the_rest(mut loads: Vec<u64>, may_have: impl Fn(usize) -> bool) -> Vec<u64> {
    let rest = 100_u64.saturating_sub(loads.iter().sum());
    let first = (0..loads.len()).find(|at| may_have(*at)).unwrap_or(0);
    if let Some(load) = loads.get_mut(first) {
        *load += rest;
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(levels: &[(usize, usize)]) -> Vec<Count> {
        levels.iter().map(|&(healthy, all)| Count { healthy, all }).collect()
    }

    fn loads(levels: &[(usize, usize)]) -> Vec<u64> {
        Spread::of(&counts(levels), 0).loads
    }

    #[test]
    fn lower_levels_get_what_higher_ones_cannot_take() {
        assert_eq!(loads(&[(10, 10), (10, 10)]), [100, 0]);
        assert_eq!(loads(&[(8, 10), (10, 10)]), [100, 0], "112 % is enough");
        assert_eq!(loads(&[(71, 100), (10, 10)]), [99, 1]);
        assert_eq!(loads(&[(5, 10), (10, 10)]), [70, 30], "D34");
        assert_eq!(loads(&[(0, 10), (10, 10)]), [0, 100]);
        assert_eq!(loads(&[(2, 10), (2, 10), (10, 10)]), [28, 28, 44]);
    }

    #[test]
    fn what_all_levels_can_take_is_everything() {
        // 28 % and 7 % of health are four fifths and one fifth of what there is.
        assert_eq!(loads(&[(2, 10), (1, 20)]), [80, 20]);
        assert_eq!(loads(&[(0, 10), (1, 20), (1, 20)]), [0, 50, 50]);
        assert_eq!(loads(&[(1, 20), (1, 20), (1, 20)]), [34, 33, 33], "rounding falls to the first");
        assert_eq!(loads(&[(0, 10), (0, 10)]), [100, 0]);
    }

    #[test]
    fn a_level_panics_only_where_the_others_cannot_help() {
        let of = |levels: &[(usize, usize)], threshold| {
            let Spread { loads, panics } = Spread::of(&counts(levels), threshold);
            loads.into_iter().zip(panics).collect::<Vec<_>>()
        };
        assert_eq!(of(&[(1, 10), (10, 10)], 50), [(14, false), (86, false)], "the second takes the rest");
        assert_eq!(of(&[(1, 10), (5, 10)], 50), [(17, true), (83, false)]);
        // By their numbers where all panic.
        assert_eq!(of(&[(1, 10), (0, 30)], 50), [(25, true), (75, true)]);
        assert_eq!(of(&[(0, 10)], 50), [(100, true)]);
        assert_eq!(of(&[(0, 10), (0, 10)], 0), [(100, false), (0, false)], "D45: nothing is healthy");
        assert_eq!(of(&[(8, 10)], 90), [(100, false)], "80 % can take it all");
    }

    #[test]
    fn draws_fall_by_the_loads() {
        let spread = Spread::of(&counts(&[(5, 10), (10, 10)]), 0);
        let first = (0..1000).filter(|draw| spread.level(*draw).0 == 0).count();
        assert_eq!(first, 700);
        assert_eq!(Spread::of(&[], 0).level(7), (0, false));
    }

    #[test]
    fn retries_leave_a_level_after_two_tries() {
        let moved = |levels: &[(usize, usize)], tried: &[usize]| {
            let levels = counts(levels);
            Spread::of(&levels, 0).moved_on(&levels, tried).loads
        };
        let three = [(1, 1), (1, 1), (1, 1)];
        assert_eq!(moved(&three, &[]), [100, 0, 0]);
        assert_eq!(moved(&three, &[0]), [100, 0, 0], "C58");
        assert_eq!(moved(&three, &[0, 0]), [0, 100, 0], "C58");
        assert_eq!(moved(&three, &[0, 0, 1]), [0, 100, 0], "C58");
        assert_eq!(moved(&three, &[0, 0, 1, 1]), [0, 0, 100], "C58");
        assert_eq!(moved(&three, &[0, 0, 1, 1, 2, 2]), [100, 0, 0], "all were left: from the start");
        assert_eq!(moved(&three, &[0, 0, 1, 1, 2, 2, 0, 0]), [0, 100, 0]);
        assert_eq!(moved(&[(1, 1), (0, 1)], &[0, 0]), [100, 0], "there is no other");
        assert_eq!(moved(&[(0, 1), (0, 1)], &[0, 0]), [100, 0]);
        assert_eq!(moved(&[(1, 1), (1, 20), (1, 20)], &[0, 0]), [0, 50, 50]);
        assert_eq!(moved(&three, &[7, 9]), [100, 0, 0], "levels of another table");
    }
}
