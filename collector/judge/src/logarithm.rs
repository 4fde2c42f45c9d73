//! How long is it, on a scale on which twice as long is always the same step?
//!
//! Answers of 150 ms and of 450 ms vary by about the same factor, not by the same milliseconds. So lengths of time are
//! compared by logarithm: 1024 steps to a doubling, whole numbers only. Between powers of two a parabola stands in for the
//! curve, less than 9 steps off (0.6 %) and rising throughout.

/// Steps of a doubling.
pub(crate) const DOUBLING: i64 = 1024;

/// The logarithm of a number, rounded down; 0 of 0 and of 1.
pub(crate) fn log(n: u64) -> i64 {
    let Some(power) = n.checked_ilog2() else { return 0 };
    let part = if power >= 10 { n >> (power - 10) } else { n << (10 - power) };
    let m = i64::try_from(part).unwrap_or(DOUBLING) - DOUBLING;
    i64::from(power) * DOUBLING + m + ((352 * m * (DOUBLING - m)) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubling_is_a_step_everywhere() {
        for n in [1, 3, 150, 1000, 150_000, 8_000_000, u64::MAX / 4] {
            assert!((log(n * 2) - log(n) - DOUBLING).abs() <= 2, "{n}");
        }
        assert_eq!((log(0), log(1), log(2), log(1024)), (0, 0, 1024, 10 * 1024));
    }

    #[test]
    fn it_never_falls_and_is_about_right() {
        let mut before = 0;
        for n in 1..200_000 {
            let here = log(n);
            assert!(here >= before, "{n}");
            before = here;
        }
        // log2(1.5) = 0.58496, log2(3) = 1.58496, log2(10) = 3.32193, each times 1024.
        for (n, right) in [(3, 1623), (10, 3402), (1500, 10_803), (750_000, 19_988)] {
            assert!((log(n) - right).abs() < 10, "{n}: {} for {right}", log(n));
        }
    }
}
