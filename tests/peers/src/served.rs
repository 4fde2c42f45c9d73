//! Which region serves?
//!
//! The majority of the served-region headers of the last 60 s, else the last that had one, else the plan's.

use crate::rule::{Micros, secs};
use crate::view::{Known, Side};

const WINDOW: Micros = secs(60);

#[derive(Debug)]
pub(crate) struct Served {
    recent: Vec<(Micros, usize)>,
    counts: Vec<usize>,
    last: usize,
}

impl Served {
    pub(crate) fn new(regions: usize, first: usize) -> Self {
        Self { recent: Vec::new(), counts: vec![0; regions], last: first }
    }

    pub(crate) fn take(&mut self, known: &Known) {
        if let (Side::Public, Some(region)) = (known.side, known.served) {
            self.recent.push((known.seen.at, region));
        }
    }

    /// The region that serves at a moment; moments only go up.
    pub(crate) fn region(&mut self, now: Micros) -> usize {
        self.recent.retain(|(at, _)| now - at <= WINDOW);
        self.counts.fill(0);
        for &(_, region) in &self.recent {
            self.counts[region] += 1;
        }
        let majority = self.counts.iter().position(|n| n * 2 > self.recent.len());
        self.last = majority.unwrap_or(self.last);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Seen;

    fn answer(at: i64, side: Side, region: usize) -> Known {
        let seen = Seen { at: secs(at), vantage: 0, failed: false, tls: false, total: 0 };
        Known { known: secs(at), endpoint: 0, side, seen, served: Some(region) }
    }

    #[test]
    fn the_majority_of_a_minute_serves() {
        let mut served = Served::new(2, 1);
        assert_eq!(served.region(secs(0)), 1, "the plan's, until an answer tells");
        [(0, 0), (10, 0), (20, 1)].into_iter().for_each(|(at, r)| served.take(&answer(at, Side::Public, r)));
        assert_eq!(served.region(secs(30)), 0);
        served.take(&answer(30, Side::Public, 1));
        assert_eq!(served.region(secs(40)), 0, "a tie is no majority");
        assert_eq!(served.region(secs(65)), 1, "the first is over a minute old");
        assert_eq!(served.region(secs(600)), 1, "nothing tells: the last");
    }

    #[test]
    fn direct_answers_do_not_tell() {
        let mut served = Served::new(2, 0);
        served.take(&answer(0, Side::Region(1), 1));
        assert_eq!(served.region(secs(10)), 0);
    }
}
