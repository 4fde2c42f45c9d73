//! Are answers clearly slower than they used to be, and since when?
//!
//! ```text
//!   log(total)      . . .. . . .  . .   ' '' ' '' '     baseline: slow mean and deviation of one agent and one target
//!   CUSUM           ________________.,-'''''''''''      S = max(0, S + (x - mean) - slack); alarm at S >= threshold
//!                                  ^onset
//! ```
//!
//! Every agent is compared with itself: what it sees of the public name while one region serves, against what it saw of it
//! before. The sum of what is beyond the slack rises soon for a real change and falls back for noise, and where it last
//! was nothing is where the change began. An alarm needs enough voices, in more than one region if there are more, and a
//! shift that is worth a word; an agent for which the references got slower too has no say. Baselines stand still
//! while an alarm is on, so that a change does not become the usual.
//!
//! This is for telling only. The decision stays on the objective: changed is not broken. All numbers are whole: logarithms
//! in 1/1024 of a doubling, means in 1/4096 of that.

use crate::evidence::Cell;
use crate::topology::{AgentIx, RegionIx, Topology};

/// Digits of a mean behind a logarithm's.
const FINE: u32 = 12;
/// Least deviation that is believed, 1/16 of a doubling: equal answers must not make any change look great.
const DEVIATION_MIN: i64 = 64;

/// What is usual for one agent and one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Usual {
    seen: i64,
    /// Mean logarithm, and mean distance from it.
    mean: i64,
    deviation: i64,
}

/// The sum of one agent and one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    /// What is beyond the slack, summed.
    high: i64,
    /// Where it last was nothing.
    onset: i64,
    /// Distances from the mean since the onset, and of how many answers.
    shift: i64,
    answers: i64,
    /// The last slot with an answer.
    last: i64,
}

/// All of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drift {
    /// The region whose answers the sums are about.
    region: RegionIx,
    /// Per agent: the references together, then every endpoint in every region.
    usual: Vec<Usual>,
    /// Per agent: the references together, then every endpoint.
    sums: Vec<Sum>,
    /// Since when enough voices see slower answers; absent while they do not.
    pub(super) since: Option<i64>,
}

impl Drift {
    pub(super) fn new(topology: &Topology) -> Self {
        let (agents, endpoints) = (topology.agents.len(), topology.endpoints.len());
        Self {
            region: topology.active,
            usual: vec![Usual::default(); agents * (1 + endpoints * topology.regions.len())],
            sums: vec![Sum::default(); agents * (1 + endpoints)],
            since: None,
        }
    }

    /// Takes one slot in.
    pub(super) fn add(&mut self, topology: &Topology, slot: i64, row: &[Cell], weights: &[u32], active: RegionIx) {
        if self.region != active {
            (self.region, self.since) = (active, None);
            self.sums.fill(Sum::default());
        }
        for (v, cells) in row.chunks(topology.targets.len().max(1)).enumerate() {
            if weights.get(v).is_none_or(|w| *w == 0) {
                continue;
            }
            if let Some(x) = references(topology, cells) {
                self.learn(topology, slot, v, None, x);
            }
            for e in 0..topology.endpoints.len() {
                let cell = topology.entry(e, active).map(|t| cells[t]);
                let served = |c: &Cell| c.served().is_none_or(|(region, _)| region == active);
                if let Some(x) = cell.filter(served).and_then(Cell::log_total) {
                    self.learn(topology, slot, v, Some(e), x);
                }
            }
        }
        self.since = self.slower(topology, slot, weights);
    }

    fn usual_at(&self, topology: &Topology, v: AgentIx, endpoint: Option<usize>) -> usize {
        let regions = topology.regions.len();
        let inside = endpoint.map_or(0, |e| 1 + e * regions + self.region);
        v * (1 + topology.endpoints.len() * regions) + inside
    }

    fn sum_at(topology: &Topology, v: AgentIx, endpoint: Option<usize>) -> usize {
        v * (1 + topology.endpoints.len()) + endpoint.map_or(0, |e| 1 + e)
    }

    /// Weighs one answer against what is usual, and then learns from it.
    fn learn(&mut self, topology: &Topology, slot: i64, v: AgentIx, endpoint: Option<usize>, x: i64) {
        let (spans, limits) = (&topology.spans, &topology.drift);
        let usual = self.usual_at(topology, v, endpoint);
        let usual = &mut self.usual[usual];
        let sum = &mut self.sums[Self::sum_at(topology, v, endpoint)];
        let known = usual.seen >= spans.drift_warmup;
        // The mean distance of normal noise is four fifths of its standard deviation.
        let sigma = ((usual.deviation * 5 / 4) >> FINE).max(DEVIATION_MIN);
        let (slack, limit) = limits.of(sigma);
        let mean = if usual.seen == 0 { x << FINE } else { usual.mean };
        // One answer alone never makes an alarm.
        let most = if known { limit } else { i64::MAX >> FINE >> 4 };
        let distance = (x - (mean >> FINE)).clamp(-most, most);
        let alarmed = known && sum.high >= limit;
        if alarmed && slot - sum.onset >= spans.drift_baseline {
            // What lasts for as long as a baseline reaches back is the usual by now.
            (*usual, *sum) = (Usual::default(), Sum::default());
            return;
        }
        if !alarmed {
            usual.seen = usual.seen.saturating_add(1);
            let n = usual.seen.min(spans.drift_baseline);
            usual.mean = mean + (distance << FINE) / n;
            usual.deviation += ((distance.abs() << FINE) - usual.deviation) / n;
        }
        if !known {
            sum.last = slot;
            return;
        }
        // What rose before a long silence says nothing about now.
        if sum.high == 0 || slot - sum.last >= spans.soft_window {
            sum.high = 0;
            (sum.onset, sum.shift, sum.answers) = (slot, 0, 0);
        }
        // Never far above the threshold, so that it is over soon after the change is.
        sum.high = (sum.high + distance - slack).clamp(0, limit + 4 * slack);
        sum.shift = sum.shift.saturating_add(distance);
        sum.answers += 1;
        sum.last = slot;
    }

    /// Whether an agent's sum says that a target got slower by enough.
    fn is_alarmed(&self, topology: &Topology, v: AgentIx, endpoint: Option<usize>, slot: i64) -> bool {
        let (limits, sum) = (&topology.drift, &self.sums[Self::sum_at(topology, v, endpoint)]);
        // Nearly every sum is less than the limit of the least deviation, and no limit is.
        if sum.high < limits.of(DEVIATION_MIN).1 {
            return false;
        }
        let sigma = (self.usual[self.usual_at(topology, v, endpoint)].deviation * 5 / 4) >> FINE;
        let (_, limit) = limits.of(sigma.max(DEVIATION_MIN));
        let fresh = slot - sum.last < topology.spans.hard_window;
        fresh && sum.high >= limit && sum.shift >= limits.rise.saturating_mul(sum.answers)
    }

    /// Since when enough voices see that some endpoint got slower.
    fn slower(&self, topology: &Topology, slot: i64, weights: &[u32]) -> Option<i64> {
        let first =
            (0..topology.endpoints.len()).filter_map(|e| self.endpoint_slower(topology, e, slot, weights)).min();
        // Further back the answer is settled.
        first.map(|since| since.max(slot - topology.spans.soft_window))
    }

    fn endpoint_slower(&self, topology: &Topology, e: usize, slot: i64, weights: &[u32]) -> Option<i64> {
        let alarmed = |v: &AgentIx| weights[*v] > 0 && self.is_alarmed(topology, *v, Some(e), slot);
        let agents = 0..topology.agents.len();
        if !agents.clone().any(|v| alarmed(&v)) {
            return None;
        }
        let enough = usize::try_from(topology.policy.vantages_min).unwrap_or(usize::MAX).max(1);
        let spoken = |v: &AgentIx| {
            let sum = &self.sums[Self::sum_at(topology, *v, Some(e))];
            let known = self.usual[self.usual_at(topology, *v, Some(e))].seen >= topology.spans.drift_warmup;
            weights[*v] > 0 && known && slot - sum.last < topology.spans.hard_window
        };
        let credible = |v: &AgentIx| alarmed(v) && !self.is_alarmed(topology, *v, None, slot);
        let heard = Chorus::of(topology, agents.clone().filter(spoken));
        let seen = Chorus::of(topology, agents.clone().filter(credible));
        let everywhere = seen.regions > 1 || heard.regions < 2;
        if seen.voices < enough || seen.voices * 2 < heard.voices || !everywhere {
            return None;
        }
        let mut onsets: Vec<i64> =
            agents.filter(credible).map(|v| self.sums[Self::sum_at(topology, v, Some(e))].onset).collect();
        onsets.sort_unstable();
        // The middle of them: noise makes some seem to begin early.
        onsets.get((enough - 1).max(onsets.len() / 2)).or(onsets.last()).copied()
    }

    /// The first slot that a change could be dated back to that shows later.
    pub(super) fn rising_since(&self, topology: &Topology, next: i64) -> Option<i64> {
        let enough = usize::try_from(topology.policy.vantages_min).unwrap_or(usize::MAX).max(1);
        let rising = |e: usize| {
            let sums = (0..topology.agents.len()).map(move |v| &self.sums[Self::sum_at(topology, v, Some(e))]);
            let alive = |s: &&Sum| s.high > 0 && next - s.last < topology.spans.soft_window;
            let mut onsets: Vec<i64> = sums.filter(alive).map(|s| s.onset).collect();
            onsets.sort_unstable();
            onsets.get(enough - 1).copied()
        };
        let first = (0..topology.endpoints.len()).filter_map(rising).min();
        first.map(|since| since.max(next - topology.spans.soft_window))
    }

    /// Bytes that this takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.usual.len() * size_of::<Usual>() + self.sums.len() * size_of::<Sum>()
    }
}

/// How many voices, and from how many regions.
struct Chorus {
    voices: usize,
    regions: usize,
}

impl Chorus {
    fn of(topology: &Topology, agents: impl Iterator<Item = AgentIx>) -> Self {
        let mut voices: Vec<usize> = agents.map(|v| topology.agents[v].voice).collect();
        voices.sort_unstable();
        voices.dedup();
        let mut regions: Vec<RegionIx> = voices.iter().map(|&voice| topology.voices[voice]).collect();
        regions.sort_unstable();
        regions.dedup();
        Self { voices: voices.len(), regions: regions.len() }
    }
}

/// The mean over all references that answered.
fn references(topology: &Topology, cells: &[Cell]) -> Option<i64> {
    let totals = topology.controls.iter().filter_map(|&t| cells[t].log_total());
    let (sum, n) = totals.fold((0, 0), |(sum, n), x| (sum + x, n + 1));
    (n > 0).then(|| sum / n)
}
