//! What happens to those who watch?

use uitwijk_judge::Cause;
use uitwijk_model::{ControlId, Millis, Zone};

use super::{Draw, always, region, these, word};
use crate::format::{Controls, EffectKind, FaultPath, Scope};

impl Draw {
    /// Something with the observers of one region.
    pub(super) fn trouble(&mut self) {
        let blind = self.blind.clone();
        let zone = word(Zone::new(["1", "2", "3"][self.dice.below(3)]));
        let one = Scope { vantage_region: these(&blind), vantage_zones: vec![zone], ..Scope::default() };
        let side = Scope { vantage_region: these(&blind), ..Scope::default() };
        let collector = |scope: Scope| Scope { path: FaultPath::Collector, ..scope };
        let agent = |scope: Scope| Scope { path: FaultPath::Agent, ..scope };
        let when = self.stretch(120.0, 2700.0);
        let sick = Some(Cause::VantageFault);
        let all = EffectKind::Partition { replay: true, spread: Millis::from_secs(60) };
        match self.dice.below(14) {
            0 => self.push(when, one, always(all), sick),
            1 => {
                let p = self.dice.between(0.1, 0.9);
                self.push(when, one, always(EffectKind::Loss { p }), sick.filter(|_| p > 0.6));
            }
            2 => self.push(when, agent(one), always(EffectKind::Down { refused: false, rate: 1.0 }), None),
            3 => self.push(when, side, always(all), sick),
            4 => {
                let p = self.dice.between(0.1, 0.6);
                self.push(when, side, always(EffectKind::Loss { p }), None);
            }
            5 | 6 => {
                let target = these(&region(if self.dice.chance(0.5) { "NL" } else { "IE" }));
                let told = target == these(&self.s.active_region);
                let rate = if self.dice.chance(0.6) { 1.0 } else { self.dice.between(0.3, 1.0) };
                let scope = Scope { target_region: target, ..side };
                let told = told && rate > 0.6;
                self.push(
                    when,
                    scope,
                    always(EffectKind::Down { refused: false, rate }),
                    told.then_some(Cause::PathFault),
                );
            }
            7 => {
                let scope = Scope { global: true, ..side };
                self.push(when, scope, always(EffectKind::Down { refused: false, rate: 1.0 }), None);
            }
            8 => {
                let (replay, spread) = (self.dice.chance(0.7), Millis::from_secs(120));
                self.push(when, collector(side), always(EffectKind::Partition { replay, spread }), None);
            }
            9 => {
                let (add, jitter) = (self.seconds(5.0, 200.0), self.seconds(0.0, 60.0));
                self.push(when, collector(side), always(EffectKind::Delay { add, jitter }), None);
            }
            10 => self.push(
                when,
                collector(Scope::default()),
                always(EffectKind::Duplicate { copies: 2, every: Millis::from_secs(20), p: 0.5 }),
                None,
            ),
            11 => {
                let offset_ms =
                    if self.dice.chance(0.5) { 1 } else { -1 } * i64::try_from(self.seconds(2.0, 120.0).0).unwrap_or(0);
                let whole = (Millis(0), self.s.duration);
                self.push(whole, agent(one), always(EffectKind::Skew { offset_ms }), None);
            }
            12 => {
                let kind = self.failure(1.0);
                // All of them only when nothing else fails: then nobody could tell the world from the observers.
                let one = Controls::These([word(ControlId::new("ctl-b"))].into());
                let control = Some(if self.quiet { Controls::All } else { one });
                let scope = Scope { control, ..Scope::default() };
                self.push(when, scope, always(kind), None);
            }
            _ => {
                let add_ms = self.dice.between(500.0, 3000.0);
                self.push(when, one, always(EffectKind::Slow { add_ms, rate: 1.0 }), None);
            }
        }
    }
}
