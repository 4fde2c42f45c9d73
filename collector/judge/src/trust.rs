//! Whose word counts?
//!
//! ```text
//!   nobody answers me at all            -> I am cut off             no vote
//!   nearly everything fails for me      -> it is me                 no vote
//!   the references fail for me          -> it is me                 no vote, or half
//!   I alone see what nobody else sees   -> it may be me             no vote, or half
//!   I was sick a moment ago             -> wait until I am well     no vote
//! ```
//!
//! The observer is doubted before the target, because a sick observer makes every target look sick, and then it does not
//! matter how many targets agree. A reference that fails for most of the *other* observers too says something about the
//! reference. The choice left aside is a learned weight per observer: it could not be explained at night.

use std::cell::OnceCell;

use crate::share::{Count, beyond_own_loss, share, threshold};
use crate::topology::{AgentIx, RegionIx, Role, TargetIx, Topology};

/// Why a vantage has less than a full vote. The order is the order of severity in findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Doubt {
    /// None.
    None = 0,
    /// It measured nothing.
    Silent = 1,
    /// Nothing succeeded for it.
    NoSignOfLife = 2,
    /// Too many independent domains failed for it.
    ManyDomains = 3,
    /// The references failed for it.
    Controls = 4,
    /// It alone saw failures.
    Lonely = 5,
    /// The references failed sometimes, or it was alone with some failures: half a vote.
    Suspect = 6,
    /// It is well, but was sick a moment ago.
    Held = 7,
}

impl Doubt {
    pub(crate) const COUNT: usize = 8;
    /// A fault of the observer that is going on.
    pub(crate) const fn is_sick(self) -> bool {
        matches!(self, Self::NoSignOfLife | Self::ManyDomains | Self::Controls | Self::Lonely)
    }

    /// In halves of a vote.
    pub(crate) const fn weight(self) -> u32 {
        match self {
            Self::None => 2,
            Self::Suspect => 1,
            _ => 0,
        }
    }
}

/// The counts of every agent and target over one window.
pub(crate) struct Window<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) counts: &'a [Count],
}

impl Window<'_> {
    pub(crate) fn at(&self, v: AgentIx, t: TargetIx) -> Count {
        self.counts[v * self.topology.targets.len() + t]
    }

    fn of(&self, v: AgentIx) -> &[Count] {
        let targets = self.topology.targets.len();
        &self.counts[v * targets..(v + 1) * targets]
    }

    fn fails(&self, v: AgentIx, t: TargetIx) -> bool {
        let c = self.at(v, t);
        c.failed > 0 && c.failed_share() >= threshold(self.topology.policy.domain_failing)
    }

    /// Doubt about each agent by what the window holds, before any hold.
    pub(crate) fn doubts(&self) -> Vec<Doubt> {
        (0..self.topology.agents.len()).map(|v| self.doubt(v)).collect()
    }

    fn doubt(&self, v: AgentIx) -> Doubt {
        let all = self.of(v);
        let (n, failed): (u64, u64) =
            all.iter().fold((0, 0), |(n, f), c| (n + u64::from(c.n), f + u64::from(c.failed)));
        if n == 0 {
            return Doubt::Silent;
        }
        if n == failed {
            return Doubt::NoSignOfLife;
        }
        if failed == 0 && all.iter().all(|c| c.slow == 0) {
            return Doubt::None;
        }
        if self.many_domains(v) {
            return Doubt::ManyDomains;
        }
        let policy = &self.topology.policy;
        let own = self.references(v);
        if own.is_some_and(|bad| bad >= threshold(policy.control_sick)) {
            return Doubt::Controls;
        }
        let lonely = self.lonely(v);
        if lonely >= threshold(policy.lonely_sick) {
            return Doubt::Lonely;
        }
        let suspect = own.is_some_and(|bad| bad >= threshold(policy.control_suspect));
        if suspect || lonely >= threshold(policy.lonely_suspect) { Doubt::Suspect } else { Doubt::None }
    }

    /// Whether nearly every independent domain fails for an agent: each control, each partner, each region, the entry.
    /// The service's own regions and entry may well fail together, so without a failing reference this says nothing.
    fn many_domains(&self, v: AgentIx) -> bool {
        let regions = self.topology.regions.len();
        let mut own = vec![Count::default(); regions + 1];
        let (mut domains, mut failing, mut references) = (0u64, 0u64, 0u64);
        for (t, target) in self.topology.targets.iter().enumerate() {
            match target.role {
                Role::Regional(_, r) | Role::Zonal(_, r, _) => own[r].plus(self.at(v, t), 1),
                Role::Entry(_) => own[regions].plus(self.at(v, t), 1),
                Role::Partner(_) | Role::Control(_) if self.at(v, t).n > 0 => {
                    domains += 1;
                    failing += u64::from(self.fails(v, t));
                    references += u64::from(self.fails(v, t));
                }
                Role::Partner(_) | Role::Control(_) => {}
            }
        }
        let limit = threshold(self.topology.policy.domain_failing);
        for c in own.iter().filter(|c| c.n > 0) {
            domains += 1;
            failing += u64::from(c.failed > 0 && c.failed_share() >= limit);
        }
        references > 0 && share(failing, domains) >= threshold(self.topology.policy.domains_sick)
    }

    /// Mean share of credible references that fail or are slow for an agent; absent when it measured none.
    fn references(&self, v: AgentIx) -> Option<u64> {
        let (mut sum, mut of) = (0, 0);
        for t in self.controls().filter(|&t| self.at(v, t).n > 0 && self.credible(v, t)) {
            let c = self.at(v, t);
            sum += share(u64::from(c.failed + c.slow), u64::from(c.n));
            of += 1;
        }
        (of > 0).then(|| sum / of)
    }

    fn controls(&self) -> impl Iterator<Item = TargetIx> {
        self.topology.controls.iter().copied()
    }

    fn others(&self, v: AgentIx, t: TargetIx) -> impl Iterator<Item = AgentIx> {
        (0..self.topology.agents.len()).filter(move |&u| u != v && self.at(u, t).n > 0)
    }

    /// A control is credible for an agent unless it fails for more than half of the others as well.
    fn credible(&self, v: AgentIx, t: TargetIx) -> bool {
        if !self.fails(v, t) {
            return true;
        }
        let failing = self.others(v, t).filter(|&u| self.fails(u, t)).count();
        failing * 2 <= self.others(v, t).count()
    }

    /// Share of an agent's targets that fail for it while the median of at least two others is clean.
    fn lonely(&self, v: AgentIx) -> u64 {
        let clean = threshold(self.topology.policy.soft_share) / 2;
        let (mut lonely, mut seen) = (0, 0);
        for t in 0..self.topology.targets.len() {
            seen += u64::from(self.at(v, t).n > 0);
            if self.fails(v, t) {
                let mut others: Vec<u64> = self.others(v, t).map(|u| self.at(u, t).failed_share()).collect();
                others.sort_unstable();
                lonely += u64::from(others.len() >= 2 && others[others.len() / 2] < clean);
            }
        }
        share(lonely, seen)
    }

    /// Share of credible references that an agent loses by itself.
    pub(crate) fn own_loss(&self, v: AgentIx) -> u64 {
        let mut sum = Count::default();
        for t in self.controls().filter(|&t| self.at(v, t).failed > 0 || self.at(v, t).n > 0) {
            if self.at(v, t).failed == 0 || self.credible(v, t) {
                sum.plus(self.at(v, t), 1);
            }
        }
        sum.failed_share()
    }
}

/// What all trusted voices together say about a target over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct View {
    /// Share that fails, once own losses are divided out.
    pub(crate) failed: u64,
    /// Share of the answers that is slow.
    pub(crate) slow: u64,
    /// Enough voices see failures themselves.
    pub(crate) failed_seen: bool,
    /// Enough voices see slowness themselves.
    pub(crate) slow_seen: bool,
    /// Enough voices see at least some failures or slowness themselves.
    pub(crate) traces_seen: bool,
    /// Trust of the voices that measured it, in halves.
    pub(crate) trust: u32,
    /// Samples of trusted voices.
    pub(crate) samples: u32,
}

impl View {
    /// Failing share that counts: path faults are bimodal, a real fault is seen by the median voice.
    pub(crate) fn failing(self) -> u64 {
        if self.failed_seen { self.failed } else { 0 }
    }

    /// Failing and slow share that counts where small shares are looked for.
    pub(crate) fn traces(self) -> (u64, u64) {
        if self.traces_seen { (self.failed, self.slow) } else { (0, 0) }
    }

    /// Slow share that counts.
    pub(crate) fn slowing(self) -> u64 {
        if self.slow_seen { self.slow } else { 0 }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Voice {
    trust: u32,
    weight: u64,
    failed: u64,
    answering: u64,
    slow: u64,
}

/// Voices that say the same, and whether they stand in more than one region.
#[derive(Debug, Clone, Copy, Default)]
struct Choir {
    voices: u32,
    region: Option<RegionIx>,
    is_mixed: bool,
}

impl Choir {
    fn join(&mut self, region: RegionIx, joins: bool) {
        if joins {
            self.voices += 1;
            self.is_mixed |= *self.region.get_or_insert(region) != region;
        }
    }

    /// Whether these are enough of those who were heard: more than half, or just half when they do not all stand in one
    /// region while others were heard. What all vantages of one region see and none of the other is the way there.
    fn carries(self, heard: Self, least: u32) -> bool {
        let half = self.voices * 2 == heard.voices && (self.is_mixed || !heard.is_mixed);
        self.voices >= least && (self.voices * 2 > heard.voices || half)
    }
}

/// One window with the votes applied.
pub(crate) struct Court<'a> {
    pub(crate) window: Window<'a>,
    /// Votes per agent, in halves.
    pub(crate) weights: &'a [u32],
    /// Nobody, with a vote or without, saw any failure or slowness, which is nearly always so; looked at when it is first asked for.
    is_clean: OnceCell<bool>,
    /// What each agent loses by itself; found when it is first asked for.
    own: OnceCell<Vec<u64>>,
}

impl<'a> Court<'a> {
    pub(crate) fn new(window: Window<'a>, weights: &'a [u32]) -> Self {
        Self { window, weights, is_clean: OnceCell::new(), own: OnceCell::new() }
    }

    /// Whether nothing in the window failed or was slow: then no target fails for anybody.
    pub(crate) fn is_clean(&self) -> bool {
        let bad = || self.window.counts.iter().fold(0, |bad, count| bad | count.failed | count.slow);
        *self.is_clean.get_or_init(|| bad() == 0)
    }

    fn own_loss(&self, v: AgentIx) -> u64 {
        let losses = || (0..self.weights.len()).map(|v| if self.weights[v] > 0 { self.window.own_loss(v) } else { 0 });
        self.own.get_or_init(|| losses().collect())[v]
    }

    /// What all trusted voices say about a target.
    pub(crate) fn view(&self, t: TargetIx) -> View {
        self.view_from(t, None)
    }

    /// The same, heard only from vantages in one region.
    pub(crate) fn view_from(&self, t: TargetIx, region: Option<usize>) -> View {
        let topology = self.window.topology;
        if let Some(view) = self.clean_view(t, region) {
            return view;
        }
        let mut voices = vec![Voice::default(); topology.voices.len()];
        let mut view = View::default();
        for (v, agent) in topology.agents.iter().enumerate() {
            let (count, weight) = (self.window.at(v, t), self.weights[v]);
            if weight == 0 || count.n == 0 || region.is_some_and(|r| r != agent.region) {
                continue;
            }
            view.samples += count.n;
            let (voice, w) = (&mut voices[agent.voice], u64::from(weight));
            voice.trust = voice.trust.max(weight);
            voice.weight += w;
            if count.failed > 0 {
                voice.failed += w * beyond_own_loss(count.failed_share(), self.own_loss(v));
            }
            if count.n > count.failed {
                voice.answering += w;
                voice.slow += w * count.slow_share();
            }
        }
        self.vote(&voices, view)
    }

    /// The view when nobody with a vote saw any failure or slowness, which is nearly always.
    fn clean_view(&self, t: TargetIx, region: Option<usize>) -> Option<View> {
        let topology = self.window.topology;
        if topology.voices.len() > 64 {
            return None;
        }
        let (mut view, mut full, mut half) = (View::default(), 0u64, 0u64);
        for (v, agent) in topology.agents.iter().enumerate() {
            let count = self.window.at(v, t);
            if self.weights[v] == 0 || count.n == 0 || region.is_some_and(|r| r != agent.region) {
                continue;
            }
            if count.failed + count.slow > 0 {
                return None;
            }
            view.samples += count.n;
            *(if self.weights[v] == 2 { &mut full } else { &mut half }) |= 1 << agent.voice;
        }
        view.trust = full.count_ones() * 2 + (half & !full).count_ones();
        Some(view)
    }

    /// Zones vote first (the agents of a zone share a voice), then the voices together.
    fn vote(&self, voices: &[Voice], mut view: View) -> View {
        let policy = &self.window.topology.policy;
        let (half, quarter) = (|ratio| (threshold(ratio) / 2).max(1), |ratio| (threshold(ratio) / 4).max(1));
        let (mut failed, mut slow, mut answering) = (0, 0, 0);
        let mut heard = Choir::default();
        let (mut see_failed, mut see_slow, mut see_traces) = (heard, heard, heard);
        for (voice, &region) in voices.iter().zip(&self.window.topology.voices).filter(|(v, _)| v.weight > 0) {
            let (p, trust) = (voice.failed / voice.weight, u64::from(voice.trust));
            heard.join(region, true);
            view.trust += voice.trust;
            failed += trust * p;
            see_failed.join(region, p >= half(policy.soft_share));
            let q = voice.slow.checked_div(voice.answering);
            let traces = p >= quarter(policy.soft_share) || q.is_some_and(|q| q >= quarter(policy.slow_share));
            see_traces.join(region, traces);
            if let Some(q) = q {
                slow += trust * q;
                answering += trust;
                see_slow.join(region, q >= half(policy.slow_share));
            }
        }
        view.failed = failed / u64::from(view.trust).max(1);
        view.slow = slow / answering.max(1);
        view.failed_seen = see_failed.carries(heard, policy.vantages_min);
        view.traces_seen = see_traces.carries(heard, policy.vantages_min);
        view.slow_seen = see_slow.carries(heard, policy.vantages_min);
        view
    }
}
