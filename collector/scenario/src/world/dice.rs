//! Where does chance come from, so that it is the same on every machine?
//!
//! Each probe has dice of its own, made from the seed and from who probes what in which round. So nothing that happens to
//! one probe shifts the luck of another: a world with a longer fault is the same world elsewhere. Only additions,
//! multiplications and square roots are used on fractions, which give the same bits everywhere.

/// Numbers that look like chance (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for one purpose.
    pub(crate) fn of(parts: &[u64]) -> Self {
        let mut dice = Self(0x75_6974_7769_6a6b);
        for &part in parts {
            dice.0 ^= part.wrapping_mul(0xd6e8_feb8_6659_fd93);
            dice.0 = dice.roll();
        }
        dice
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 (included) to 1 (not included).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.share() < p
    }

    pub(crate) fn between(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.share()
    }

    /// One of so many; 0 when there is none.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() % (n.max(1) as u64)).unwrap_or(0)
    }

    /// A factor around 1 whose logarithm is spread by `sigma` like a bell.
    pub(crate) fn spread(&mut self, sigma: f64) -> f64 {
        let bell: f64 = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
        exp(bell * sigma)
    }
}

/// e to the power of x, from the same operations on every machine.
fn exp(x: f64) -> f64 {
    let x = x / 16.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..12 {
        term = term * x / f64::from(n);
        sum += term;
    }
    for _ in 0..4 {
        sum *= sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_close_enough() {
        for x in [-3.0, -0.35, 0.0, 0.5, 2.1] {
            assert!((exp(x) / f64::exp(x) - 1.0).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn dice_of_different_purposes_fall_differently_and_evenly() {
        let first: Vec<u64> = (0..1000).map(|i| Dice::of(&[1, i]).roll()).collect();
        let mut different = first.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), first.len());
        let mean = (0..10_000).map(|i| Dice::of(&[7, i, 3]).share()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        let mut spreads: Vec<f64> = (0..10_001).map(|i| Dice::of(&[9, i]).spread(0.35)).collect();
        spreads.sort_by(f64::total_cmp);
        assert!((spreads[5000] - 1.0).abs() < 0.02, "{}", spreads[5000]);
    }
}
