//! What could a fleet observe, whatever happens to it?
//!
//! A world goes straight from faults to shots, one per agent, target and slot: no balancer, no phases, no text. Chance is a
//! hash of (seed, agent, target, slot), so that changing one fault leaves everything else as it was.

use uitwijk_judge::Sample;
use uitwijk_model::{
    Elapsed, Fault as Died, Measurement, Observer, Outcome, Phases, ServedBy, Slot, Unmeasured, WallTime,
};

use crate::fleet::{Aim, Fleet, Names};
use crate::support::world::Dice;

/// The slot of 2026-03-02T08:00:00Z.
const EPOCH: i64 = 1_772_438_400;

/// What a fault touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Region(usize),
    Zone(usize, usize),
    Everywhere,
    Entry,
    Endpoint(usize, usize),
    Partner(usize),
    Control(usize),
    /// All that agents of a region do, or only what they ask of one region.
    From(usize, Option<usize>),
    /// All that one agent does.
    Agent(usize),
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    Fails(Died),
    Slows,
    /// Nothing is measured.
    Silence,
    /// Records arrive so many slots late.
    Late(i64),
    /// Nothing is delivered until the end of the fault.
    Cut,
    /// The clock is ahead by so many milliseconds; whether the agent knows it.
    Lead(i64, bool),
    /// Any answer at all, from any region.
    Nonsense,
}

/// Something that happens from a slot to another.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub from: i64,
    pub to: i64,
    pub scope: Scope,
    pub harm: Harm,
    /// In thousandths.
    pub rate: u64,
}

/// One measurement, in numbers; slots count from the start.
#[derive(Debug, Clone)]
pub struct Shot {
    pub agent: usize,
    pub aim: usize,
    pub slot: i64,
    pub attempt: u8,
    pub outcome: Outcome,
    pub served: Option<(usize, Option<usize>)>,
    /// Microseconds after the start, by the agent's clock, the collector's clock.
    pub started: i64,
    pub arrived: i64,
    pub took: i64,
    pub offset: Option<i64>,
}

/// A fleet and what happens to it.
#[derive(Debug, Clone)]
pub struct World {
    pub seed: u64,
    pub fleet: Fleet,
    pub start: i64,
    pub slots: i64,
    pub faults: Vec<Fault>,
    /// From which slot on which region serves.
    pub switches: Vec<(i64, usize)>,
    /// Thousandths of the probes that fail, and of those that are slow, by themselves.
    pub noise: (u64, u64),
    pub headers: bool,
}

fn hash(seed: u64, parts: [u64; 4]) -> u64 {
    parts.into_iter().fold(seed, |h, p| Dice(h ^ p.wrapping_mul(0xd6e8_feb8_6659_fd93)).next())
}

impl World {
    /// A world in which nothing goes wrong.
    pub fn quiet(seed: u64, fleet: Fleet, dice: &mut Dice) -> Self {
        Self {
            seed,
            fleet,
            start: EPOCH + dice.below(64).cast_signed(),
            slots: 90 + dice.below(60).cast_signed(),
            faults: Vec::new(),
            switches: Vec::new(),
            noise: (1, 4),
            headers: dice.chance(0.9),
        }
    }

    /// A world in which up to three things go wrong, and somebody may switch.
    pub fn any(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let fleet = Fleet::any(&mut dice);
        Self::quiet(seed, fleet, &mut dice).again(&mut dice)
    }

    /// The same fleet, and something else happens to it.
    pub fn again(mut self, dice: &mut Dice) -> Self {
        self.faults.clear();
        self.switches.clear();
        for _ in 0..dice.below(4) {
            let fault = self.any_fault(dice);
            self.faults.push(fault);
        }
        for _ in 0..[0, 0, 1, 1, 2][dice.below(5) as usize] {
            let at = 10 + dice.below(self.slots as u64 - 10).cast_signed();
            self.switches.push((at, dice.below(self.fleet.zones.len() as u64) as usize));
        }
        self.switches.sort_unstable();
        self
    }

    /// The same world in which every clock is right.
    pub fn steady(mut self) -> Self {
        self.faults.retain(|f| !matches!(f.harm, Harm::Lead(..)));
        self
    }

    /// Whether every clock is right.
    pub fn is_steady(&self) -> bool {
        self.faults.iter().all(|f| !matches!(f.harm, Harm::Lead(..)))
    }

    fn any_scope(&self, dice: &mut Dice) -> Scope {
        let fleet = &self.fleet;
        let r = if dice.chance(0.5) { fleet.active } else { dice.below(fleet.zones.len() as u64) as usize };
        match dice.below(14) {
            0..=3 => Scope::Region(r),
            4 => Scope::Zone(r, dice.below(fleet.zones[r] as u64) as usize),
            5 => Scope::Everywhere,
            6 => Scope::Entry,
            7 => Scope::Endpoint(dice.below(fleet.endpoints.len() as u64) as usize, r),
            8 if fleet.partners > 0 => Scope::Partner(0),
            9 if fleet.controls > 0 => Scope::Control(dice.below(fleet.controls as u64) as usize),
            10 => Scope::From(r, None),
            11 => Scope::From(r, Some(fleet.active)),
            _ => Scope::Agent(dice.below(fleet.agents.len() as u64) as usize),
        }
    }

    fn any_fault(&self, dice: &mut Dice) -> Fault {
        let from = dice.below(80).cast_signed();
        let scope = self.any_scope(dice);
        let observer = matches!(scope, Scope::From(..) | Scope::Agent(_));
        let died =
            [Died::HttpStatus, Died::WaitTimeout, Died::ConnectRefused, Died::DnsTimeout][dice.below(4) as usize];
        let harm = match dice.below(if observer { 10 } else { 4 }) {
            0 => Harm::Slows,
            1..=3 => Harm::Fails(died),
            4 => Harm::Silence,
            5 => Harm::Late(1 + dice.below(12).cast_signed()),
            6 => Harm::Cut,
            7 => Harm::Lead(dice.below(16_000).cast_signed() - 6000, dice.chance(0.5)),
            _ => Harm::Nonsense,
        };
        Fault {
            from,
            to: from + 2 + dice.below(90).cast_signed(),
            scope,
            harm,
            rate: [120, 300, 600, 1000, 1000][dice.below(5) as usize],
        }
    }

    /// Who serves an agent in a slot: clients follow a switch each at its own moment.
    pub fn serves(&self, agent: usize, slot: i64) -> usize {
        let follows = |(at, _): &&(i64, usize)| {
            at + hash(self.seed, [agent as u64, 7, *at as u64, 1]).rem_euclid(3) as i64 <= slot
        };
        self.switches.iter().rev().find(follows).map_or(self.fleet.active, |s| s.1)
    }

    /// Everything that is measured, agent by agent and slot by slot.
    pub fn shots(&self) -> Vec<Shot> {
        let aims = self.fleet.aims();
        let mut all = Vec::with_capacity(self.slots as usize * aims.len() * self.fleet.agents.len());
        for agent in 0..self.fleet.agents.len() {
            let mut latest = i64::MIN;
            for slot in 0..self.slots {
                self.round(agent, slot, &aims, &mut latest, &mut all);
            }
        }
        all
    }

    /// What an agent does in a slot.
    fn round(&self, agent: usize, slot: i64, aims: &[Aim], latest: &mut i64, all: &mut Vec<Shot>) {
        let (mut lead, mut knows, mut late, mut cut) = (0, false, 0, None);
        let mut silent = false;
        for f in self.at(slot).filter(|f| self.is_by(f, agent)) {
            match f.harm {
                Harm::Silence => silent = true,
                Harm::Late(by) => late = late.max(by),
                Harm::Cut => cut = cut.max(Some(f.to)),
                Harm::Lead(by, known) => (lead, knows) = (by, known),
                _ => {}
            }
        }
        if silent {
            return;
        }
        for (i, &aim) in aims.iter().enumerate() {
            let mut shot = self.shot(agent, slot, i, aim);
            let sent = slot * 1_000_000 + (agent as i64 * 137 % 9) * 100_000;
            let arrival = sent + shot.took + 20_000 + late * 1_000_000;
            // An agent delivers in order.
            *latest = arrival.max(cut.map_or(i64::MIN, |to| to * 1_000_000)).max(*latest);
            shot.arrived = *latest;
            shot.started = sent + lead * 1000;
            shot.slot = (slot * 1000 + lead).div_euclid(1000);
            shot.offset = knows.then_some(lead * 1000);
            all.push(shot);
        }
    }

    fn at(&self, slot: i64) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(move |f| f.from <= slot && slot < f.to)
    }

    /// Whether a fault is one of an agent.
    fn is_by(&self, f: &Fault, agent: usize) -> bool {
        match f.scope {
            Scope::From(r, None) => self.fleet.agents[agent].0 == r,
            Scope::Agent(a) => a == agent,
            _ => false,
        }
    }

    fn shot(&self, agent: usize, slot: i64, i: usize, aim: Aim) -> Shot {
        let roll = |what: u64| hash(self.seed, [agent as u64, i as u64, slot as u64, what]);
        let mut shot = Shot {
            agent,
            aim: i,
            slot,
            attempt: 0,
            outcome: Outcome::Up,
            served: None,
            started: 0,
            arrived: 0,
            took: 100_000 + (roll(0) % 100_000) as i64,
            offset: None,
        };
        let region = match aim {
            Aim::Regional(_, r) | Aim::Zonal(_, r, _) => Some(r),
            Aim::Entry(_) => Some(self.serves(agent, slot)),
            _ => None,
        };
        let zone = region.map(|r| match aim {
            Aim::Zonal(_, _, z) => z,
            _ => self.balanced(r, slot, roll(1)),
        });
        if roll(2) % 1000 < self.noise.0 {
            shot.outcome = Outcome::Down(Died::WaitTimeout);
        } else if roll(3) % 1000 < self.noise.1 {
            shot.outcome = Outcome::Slow;
        }
        for (n, f) in self.faults.iter().enumerate().filter(|(_, f)| f.from <= slot && slot < f.to) {
            if self.touches(f, agent, aim, region.zip(zone)) && roll(10 + n as u64) % 1000 < f.rate {
                match f.harm {
                    Harm::Fails(died) => shot.outcome = Outcome::Down(died),
                    Harm::Slows if shot.outcome == Outcome::Up => shot.outcome = Outcome::Slow,
                    Harm::Nonsense => self.babble(&mut shot, roll(4)),
                    _ => {}
                }
            }
        }
        let told = shot.outcome.is_answer() || shot.outcome == Outcome::Down(Died::HttpStatus);
        if self.headers && told && shot.served.is_none() {
            shot.served = region.map(|r| (r, zone));
        }
        shot
    }

    fn babble(&self, shot: &mut Shot, roll: u64) {
        shot.outcome = match roll % 5 {
            0 => Outcome::Up,
            1 => Outcome::Slow,
            2 => Outcome::Unmeasured(Unmeasured::Overload),
            3 => Outcome::Down(Died::DnsTimeout),
            _ => Outcome::Down(Died::HttpStatus),
        };
        shot.served = Some(((roll >> 8) as usize % self.fleet.zones.len(), None));
        shot.attempt = (roll >> 20) as u8 % 3;
        shot.took = (roll >> 24) as i64 % 9_000_000;
    }

    /// The zone that answers: one that has been down for three slots gets no more requests.
    fn balanced(&self, region: usize, slot: i64, roll: u64) -> usize {
        let out = |z: &usize| {
            let down =
                |f: &Fault| f.scope == Scope::Zone(region, *z) && f.rate >= 500 && matches!(f.harm, Harm::Fails(_));
            self.at(slot).any(|f| down(f) && slot - f.from >= 3)
        };
        let zones: Vec<usize> = (0..self.fleet.zones[region]).filter(|z| !out(z)).collect();
        if zones.is_empty() { roll as usize % self.fleet.zones[region] } else { zones[roll as usize % zones.len()] }
    }

    fn touches(&self, f: &Fault, agent: usize, aim: Aim, place: Option<(usize, usize)>) -> bool {
        let own = place.is_some();
        match f.scope {
            Scope::Region(r) => place.is_some_and(|p| p.0 == r),
            Scope::Zone(r, z) => place == Some((r, z)),
            Scope::Everywhere => own,
            Scope::Entry => matches!(aim, Aim::Entry(_)),
            Scope::Endpoint(e, r) => match aim {
                Aim::Regional(x, _) | Aim::Zonal(x, ..) | Aim::Entry(x) => x == e && place.is_some_and(|p| p.0 == r),
                _ => false,
            },
            // The service suffers with its partner, in all regions alike.
            Scope::Partner(p) => own || aim == Aim::Partner(p),
            Scope::Control(c) => aim == Aim::Control(c),
            Scope::From(r, to) => {
                self.fleet.agents[agent].0 == r && to.is_none_or(|to| place.is_some_and(|p| p.0 == to))
            }
            Scope::Agent(a) => a == agent,
        }
    }
}

/// Shots as the judge takes them, told with some names.
pub struct Told {
    agents: Vec<uitwijk_model::AgentId>,
    targets: Vec<uitwijk_model::TargetId>,
    names: Names,
    start: i64,
}

impl Told {
    pub fn new(world: &World, names: &Names) -> Self {
        let targets = world.fleet.aims().into_iter().map(|aim| names.target(aim)).collect();
        Self { agents: names.agent.clone(), targets, names: names.clone(), start: world.start }
    }

    /// A moment, microseconds after the start.
    pub fn at(&self, us: i64) -> WallTime {
        WallTime::from_micros(self.start * 1_000_000 + us)
    }

    fn served(&self, shot: &Shot) -> Option<ServedBy> {
        shot.served.map(|(r, z)| ServedBy {
            region: self.names.region[r].clone(),
            zone: z.map(|z| self.names.zone[z].clone()),
        })
    }

    pub fn sample(&self, shot: &Shot) -> Sample {
        Sample {
            agent: self.agents[shot.agent].clone(),
            target: self.targets[shot.aim].clone(),
            slot: Slot(self.start + shot.slot),
            attempt: shot.attempt,
            started: self.at(shot.started),
            arrived: self.at(shot.arrived),
            outcome: shot.outcome,
            total: Some(Elapsed::from_micros(shot.took.cast_unsigned())),
            served: self.served(shot),
            clock_offset_us: shot.offset,
        }
    }

    pub fn measurement(&self, shot: &Shot) -> Measurement {
        Measurement {
            target: self.targets[shot.aim].clone(),
            slot: Slot(self.start + shot.slot),
            attempt: shot.attempt,
            scheduled: self.at(shot.slot * 1_000_000),
            started: self.at(shot.started),
            outcome: shot.outcome,
            total: Some(Elapsed::from_micros(shot.took.cast_unsigned())),
            phases: Phases::default(),
            http_status: None,
            served: self.served(shot),
            hops: Vec::new(),
            certificate_expires: None,
            observer: Observer { clock_offset_us: shot.offset, ..Observer::default() },
        }
    }
}
