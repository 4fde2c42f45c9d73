//! Does what the file says make sense as a whole?
//!
//! Every value fits its type by now. Here names must lead somewhere, numbers must not contradict each other, and what was left out
//! gets its default. What cannot be built because of an earlier mistake is passed over in silence: that mistake has been told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Mistake;
use super::check::Checked;
use super::path::Path;
use super::raw::{RawEndpoint, RawPlan};
use super::tree::Mark;
use super::{build_fleet, build_policy, build_window};
use crate::id::{PartnerId, Region, ServiceId, Zone};
use crate::plan::{Plan, PolicyOverrides};
use crate::time::{Millis, SlotLength};

/// The most targets of a plan.
pub(super) const TARGETS_MAX: usize = 100_000;
/// Length of a slot where the plan does not say.
const SLOT: Millis = Millis::from_secs(10);
const TIME_ZONE: &str = "Europe/Amsterdam";

/// What the parts of a plan are checked against.
pub(super) struct Context {
    marks: BTreeMap<String, Mark>,
    pub(super) mistakes: Vec<Mistake>,
    /// Keys at which the earlier steps found a mistake.
    told: Vec<String>,
    /// The first parts of those keys: names that are missing there may have been meant well.
    doubtful: BTreeSet<String>,
    pub(super) slot: SlotLength,
    pub(super) time_zone: TimeZone,
    pub(super) regions: BTreeMap<Region, BTreeSet<Zone>>,
    pub(super) services: BTreeSet<ServiceId>,
    pub(super) partners: BTreeSet<PartnerId>,
}

impl Context {
    /// Tells a mistake at a path, or at the nearest place above it that the file has.
    pub(super) fn tell(&mut self, path: &Path, message: impl Into<String>) {
        let mark = self.mark_of(path.as_str());
        self.mistakes.push(path.mistake(mark, message));
    }

    /// Whether an earlier step found a mistake at or below one of these paths; what is missing there was left out for it.
    pub(super) fn told_within<'a>(&self, mut paths: impl Iterator<Item = &'a Path>) -> bool {
        paths.any(|path| self.told.iter().any(|key| key.starts_with(path.as_str())))
    }

    /// Whether names that a part declares may be missing only because of a mistake there.
    pub(super) fn is_doubtful(&self, part: &str) -> bool {
        self.doubtful.contains(part)
    }

    /// Whether the file has this path.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.marks.contains_key(path.as_str())
    }

    fn mark_of(&self, mut path: &str) -> Mark {
        loop {
            if let Some(mark) = self.marks.get(path) {
                return *mark;
            }
            path = path.rfind(['.', '[']).map_or("", |end| &path[..end]);
            if path.is_empty() {
                return self.marks.get("").copied().unwrap_or(Mark { line: 1, column: 1 });
            }
        }
    }

    /// The region exists; told when it does not.
    pub(super) fn region(&mut self, region: &Region, path: &Path) -> bool {
        let known = self.regions.contains_key(region);
        self.known(known, "region", region, "regions", path)
    }

    /// The zone exists in the region; told when it does not.
    pub(super) fn zone(&mut self, region: &Region, zone: &Zone, path: &Path) -> bool {
        let Some(zones) = self.regions.get(region) else { return self.region(region, path) };
        if zones.contains(zone) || self.doubtful.contains("regions") {
            return true;
        }
        let list: Vec<_> = zones.iter().map(Zone::as_str).collect();
        let message = format!("region {region} has no zone {zone}, it has {}", list.join(", "));
        self.tell(path, message);
        false
    }

    pub(super) fn partner(&mut self, partner: &PartnerId, path: &Path) -> bool {
        let known = self.partners.contains(partner);
        self.known(known, "partner", partner, "partners", path)
    }

    pub(super) fn service(&mut self, service: &ServiceId, path: &Path) -> bool {
        let known = self.services.contains(service);
        self.known(known, "service", service, "services", path)
    }

    fn known(&mut self, known: bool, what: &str, name: impl std::fmt::Display, declared: &str, path: &Path) -> bool {
        if !known && !self.doubtful.contains(declared) {
            self.tell(path, format!("{what} {name} does not exist; declare it under {declared}, or name another"));
        }
        known
    }
}

/// Makes the plan, or tells every mistake.
pub(super) fn build(checked: Checked) -> Result<Plan, Vec<Mistake>> {
    let Checked { value, marks, mistakes } = checked;
    let raw = match serde_json::from_value::<RawPlan>(value) {
        Ok(raw) => raw,
        Err(error) => {
            // The check lets nothing through that serde refuses; should it, a plan is refused rather than half read.
            let mut mistakes = mistakes;
            mistakes.push(Path::root().mistake(Mark { line: 1, column: 1 }, format!("cannot be read: {error}")));
            return Err(mistakes);
        }
    };
    let mut context = context(&raw, marks, mistakes);
    let plan = plan(&raw, &mut context);
    match plan {
        Some(plan) if context.mistakes.is_empty() => Ok(plan),
        _ => Err(context.mistakes),
    }
}

/// Makes what is laid over the policies of a plan, or tells every mistake.
pub(super) fn build_policy(checked: Checked, plan: &Plan) -> Result<PolicyOverrides, Vec<Mistake>> {
    let Checked { value, marks, mistakes } = checked;
    let mut context = Context { slot: plan.slot, ..context(&RawPlan::default(), marks, mistakes) };
    let own = plan.services.iter().filter_map(|(id, service)| service.policy.as_ref().map(|policy| (id, policy)));
    let overrides = build_policy::overrides(&value, &Path::root(), (&plan.policy, own), &mut context);
    match overrides {
        Some(overrides) if context.mistakes.is_empty() => Ok(overrides),
        _ => Err(context.mistakes),
    }
}

fn context(raw: &RawPlan, marks: BTreeMap<String, Mark>, mistakes: Vec<Mistake>) -> Context {
    let part = |key: &str| key.split(['.', '[']).next().unwrap_or_default().to_owned();
    let zone = raw.time_zone.as_deref().unwrap_or(TIME_ZONE);
    let named = raw.regions.iter().flat_map(|r| &r.0);
    Context {
        doubtful: mistakes.iter().map(|m| part(&m.key)).collect(),
        told: mistakes.iter().map(|m| m.key.clone()).collect(),
        marks,
        mistakes,
        slot: raw.slot.or_else(|| SlotLength::new(SLOT).ok()).unwrap_or_else(|| unreachable!("ten seconds is a slot")),
        time_zone: TimeZoneDatabase::bundled().get(zone).unwrap_or(TimeZone::UTC),
        regions: named.map(|(region, zones)| (region.clone(), zones.0.clone())).collect(),
        services: raw.services.iter().flat_map(|s| s.0.keys()).cloned().collect(),
        partners: raw.partners.0.keys().cloned().collect(),
    }
}

fn plan(raw: &RawPlan, context: &mut Context) -> Option<Plan> {
    if !within_size(raw, context) {
        return None;
    }
    let policy = build_policy::plan_policy(&raw.policy, context).unwrap_or_default();
    let agents = build_fleet::agents(raw, context);
    let services = build_fleet::services(raw, context);
    let shadow = build_policy::shadows(&raw.shadow.0, &policy, &services, context);
    let partners = build_fleet::partners(raw, context);
    let controls = build_fleet::controls(raw, context);
    let windows = build_window::windows(raw, context);
    Some(Plan {
        name: raw.name.clone()?,
        revision: raw.revision?,
        slot: context.slot,
        regions: context.regions.clone(),
        agents,
        services,
        partners,
        controls,
        policy,
        shadow,
        windows,
    })
}

/// Counted before anything is built of them.
fn within_size(raw: &RawPlan, context: &mut Context) -> bool {
    let endpoints =
        raw.services.iter().flat_map(|s| s.0.values()).flat_map(|s| s.endpoints.iter().flat_map(|e| e.0.values()));
    let of_endpoint = |e: &RawEndpoint| {
        e.regional.0.len() + e.zonal.0.values().map(|z| z.0.len()).sum::<usize>() + usize::from(e.global.is_some())
    };
    let targets = endpoints.map(of_endpoint).sum::<usize>() + raw.partners.0.len() + raw.controls.0.len();
    if targets > TARGETS_MAX {
        context.tell(&Path::root().join("services"), format!("makes {targets} targets, allowed are {TARGETS_MAX}"));
    }
    targets <= TARGETS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ControlId;

    #[test]
    fn more_targets_than_allowed_are_refused() {
        let mut raw = RawPlan::default();
        for (extra, refused) in [(0, false), (1, true)] {
            let names = (0..TARGETS_MAX + extra).map(|i| ControlId::new(format!("c{i}")).unwrap());
            raw.controls.0 = names.map(|name| (name, Default::default())).collect();
            let mut context = context(&raw, BTreeMap::new(), Vec::new());
            assert_eq!(within_size(&raw, &mut context), !refused);
            let told = context.mistakes.iter().map(ToString::to_string).collect::<String>();
            let expected = "line 1: services: makes 100001 targets, allowed are 100000";
            assert_eq!(told, if refused { expected } else { "" });
        }
    }
}
