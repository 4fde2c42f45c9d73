//! What happens to what is watched?
//!
//! Every class of fault: a region that fails, in part or as a whole, or is slow; all regions; a zone, taken out of the balance
//! or not; the entry; a partner; a few requests in a hundred; a direct name; one endpoint.

use uitwijk_judge::Cause;
use uitwijk_model::{Millis, PartnerId, ServiceId, Zone};

use super::{Draw, Thing, always, these, word};
use crate::format::{Cycle, Effect, EffectKind, Fault, Regions, Scope};

impl Draw {
    fn one_service(&mut self) -> Option<ServiceId> {
        let second = self.s.services.get(1)?;
        let id = if self.dice.chance(0.5) { self.s.services[0].id.clone() } else { second.id.clone() };
        self.dice.chance(0.4).then_some(id)
    }

    /// How requests fail.
    pub(super) fn failure(&mut self, rate: f64) -> EffectKind {
        match self.dice.below(7) {
            0 => EffectKind::Down { refused: true, rate },
            1 | 2 => EffectKind::Down { refused: false, rate },
            3 => EffectKind::TlsExpired { rate },
            4 => EffectKind::WrongBody { rate },
            5 => EffectKind::Dns { rate },
            _ => EffectKind::Error { rate, status: 503 },
        }
    }

    /// On and off, now and then; growing, now and then.
    pub(super) fn shaped(&mut self, kind: EffectKind) -> Effect {
        let mut effect = always(kind);
        if self.dice.chance(0.12) {
            effect.cycle = Some(Cycle { on: self.seconds(20.0, 300.0), off: self.seconds(20.0, 300.0) });
        } else if self.dice.chance(0.08) {
            effect.ramp = true;
        }
        effect
    }

    pub(super) fn push(&mut self, (from, to): (Millis, Millis), scope: Scope, effect: Effect, told: Option<Cause>) {
        let service = scope.services.first().cloned();
        // What is short, or comes and goes, may be told or not.
        let plain = to.0 - from.0 >= 600_000 && effect.cycle.is_none() && !effect.ramp;
        self.things.push(Thing { from, to, service, told: told.filter(|_| plain) });
        self.s.faults.push(Fault { from, to, scope, effect });
    }

    pub(super) fn fault(&mut self) {
        match self.dice.below(24) {
            0..=5 => self.region_fails(),
            6..=8 => self.region_fails_in_part(),
            9..=11 => self.region_is_slow(),
            12..=13 => self.all_regions(),
            14..=16 => self.zone(),
            17..=18 => self.entry(),
            19..=20 => self.partner(),
            21 => self.minor(),
            22 => self.direct(),
            _ => self.one_endpoint(),
        }
    }

    fn in_region(&mut self) -> (Scope, Option<Cause>) {
        let side = self.side();
        let standby = side != self.s.active_region;
        let services = self.one_service().into_iter().collect();
        (Scope { target_region: these(&side), services, ..Scope::default() }, standby.then_some(Cause::StandbyDown))
    }

    fn region_fails(&mut self) {
        let rate = if self.dice.chance(0.6) { 1.0 } else { self.dice.between(0.6, 1.0) };
        let (when, kind) = (self.hard_stretch(), self.failure(rate));
        let (scope, told) = self.in_region();
        let effect = self.shaped(kind);
        self.push(when, scope, effect, told);
    }

    fn region_fails_in_part(&mut self) {
        let rate = self.dice.between(0.1, 0.55);
        let (when, kind) = (self.stretch(120.0, 2400.0), self.failure(rate));
        let (scope, told) = self.in_region();
        let effect = self.shaped(kind);
        self.push(when, scope, effect, told.filter(|_| rate > 0.2));
    }

    fn region_is_slow(&mut self) {
        let rate = if self.dice.chance(0.5) { 1.0 } else { self.dice.between(0.1, 1.0) };
        let add_ms =
            if self.dice.chance(0.7) { self.dice.between(2000.0, 3500.0) } else { self.dice.between(5500.0, 6500.0) };
        let when = self.stretch(300.0, 2700.0);
        let (scope, _) = self.in_region();
        self.push(when, scope, always(EffectKind::Slow { add_ms, rate }), None);
    }

    fn all_regions(&mut self) {
        let rate = self.dice.between(0.2, 1.0);
        let (when, kind) = (self.hard_stretch(), self.failure(rate));
        let scope = Scope {
            target_region: Some(Regions::All),
            services: self.one_service().into_iter().collect(),
            ..Scope::default()
        };
        self.push(when, scope, always(kind), None);
    }

    fn zone(&mut self) {
        let side = self.side();
        let zones = 1 + usize::from(self.dice.chance(0.25));
        let target_zones = ["1", "2", "3"].into_iter().take(zones).map(|z| word(Zone::new(z))).collect();
        let rate = if self.dice.chance(0.7) { 1.0 } else { self.dice.between(0.3, 1.0) };
        let (when, kind) = (self.stretch(200.0, 2400.0), self.failure(rate));
        let drained = self.dice.chance(0.75);
        let effect = Effect { drain: drained.then_some(Millis::from_secs(30)), ..always(kind) };
        let scope = Scope { target_region: these(&side), target_zones, ..Scope::default() };
        let told = drained && rate > 0.7 && zones == 1 && side == self.s.active_region;
        self.push(when, scope, effect, told.then_some(Cause::ZoneAbsorbed));
    }

    fn entry(&mut self) {
        let rate = if self.dice.chance(0.6) { self.dice.between(0.6, 1.0) } else { self.dice.between(0.1, 0.6) };
        let (when, kind) = (self.hard_stretch(), self.failure(rate));
        let scope = Scope { global: true, services: self.one_service().into_iter().collect(), ..Scope::default() };
        self.push(when, scope, always(kind), None);
    }

    fn partner(&mut self) {
        let rate = self.dice.between(0.3, 1.0);
        let hurts = self.dice.chance(0.7);
        let when = self.stretch(200.0, 2400.0);
        let effect = Effect {
            service_impact: if hurts { rate } else { 0.0 },
            ..always(EffectKind::Error { rate, status: 503 })
        };
        let scope = Scope { chain_partners: vec![word(PartnerId::new("idp"))], ..Scope::default() };
        self.push(when, scope, effect, None);
    }

    fn minor(&mut self) {
        let rate = self.dice.between(0.01, 0.05);
        let (when, kind) = (self.stretch(600.0, 2700.0), self.failure(rate));
        let (scope, _) = self.in_region();
        self.push(when, scope, always(kind), None);
    }

    fn direct(&mut self) {
        let (when, kind) = (self.stretch(600.0, 2400.0), self.failure(1.0));
        let scope = Scope { target_region: these(&self.s.active_region.clone()), regional: true, ..Scope::default() };
        self.push(when, scope, always(kind), Some(Cause::DiagnosticOnly));
    }

    fn one_endpoint(&mut self) {
        let spec = &self.s.services[0];
        let which = spec.endpoints[self.dice.below(spec.endpoints.len())].name.clone();
        let (services, endpoints) = (vec![spec.id.clone()], vec![which]);
        let (when, kind) = (self.hard_stretch(), self.failure(1.0));
        let side = self.side();
        let scope = Scope { target_region: these(&side), services, endpoints, ..Scope::default() };
        self.push(when, scope, always(kind), None);
    }
}
