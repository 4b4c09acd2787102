//! Numbers, counted by how large they are.

/// Counts in buckets that do not include each other. A number above the last bound is in none of them.
#[derive(Clone, Debug)]
pub(crate) struct Histogram<const N: usize> {
    pub(crate) buckets: [u64; N],
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram { buckets: [0; N], count: 0, sum: 0.0 }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts a number; each bound belongs to the bucket below it.
    pub(crate) fn add(&mut self, bounds: &[f64; N], value: f64) {
        let bucket = bounds.partition_point(|&bound| bound < value);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum += value;
    }

    /// Adds what another has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += count;
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let bounds = [0.5, 1.0, 5.0];
        let mut histogram = Histogram::default();
        for value in [0.0, 0.5, 0.6, 1.0, 5.0, 5.1] {
            histogram.add(&bounds, value);
        }
        assert_eq!((histogram.buckets, histogram.count), ([2, 2, 1], 6));
        let mut sum = histogram.clone();
        sum.merge(&histogram);
        assert_eq!((sum.buckets, sum.count), ([4, 4, 2], 12));
    }
}
