//! What share of the requests fails, and what share is slow, at every moment?
//!
//! Expected shares of a user anywhere, without the ordinary noise: all faults that touch a request as they touch it, averaged
//! over the zones that the balancer uses. What only some agents see touches no user.

use uitwijk_model::{Region, Zone};

use crate::format::{EffectKind, EndpointSpec, Fault, Scenario, ServiceSpec};
use crate::places;
use crate::world::{Aim, Balance, Request, drags, fails, strength, touches};

/// Seconds from one moment to the next.
pub(super) const STEP_S: usize = 5;
/// A quiet answer takes about so long.
const TYPICAL_MS: f64 = 450.0;

/// Shares of the requests to one place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Shares {
    /// Fail.
    pub(super) failing: f64,
    /// Take longer than the objective.
    pub(super) slow: f64,
    /// Fail because a partner does.
    pub(super) partner: f64,
}

/// One endpoint at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment {
    /// The public name as it is served by each region.
    pub(super) public: Vec<Shares>,
    /// Each region, directly.
    pub(super) regions: Vec<Shares>,
    /// Failures of the shared entry alone.
    pub(super) entry: f64,
}

/// Every endpoint of a service at every moment: `truth[endpoint][step]`.
pub(super) fn truth(s: &Scenario, spec: &ServiceSpec, regions: &[Region]) -> Vec<Vec<Moment>> {
    let zones = places::regions(s);
    let end = i64::try_from(s.duration.0).unwrap_or(i64::MAX);
    let endpoint = |e: &EndpointSpec| {
        let public = Aim::Global(spec.id.clone(), e.name.clone());
        let place = |aim: &Aim, region: &Region| {
            let own = zones.iter().find(|(r, _)| r == region).map_or(&[][..], |(_, zones)| zones.as_slice());
            Place::of(s, spec, aim, region, own, end)
        };
        let direct = |r: &Region| place(&Aim::Regional(spec.id.clone(), e.name.clone(), r.clone()), r);
        let through: Vec<Place<'_>> = regions.iter().map(|r| place(&public, r)).collect();
        let direct: Vec<Place<'_>> = regions.iter().map(direct).collect();
        let entry: Vec<&Fault> = s.faults.iter().filter(|f| is_entry(f) && touches(f, &any(&public))).collect();
        let moment = |step: usize| {
            let at = i64::try_from(step * STEP_S * 1000).unwrap_or(i64::MAX);
            Moment {
                public: through.iter().map(|p| p.shares(at)).collect(),
                regions: direct.iter().map(|p| p.shares(at)).collect(),
                entry: failing(&entry, at),
            }
        };
        (0..usize::try_from(s.duration.0 / 1000).unwrap_or(0) / STEP_S).map(moment).collect()
    };
    spec.endpoints.iter().map(endpoint).collect()
}

fn any(aim: &Aim) -> Request<'_> {
    Request { from: None, aim, region: None, zone: None }
}

fn is_entry(f: &Fault) -> bool {
    f.scope.global && f.scope.target_region.is_none()
}

fn failing(faults: &[&Fault], at: i64) -> f64 {
    1.0 - faults.iter().map(|f| 1.0 - fails(&f.effect.kind) * strength(f, at)).product::<f64>()
}

/// Where requests land, with the faults that wait for them there, zone by zone.
struct Place<'a> {
    balance: Balance,
    zones: Vec<(Zone, Vec<&'a Fault>)>,
    dragging: Vec<&'a Fault>,
    objective_ms: f64,
}

impl<'a> Place<'a> {
    fn of(s: &'a Scenario, spec: &ServiceSpec, aim: &Aim, region: &Region, zones: &[Zone], end: i64) -> Self {
        let anywhere = Request { from: None, aim, region: Some(region), zone: None };
        let mine = |zone: &Zone| {
            let here = Request { zone: Some(zone), ..anywhere };
            (zone.clone(), s.faults.iter().filter(|f| touches(f, &here)).collect())
        };
        #[expect(clippy::cast_precision_loss, reason = "an objective is small")]
        let objective_ms = spec.objective.0 as f64;
        Self {
            balance: Balance::of(s, aim, region, zones, end),
            zones: zones.iter().map(mine).collect(),
            dragging: s.faults.iter().filter(|f| drags(f, &spec.chain, &anywhere)).collect(),
            objective_ms,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are few zones")]
    fn shares(&self, at: i64) -> Shares {
        let used = self.balance.zones(at);
        let mut sum = Shares::default();
        for (_, faults) in self.zones.iter().filter(|(zone, _)| used.contains(&zone)) {
            sum.failing += failing(faults, at);
            sum.slow += self.slow(faults, at);
        }
        let n = used.len().max(1) as f64;
        let partner = self.dragging.iter().map(|f| 1.0 - f.effect.service_impact * strength(f, at)).product::<f64>();
        let failing = 1.0 - (1.0 - sum.failing / n) * partner;
        Shares { failing, slow: sum.slow / n, partner: 1.0 - partner }
    }

    fn slow(&self, faults: &[&Fault], at: i64) -> f64 {
        let over = |f: &&&Fault| match f.effect.kind {
            EffectKind::Slow { add_ms, .. } => TYPICAL_MS + add_ms * strength(f, at) > self.objective_ms,
            _ => false,
        };
        let rate = |f: &&Fault| if let EffectKind::Slow { rate, .. } = f.effect.kind { 1.0 - rate } else { 1.0 };
        1.0 - faults.iter().filter(over).map(rate).product::<f64>()
    }
}
