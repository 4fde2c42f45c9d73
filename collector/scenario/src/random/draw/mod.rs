//! What happens?
//!
//! Faults of what is watched may be anywhere and overlap. Troubles of the observers stay with the vantages of one region per
//! world, so that half of the fleet always sees well: with both sides blind in turns no answer would be right.

mod faults;
mod troubles;

use uitwijk_judge::Cause;
use uitwijk_model::{EndpointName, Millis, PartnerId, Region, ServiceClass, ServiceId, WindowKind};

use crate::format::{
    Effect, EffectKind, EndpointSpec, Failover, Maintenance, Regions, START, Scenario, Scope, ServiceSpec,
};
use crate::world::Dice;

/// A world before anybody labelled it.
pub(super) struct Drawn {
    pub(super) scenario: Scenario,
    pub(super) things: Vec<Thing>,
}

/// Something that happens, and what should be said of it when nobody is hurt and nothing else happens.
pub(super) struct Thing {
    pub(super) from: Millis,
    pub(super) to: Millis,
    /// Only this service.
    pub(super) service: Option<ServiceId>,
    /// The cause to be told; absent where several would do.
    pub(super) told: Option<Cause>,
}

struct Draw {
    dice: Dice,
    s: Scenario,
    things: Vec<Thing>,
    /// The region whose vantages may be in trouble.
    blind: Region,
    quiet: bool,
}

/// Draws a world.
pub(super) fn world(seed: u64, quiet: bool) -> Drawn {
    let mut dice = Dice::of(&[seed, u64::from(quiet), 0x7261_6e64]);
    let duration = Millis::from_secs(4800 + 10 * dice.below(240) as u64);
    let regions = ["NL", "IE"].map(region);
    let active_region = regions[usize::from(dice.chance(0.3))].clone();
    let blind = regions[usize::from(dice.chance(0.5))].clone();
    let services = services(&mut dice);
    let name = if quiet { "quiet" } else { "random" };
    let s = Scenario {
        id: format!("{name}-{seed}"),
        title: String::new(),
        source: "drawn".to_owned(),
        why: String::new(),
        duration,
        start: START,
        active_region,
        services,
        faults: Vec::new(),
        failovers: Vec::new(),
        maintenance: Vec::new(),
        expect: Vec::new(),
    };
    let mut draw = Draw { dice, s, things: Vec::new(), blind, quiet };
    if !quiet {
        for _ in 0..[0, 1, 1, 1, 1, 2, 2, 2, 3, 3][draw.dice.below(10)] {
            draw.fault();
        }
        draw.failovers();
        draw.maintenance();
    }
    for _ in 0..if quiet { 1 + draw.dice.below(3) } else { [0, 0, 1, 1, 2][draw.dice.below(5)] } {
        draw.trouble();
    }
    Drawn { scenario: draw.s, things: draw.things }
}

fn services(dice: &mut Dice) -> Vec<ServiceSpec> {
    let spec = |id: &str, class: ServiceClass, endpoints, chain| ServiceSpec {
        id: word(ServiceId::new(id)),
        class,
        objective: class.objective(),
        endpoints,
        chain,
    };
    let idp = word(PartnerId::new("idp"));
    let mut services = vec![spec("exchange", ServiceClass::Webservice, endpoints(dice), vec![idp])];
    if dice.chance(0.3) {
        services.push(spec("portal", ServiceClass::Website, vec![endpoint("default", 1.0, false)], Vec::new()));
    }
    services
}

fn endpoint(name: &str, weight: f64, critical: bool) -> EndpointSpec {
    EndpointSpec { name: word(EndpointName::new(name)), weight, critical }
}

fn endpoints(dice: &mut Dice) -> Vec<EndpointSpec> {
    match dice.below(10) {
        0 => vec![endpoint("pay", 1.0, true), endpoint("search", 4.0, false), endpoint("admin", 5.0, false)],
        1 => vec![endpoint("read", 6.0, false), endpoint("write", 4.0, false)],
        2 => ["a", "b", "c", "d"].map(|name| endpoint(name, 1.0, false)).to_vec(),
        _ => vec![endpoint("default", 1.0, false)],
    }
}

fn region(name: &str) -> Region {
    word(Region::new(name))
}

/// A name that is written in this file.
fn word<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.expect("a word is a name")
}

fn these(region: &Region) -> Option<Regions> {
    Some(Regions::These([region.clone()].into()))
}

const fn always(kind: EffectKind) -> Effect {
    Effect { kind, ramp: false, cycle: None, drain: Some(Millis::from_secs(30)), service_impact: 0.0 }
}

impl Draw {
    fn seconds(&mut self, from: f64, to: f64) -> Millis {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lengths of a scenario")]
        Millis(self.dice.between(from, to).round() as u64 * 1000)
    }

    /// A stretch of so many seconds, ten minutes or more after the start, and mostly well before the end.
    fn stretch(&mut self, shortest: f64, longest: f64) -> (Millis, Millis) {
        let from = self.seconds(600.0, 3000.0);
        let length = self.seconds(shortest, longest);
        (from, Millis((from.0 + length.0).min(self.s.duration.0)))
    }

    /// Short, or long.
    fn hard_stretch(&mut self) -> (Millis, Millis) {
        if self.dice.chance(0.3) { self.stretch(20.0, 170.0) } else { self.stretch(190.0, 2400.0) }
    }

    fn side(&mut self) -> Region {
        let other = if self.s.active_region.as_str() == "NL" { "IE" } else { "NL" };
        if self.dice.chance(0.7) { self.s.active_region.clone() } else { region(other) }
    }

    /// One in the middle of something, or anywhere, and sometimes back.
    fn failovers(&mut self) {
        if !self.dice.chance(0.45) {
            return;
        }
        let other = region(if self.s.active_region.as_str() == "NL" { "IE" } else { "NL" });
        let (from, to) = (self.s.active_region.clone(), other);
        let at = match self.s.faults.first() {
            Some(f) if self.dice.chance(0.7) => {
                let (a, b) = (f.from.0, f.to.0);
                Millis(a + self.seconds(60.0, 1500.0).0.min((b - a).max(60_000)))
            }
            _ => self.seconds(600.0, 3600.0),
        };
        let ttl = Millis::from_secs(60);
        self.s.failovers.push(Failover { at, from: from.clone(), to: to.clone(), ttl });
        if self.dice.chance(0.25) {
            let back = Millis(at.0 + self.seconds(600.0, 1800.0).0);
            if back.0 + 300_000 < self.s.duration.0 {
                self.s.failovers.push(Failover { at: back, from: to, to: from, ttl });
            }
        }
    }

    fn maintenance(&mut self) {
        if !self.dice.chance(0.2) {
            return;
        }
        let (from, to) = match self.s.faults.first().map(|f| (f.from, f.to)) {
            // Around a fault, or a part of it.
            Some((from, to)) if self.dice.chance(0.7) => {
                let lead = self.seconds(0.0, 600.0).0;
                let over = self.seconds(0.0, 600.0).0;
                let to =
                    if self.dice.chance(0.7) { to.0 + over } else { to.0.saturating_sub(over).max(from.0 + 60_000) };
                (Millis(from.0.saturating_sub(lead)), Millis(to))
            }
            _ => self.stretch(600.0, 2400.0),
        };
        let (kind, notice) = match self.dice.below(6) {
            0 => (WindowKind::Emergency, 0),
            1 => (WindowKind::ForceMajeure, 0),
            2 => (WindowKind::Agreed, 0),
            3 => (WindowKind::Planned, 5),
            _ => (WindowKind::Planned, 12),
        };
        let scope = match self.dice.below(3) {
            0 => Scope::default(),
            _ => Scope { target_region: these(&self.side()), ..Scope::default() },
        };
        self.things.push(Thing { from, to, service: None, told: None });
        self.s.maintenance.push(Maintenance { from, to, kind, notice: Some(notice), scope });
    }
}
