//! Which regions, zones and partners does a scenario speak of?
//!
//! There are two regions of three zones; a scenario that names more has more.

use std::collections::BTreeSet;

use uitwijk_model::{AgentId, ControlId, PartnerId, Region, Vantage, Zone};

use crate::format::{Controls, Regions, Scenario, Scope};

/// Regions and zones that are always there.
const REGIONS: [&str; 2] = ["NL", "IE"];
const ZONES: [&str; 3] = ["1", "2", "3"];
/// Controls that are always there.
const CONTROLS: [&str; 3] = ["ctl-a", "ctl-b", "ctl-c"];

/// The regions with their zones, the usual ones first, then others by name.
pub(crate) fn regions(s: &Scenario) -> Vec<(Region, Vec<Zone>)> {
    let mut all: Vec<(Region, BTreeSet<Zone>)> = Vec::new();
    let usual = REGIONS.iter().map(|name| word(Region::new(name)));
    let mut named = BTreeSet::from([s.active_region.clone()]);
    named.extend(s.failovers.iter().flat_map(|f| [f.from.clone(), f.to.clone()]));
    for given in scopes(s).flat_map(|scope| [&scope.target_region, &scope.vantage_region]).flatten() {
        if let Regions::These(regions) = given {
            named.extend(regions.iter().cloned());
        }
    }
    for region in usual.chain(named) {
        if all.iter().all(|(known, _)| *known != region) {
            all.push((region, ZONES.iter().map(|z| word(Zone::new(z))).collect()));
        }
    }
    for scope in scopes(s) {
        for (given, zones) in
            [(&scope.target_region, &scope.target_zones), (&scope.vantage_region, &scope.vantage_zones)]
        {
            let here = |region: &Region| given.as_ref().is_none_or(|regions| regions.has(region));
            for (_, known) in all.iter_mut().filter(|(region, _)| here(region)) {
                known.extend(zones.iter().cloned());
            }
        }
    }
    all.into_iter().map(|(region, zones)| (region, zones.into_iter().collect())).collect()
}

/// The agents, one per zone, in the order in which they probe.
pub(crate) fn agents(s: &Scenario) -> Vec<(AgentId, Vantage)> {
    let place = |(region, zones): (Region, Vec<Zone>)| {
        zones.into_iter().map(move |zone| Vantage { region: region.clone(), zone })
    };
    let named = |vantage: Vantage| {
        let name = format!("{}-{}", vantage.region, vantage.zone).to_lowercase();
        (word(AgentId::new(name)), vantage)
    };
    regions(s).into_iter().flat_map(place).map(named).collect()
}

/// The partners that services depend on, in the order of the scenario.
pub(crate) fn partners(s: &Scenario) -> Vec<PartnerId> {
    let mut all: Vec<PartnerId> = Vec::new();
    for partner in s.services.iter().flat_map(|spec| &spec.chain) {
        if !all.contains(partner) {
            all.push(partner.clone());
        }
    }
    all
}

/// The controls, the usual ones first.
pub(crate) fn controls(s: &Scenario) -> Vec<ControlId> {
    let mut all: Vec<ControlId> = CONTROLS.iter().map(|name| word(ControlId::new(name))).collect();
    for scope in scopes(s) {
        if let Some(Controls::These(named)) = &scope.control {
            let new: Vec<_> = named.iter().filter(|c| !all.contains(c)).cloned().collect();
            all.extend(new);
        }
    }
    all
}

fn scopes(s: &Scenario) -> impl Iterator<Item = &Scope> {
    s.faults.iter().map(|f| &f.scope).chain(s.maintenance.iter().map(|m| &m.scope))
}

/// A name that is made of names.
fn word<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.expect("regions and zones are words of at most 32 characters")
}
