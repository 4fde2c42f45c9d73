//! What does the policy say, if nothing has to be measured?
//!
//! Hard: half of the requests over 60 s, unbroken for 180 s. Partial: a tenth over 300 s for 600 s. Slow: a quarter over the
//! objective, over 300 s, for 600 s. Dated back to the onset, until three minutes have been clean. Then blame: a partner, the
//! entry, both regions, or the active one alone. An answer is absent where the policy has none that is clear, such as an entry
//! and a region that fail at the same time.

use uitwijk_judge::{Cause, Need};

use super::truth::{Moment, STEP_S, Shares};
use crate::format::ServiceSpec;

/// Numbers of the policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    hard: f64,
    soft: f64,
    slow: f64,
    hard_s: usize,
    soft_s: usize,
    clear_s: usize,
    weight: f64,
    better: f64,
    margin: f64,
}

impl Numbers {
    /// The policy's own, and eight around it: what counts as hurt, and what counts as better, each easier and harder.
    pub(super) fn around() -> Vec<Self> {
        let hurt = [
            (0.5, 0.1, 0.25, 180, 600, 180, 1.0 / 3.0),
            (0.42, 0.07, 0.18, 145, 480, 220, 0.28),
            (0.58, 0.16, 0.33, 215, 760, 140, 0.39),
        ];
        let better = [(0.5, 0.1), (0.35, 0.06), (0.65, 0.15)];
        let one = |(hard, soft, slow, hard_s, soft_s, clear_s, weight)| {
            better.map(|(better, margin)| Self { hard, soft, slow, hard_s, soft_s, clear_s, weight, better, margin })
        };
        hurt.into_iter().flat_map(one).collect()
    }
}

/// What is right at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) need: Need,
    pub(super) cause: Cause,
    /// It was hard from the beginning.
    pub(super) hard: bool,
}

pub(super) const HEALTHY: Right = Right { need: Need::NotNeeded, cause: Cause::Healthy, hard: false };

/// One stretch with one active region, as one policy sees it.
pub(super) struct Scene<'a> {
    pub(super) numbers: Numbers,
    pub(super) spec: &'a ServiceSpec,
    pub(super) truth: &'a [Vec<Moment>],
    pub(super) active: usize,
    pub(super) other: usize,
    /// First step, and the first after it.
    pub(super) steps: (usize, usize),
    /// It ends with a failover.
    pub(super) cut: bool,
}

/// A stretch in which users were hurt for long enough.
struct Impact {
    from: usize,
    to: usize,
    hard: bool,
    /// Long enough; else a failover came before anybody could know, and both answers can be defended.
    confirmed: bool,
}

impl Scene<'_> {
    /// What is right at each step of the stretch; absent where nothing is clear.
    pub(super) fn answers(&self) -> Vec<Option<Right>> {
        let mut answers = vec![Some(HEALTHY); self.steps.1 - self.steps.0];
        for impact in self.impacts() {
            let mut last = None;
            for step in impact.from..impact.to {
                let blamed = self.blame(step, impact.hard).unwrap_or(last);
                let now = blamed.filter(|_| impact.confirmed);
                answers[step - self.steps.0] = now;
                last = now;
            }
        }
        answers
    }

    /// The mean of something over the last so many seconds, as far as they lie in the stretch.
    #[expect(clippy::cast_precision_loss, reason = "windows are short")]
    fn mean(&self, endpoint: usize, step: usize, seconds: usize, of: impl Fn(&Moment) -> f64) -> f64 {
        let from = (step + 1).saturating_sub(seconds / STEP_S).max(self.steps.0);
        let all = &self.truth[endpoint][from..=step];
        all.iter().map(of).sum::<f64>() / all.len() as f64
    }

    fn public(&self) -> impl Fn(&Moment) -> Shares {
        let active = self.active;
        move |m| m.public[active]
    }

    /// Whether endpoints that are enough fulfil something.
    fn enough(&self, bad: impl Fn(usize) -> bool) -> bool {
        let all: f64 = self.spec.endpoints.iter().map(|e| e.weight).sum();
        let endpoints = self.spec.endpoints.iter().enumerate().filter(|(e, _)| bad(*e));
        let (weight, critical) = endpoints.fold((0.0, false), |(w, c), (_, e)| (w + e.weight, c || e.critical));
        critical || (weight > 0.0 && weight >= all * self.numbers.weight - 1e-9)
    }

    fn hurt(&self, endpoint: usize, step: usize, seconds: usize) -> bool {
        let public = self.public();
        self.mean(endpoint, step, seconds, |m| public(m).failing) >= self.numbers.soft
            || self.mean(endpoint, step, seconds, |m| public(m).slow) >= self.numbers.slow
    }

    fn impacts(&self) -> Vec<Impact> {
        let n = &self.numbers;
        let mut impacts = Vec::new();
        let mut open: Option<Impact> = None;
        let (mut hard_run, mut soft_run) = (None, None);
        for step in self.steps.0..self.steps.1 {
            if self.enough(|e| self.hurt(e, step, 60)) {
                open.get_or_insert(Impact { from: step, to: step, hard: false, confirmed: false }).to = step + 1;
            }
            let Some(impact) = &mut open else { continue };
            if (step + 1 - impact.to) * STEP_S >= n.clear_s {
                impacts.extend(open.take().filter(|impact| impact.confirmed));
                (hard_run, soft_run) = (None, None);
                continue;
            }
            let public = self.public();
            let hard = self.enough(|e| self.mean(e, step, 60, |m| public(m).failing) >= n.hard);
            let soft = self.enough(|e| self.hurt(e, step, 300));
            let lasts = |run: &mut Option<usize>, holds: bool, seconds: usize| {
                let since = if holds {
                    *run.get_or_insert(step)
                } else {
                    *run = None;
                    step
                };
                holds && (step - since) * STEP_S >= seconds
            };
            let by_hard = lasts(&mut hard_run, hard, n.hard_s);
            impact.hard |= by_hard && (step - impact.from) * STEP_S <= n.hard_s + 80;
            impact.confirmed |= by_hard | lasts(&mut soft_run, soft, n.soft_s);
        }
        impacts.extend(open.filter(|impact| impact.confirmed || self.cut));
        impacts
    }

    /// Who is to blame at a step: an answer, none that is clear, or (outer) as before.
    fn blame(&self, step: usize, hard: bool) -> Option<Option<Right>> {
        let bad: Vec<usize> = (0..self.spec.endpoints.len()).filter(|&e| self.hurt(e, step, 60)).collect();
        if bad.is_empty() {
            return None;
        }
        let weight: f64 = bad.iter().map(|&e| self.spec.endpoints[e].weight).sum();
        let mean = |of: &dyn Fn(&Moment) -> f64| {
            let each = bad.iter().map(|&e| self.mean(e, step, 60, of) * self.spec.endpoints[e].weight);
            each.sum::<f64>() / weight.max(1e-9)
        };
        let (active, other) = (self.active, self.other);
        let (entry, partner) = (mean(&|m| m.entry), mean(&|m| m.public[active].partner));
        let through = mean(&|m| (m.public[active].failing - m.entry) / (1.0 - m.entry).max(1e-9));
        let (a, b) = (mean(&|m| m.regions[active].failing), mean(&|m| m.regions[other].failing));
        let (slow_a, slow_b) = (mean(&|m| m.regions[active].slow), mean(&|m| m.regions[other].slow));
        let n = &self.numbers;
        let right = |need, cause| Some(Some(Right { need, cause, hard }));
        let own = a - partner;
        if partner > 0.03 {
            let clear = partner >= 0.25 && entry < 0.02 && own < 0.05 && slow_a < 0.02 && (a - through).abs() < 0.05;
            return if clear { right(Need::NotNeeded, Cause::ChainPartner) } else { Some(None) };
        }
        if entry > 0.02 {
            let clear = a < 0.02 && b < 0.02 && slow_a < 0.02 && slow_b < 0.02;
            return if clear { right(Need::Futile, Cause::FrontDoor) } else { Some(None) };
        }
        if (a - through).abs() > 0.05 {
            return Some(None);
        }
        let failing = a >= n.soft;
        let (worse, as_slow) = (b >= a + n.margin, slow_b >= n.better * slow_a);
        if worse || if failing { b >= n.better * a } else { as_slow } {
            return right(Need::Futile, Cause::GlobalFault);
        }
        // A slow standby for a failing region, or a failing one for a slow region, is for people to weigh.
        if if failing { slow_a.max(slow_b) } else { b } > 0.02 {
            return Some(None);
        }
        let cause = match (failing, hard || a >= n.hard) {
            (true, true) => Cause::RegionDown,
            (true, false) => Cause::RegionDegraded,
            (false, _) => Cause::RegionSlow,
        };
        right(Need::Needed, cause)
    }
}
