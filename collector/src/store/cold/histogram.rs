//! How are response times counted so that counts can be added, and the limits of the contract read off exactly?
//!
//! In buckets whose edges are fixed for good: each about a quarter wider than the one before, and two of them at 1.5 s and 5 s,
//! so "how many took at most 1.5 s" is a sum and not an estimate. Adding two histograms is adding their buckets, in any order.

use std::collections::BTreeMap;

use uitwijk_model::Elapsed;

/// The greatest time of each bucket, microseconds; what took longer than the last is in one more.
pub const EDGES_US: [u64; EDGES] = [
    1_000, 1_257, 1_579, 1_985, 2_495, 3_135, 3_940, 4_952, 6_223, 7_821, 9_829, 12_353, 15_525, 19_511, 24_521,
    30_817, 38_730, 48_674, 61_172, 76_878, 96_618, 121_425, 152_603, 191_785, 241_029, 302_915, 380_692, 478_439,
    601_284, 755_671, 949_698, 1_193_544, 1_500_000, 1_908_389, 2_427_967, 3_089_004, 3_930_015, 5_000_000, 6_410_444,
    8_218_759, 10_537_179, 13_509_600, 17_320_508, 22_206_430, 28_470_617, 36_501_861, 46_798_629, 60_000_000,
];

const EDGES: usize = 48;

/// Counts of times. Only buckets with something in them take memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u8, u64>);

impl Histogram {
    /// Counts a time.
    pub fn add(&mut self, time: Elapsed) {
        let bucket = EDGES_US.partition_point(|edge| *edge < time.as_micros());
        *self.0.entry(u8::try_from(bucket).unwrap_or(u8::MAX)).or_default() += 1;
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bucket, count)| *self.0.entry(*bucket).or_default() += count);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// How many took at most so long; exact at the edges of buckets, and too few between them.
    #[must_use]
    pub fn at_most(&self, time: Elapsed) -> u64 {
        let whole = EDGES_US.partition_point(|edge| *edge <= time.as_micros());
        self.0.iter().filter(|(bucket, _)| usize::from(**bucket) < whole).map(|(_, count)| count).sum()
    }

    /// `1000:3 1500000:1 inf:2`: the edge of each bucket, and how many are in it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let edge = |bucket: u8| EDGES_US.get(usize::from(bucket)).map_or("inf".to_owned(), u64::to_string);
        self.0.iter().map(|(&bucket, count)| format!("{}:{count}", edge(bucket))).collect::<Vec<_>>().join(" ")
    }

    /// Reads a text back; nothing when it is none of ours.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut all = BTreeMap::new();
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            let (edge, count) = part.split_once(':')?;
            let bucket = match edge {
                "inf" => EDGES,
                us => EDGES_US.binary_search(&us.parse().ok()?).ok()?,
            };
            *all.entry(u8::try_from(bucket).ok()?).or_default() += count.parse::<u64>().ok()?;
        }
        Some(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|us| histogram.add(Elapsed::from_micros(*us)));
        histogram
    }

    #[test]
    fn edges_rise_and_the_limits_of_the_contract_are_among_them() {
        assert!(EDGES_US.is_sorted_by(|a, b| a < b));
        let times = of(&[1_499_999, 1_500_000, 1_500_001, 5_000_000, 5_000_001, u64::MAX]);
        assert_eq!(times.at_most(Elapsed::from_micros(1_500_000)), 2);
        assert_eq!(times.at_most(Elapsed::from_micros(5_000_000)), 4);
        assert_eq!(times.to_text().split(' ').next_back(), Some("inf:1"));
        for bad in ["x", "1000", "1001:1", "1000:x", "inf:-1"] {
            assert_eq!(Histogram::from_text(bad), None, "{bad}");
        }
    }

    proptest! {
        /// Adding is associative and commutative, and nothing is lost on the way to a text and back.
        #[test]
        fn counts_add_up(a in prop::collection::vec(0u64..90_000_000, 0..20), b in prop::collection::vec(0u64..90_000_000, 0..20), c in prop::collection::vec(0u64..90_000_000, 0..20)) {
            let merged = |parts: &[&Histogram]| {
                let mut all = Histogram::default();
                parts.iter().for_each(|part| all.merge(part));
                all
            };
            let (ha, hb, hc) = (of(&a), of(&b), of(&c));
            let all = of(&[a, b, c].concat());
            prop_assert_eq!(&merged(&[&merged(&[&ha, &hb]), &hc]), &all);
            prop_assert_eq!(&merged(&[&ha, &merged(&[&hb, &hc])]), &all);
            prop_assert_eq!(&merged(&[&hc, &ha, &hb]), &all);
            prop_assert_eq!(Histogram::from_text(&all.to_text()), Some(all));
        }
    }
}
