//! The draw between weighted destinations.

/// The index that `random` draws: modulo the sum, walked through the cumulative intervals in order (semantics C8).
/// None if the weights sum to nothing.
pub fn pick(weights: impl Iterator<Item = u32> + Clone, random: u64) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut rest = random.checked_rem(total)?;
    for (index, weight) in weights.enumerate() {
        match rest.checked_sub(u64::from(weight)) {
            Some(left) => rest = left,
            None => return Some(index),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_follow_the_order() {
        let draw = |random| pick([2, 0, 3].into_iter(), random);
        assert_eq!([0, 1, 2, 3, 4, 5].map(draw), [Some(0), Some(0), Some(2), Some(2), Some(2), Some(0)]);
        assert_eq!(pick([0, 0].into_iter(), 7), None);
        assert_eq!(pick(std::iter::empty(), 7), None);
    }
}
