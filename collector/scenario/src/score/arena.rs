//! What does each rule say about one world, and how does that score?
//!
//! Everybody gets the same stream. Live, the judge speaks about a slot once the slot and the grace are over, 30 s after the
//! slot began, while a peer speaks about the moment at which it is asked. Its row of its own is scored as labels are meant:
//! what was said about a time, at the time. In the row that stands beside the peers' its answers are moved to the moments
//! at which they were given, so that nobody is granted knowledge that others do not have.

use std::collections::BTreeMap;
use std::fmt;

use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::{Millis, Plan, PolicyOverrides, ServiceId};
use uitwijk_peers::{Answer, Executed, RuleName, View};
use uitwijk_replay::{Record, Track, Tracks, replay};

use super::interval::{By, Mistake, Said};
use super::tally::{Tally, Words};
use crate::format::{Expect, Scenario};
use crate::plan::plan;
use crate::world::simulate;

/// Somebody with an opinion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contestant {
    /// The judge, by its whole verdict.
    Judge,
    /// The judge, compared as peers are: by need, at the moments at which it speaks.
    JudgeByNeed,
    /// A rule in use.
    Peer(RuleName),
}

impl Contestant {
    /// The judge, and every peer rule of a fleet.
    #[must_use]
    pub fn all(plan: &Plan) -> Vec<Self> {
        let peers = RuleName::all(plan.agents.keys()).into_iter().map(Self::Peer);
        [Self::Judge, Self::JudgeByNeed].into_iter().chain(peers).collect()
    }

    const fn by(&self) -> By {
        match self {
            Self::Judge => By::Verdict,
            Self::JudgeByNeed | Self::Peer(_) => By::Need,
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Judge => f.pad("uitwijk"),
            Self::JudgeByNeed => f.pad("uitwijk, by need"),
            Self::Peer(rule) => rule.fmt(f),
        }
    }
}

/// An interval that was not right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The scenario.
    pub scenario: String,
    /// The seed that it was played with.
    pub seed: u64,
    /// The service.
    pub service: ServiceId,
    /// Seconds from the start of the scenario.
    pub from_s: u64,
    /// Seconds from the start of the scenario.
    pub to_s: u64,
    /// What was wanted.
    pub wanted: (Need, Cause, Execution),
    /// What is wrong.
    pub mistake: Mistake,
}

/// Who scored what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contest {
    /// A tally per contestant and track.
    pub tallies: BTreeMap<(Contestant, Track), Tally>,
    /// What was not right, where it was asked for.
    pub wrong: Vec<(Contestant, Track, Wrong)>,
}

impl Contest {
    /// Adds what was scored elsewhere.
    pub fn merge(&mut self, other: Self) {
        for (key, tally) in other.tallies {
            self.tallies.entry(key).or_default().merge(&tally);
        }
        self.wrong.extend(other.wrong);
    }
}

/// Plays a scenario and scores everybody on every labelled interval. The judge's policy has `policy` laid over it; the rules
/// of others have numbers of their own.
///
/// # Panics
/// When the stream that was just played cannot be judged by the plan that belongs to it, or not with this policy.
#[must_use]
pub fn score_world(s: &Scenario, seed: u64, contestants: &[Contestant], policy: &PolicyOverrides) -> Contest {
    let mut arena = Arena { s, seed, contest: Contest::default() };
    let (plan, records) = (plan(s), simulate(s, seed));
    let ours = judged_by(plan.clone(), policy);
    for spec in &s.services {
        let expect: Vec<&Expect> = s.expect.iter().filter(|e| *s.service_of(e) == spec.id).collect();
        if !expect.is_empty() {
            arena.judge(&ours, &records, &spec.id, &expect, contestants);
            arena.peers(&plan, &records, &spec.id, &expect, contestants);
        }
    }
    arena.contest
}

struct Arena<'a> {
    s: &'a Scenario,
    seed: u64,
    contest: Contest,
}

impl Arena<'_> {
    fn judge(&mut self, plan: &Plan, records: &[Record], service: &ServiceId, expect: &[&Expect], who: &[Contestant]) {
        let ours = |c: &&Contestant| !matches!(c, Contestant::Peer(_));
        if !who.iter().any(|c| ours(&c)) {
            return;
        }
        let segments = replay(plan, [service], records, Tracks::BOTH).expect("a world's stream fits its plan");
        for track in [Track::Live, Track::Final] {
            let own = segments.iter().filter(|g| g.track == track);
            let about =
                own.map(|g| Said { from: g.from, to: g.to, need: g.need, cause: g.cause, executed: g.executed });
            let about: Vec<Said> = about.collect();
            let given = if track == Track::Live { moved(&about, lag(plan, service)) } else { about.clone() };
            for contestant in who.iter().filter(ours) {
                let (said, lag) = match contestant {
                    Contestant::Judge => (&about, lag(plan, service)),
                    _ => (&given, Millis(0)),
                };
                self.score(contestant, service, expect, &Words { said, track, by: contestant.by(), lag });
            }
        }
    }

    fn peers(&mut self, plan: &Plan, records: &[Record], service: &ServiceId, expect: &[&Expect], who: &[Contestant]) {
        let rules = who.iter().filter_map(|c| if let Contestant::Peer(rule) = c { Some((c, rule)) } else { None });
        let mut rules = rules.peekable();
        if rules.peek().is_none() {
            return;
        }
        let view = View::new(plan, service, records).expect("the plan of a scenario has its services");
        for (contestant, rule) in rules {
            for track in [Track::Live, Track::Final] {
                let segments = uitwijk_peers::judge(&view, rule, track, self.s.start, self.s.end());
                let said: Vec<Said> = segments.iter().map(told).collect();
                let words = Words { said: &said, track, by: contestant.by(), lag: Millis(0) };
                self.score(contestant, service, expect, &words);
            }
        }
    }

    fn score(&mut self, contestant: &Contestant, service: &ServiceId, expect: &[&Expect], words: &Words<'_>) {
        let tally = self.contest.tallies.entry((contestant.clone(), words.track)).or_default();
        for e in expect {
            let Some(mistake) = tally.add(self.s, e, words) else { continue };
            let wrong = Wrong {
                scenario: self.s.id.clone(),
                seed: self.seed,
                service: service.clone(),
                from_s: e.from.0 / 1000,
                to_s: e.to.0 / 1000,
                wanted: (e.label.need, e.label.cause, e.label.executed),
                mistake,
            };
            self.contest.wrong.push((contestant.clone(), words.track, wrong));
        }
    }
}

fn judged_by(mut plan: Plan, policy: &PolicyOverrides) -> Plan {
    plan.policy = policy.over(&plan.policy);
    for own in plan.services.values_mut().filter_map(|service| service.policy.as_mut()) {
        *own = policy.over(own);
    }
    plan
}

/// From the start of a slot until the judge speaks about it: the slot and the grace.
fn lag(plan: &Plan, service: &ServiceId) -> Millis {
    Millis(plan.slot.millis().0 + plan.policy_of(service).grace.0)
}

/// The same, said so much later; what comes first is said of the time before it too.
fn moved(about: &[Said], by: Millis) -> Vec<Said> {
    let mut given: Vec<Said> = about.iter().map(|x| Said { from: x.from.plus(by), to: x.to.plus(by), ..*x }).collect();
    if let (Some(first), Some(start)) = (given.first_mut(), about.first()) {
        first.from = start.from;
    }
    given
}

fn told(g: &uitwijk_peers::Segment) -> Said {
    let cause = match g.answer {
        Answer::Healthy => Cause::Healthy,
        Answer::Maintenance => Cause::Maintenance,
        Answer::RegionDown => Cause::RegionDown,
        Answer::GlobalFault => Cause::GlobalFault,
        Answer::FrontDoor => Cause::FrontDoor,
    };
    let executed = match g.executed {
        Executed::Executed => Execution::Executed,
        Executed::Missed => Execution::Missed,
        Executed::Unnecessary => Execution::Unnecessary,
        Executed::None => Execution::None,
    };
    Said { from: g.from, to: g.to, need: cause.need(), cause, executed }
}
