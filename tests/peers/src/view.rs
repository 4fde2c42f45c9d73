//! What do the rules get to see of a service, and when?
//!
//! Live, results come in order of arrival; one that arrives more than 300 s after it was scheduled is refused. In the final
//! track all results are known at the time they are about. Repeats are removed in both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uitwijk_model::{AgentId, Plan, Region, ServiceId, TargetId, TargetKind, Window, WindowKind};
use uitwijk_replay::{Record, Track, Word};

use crate::rule::{Micros, Seen, secs};

/// A later one is refused live.
const LATE_MAX: Micros = secs(300);

/// Where a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Region(usize),
    Public,
}

/// A result of the service, and when it became known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) known: Micros,
    pub(crate) endpoint: usize,
    pub(crate) side: Side,
    pub(crate) seen: Seen,
    /// The region that answered, if the answer told.
    pub(crate) served: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct EndpointInfo {
    pub(crate) weight: u64,
    pub(crate) critical: bool,
}

/// An announced window that excuses something of the service.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    from: Micros,
    to: Micros,
    regions: BTreeSet<usize>,
}

impl Announced {
    /// Whether it is open for a region.
    pub(crate) fn covers(&self, at: Micros, region: usize) -> bool {
        self.from <= at && at < self.to && (self.regions.is_empty() || self.regions.contains(&region))
    }
}

/// One service and its results, as the rules see them.
#[derive(Debug)]
pub struct View {
    pub(crate) agents: Vec<AgentId>,
    pub(crate) regions: usize,
    pub(crate) endpoints: Vec<EndpointInfo>,
    pub(crate) active: usize,
    pub(crate) windows: Vec<Announced>,
    live: Vec<Known>,
    settled: Vec<Known>,
}

impl View {
    /// Looks at a service; nothing when the plan does not have it. Records are in order of arrival.
    #[must_use]
    pub fn new(plan: &Plan, service: &ServiceId, records: &[Record]) -> Option<Self> {
        let described = plan.services.get(service)?;
        let agents: Vec<AgentId> = plan.agents.keys().cloned().collect();
        let regions: Vec<&Region> = plan.regions.keys().collect();
        let region_ix = |region: &Region| regions.binary_search(&region).ok();
        let weigh =
            |e: &uitwijk_model::plan::Endpoint| EndpointInfo { weight: u64::from(e.weight), critical: e.critical };
        let known = Reading { agents: &agents, region_ix: &region_ix, targets: targets(plan, service, &region_ix) };
        let all = known.all(records);
        let mut live: Vec<Known> = all.iter().filter(|k| k.known - k.seen.at <= LATE_MAX).copied().collect();
        live.sort_by_key(|k| k.known);
        let mut settled: Vec<Known> = all.into_iter().map(|k| Known { known: k.seen.at, ..k }).collect();
        settled.sort_by_key(|k| (k.known, k.seen.vantage, k.endpoint, k.side));
        let windows = plan.windows.iter().filter(|w| excuses(w, plan, service));
        Some(Self {
            windows: windows.map(|w| announced(w, &region_ix)).collect(),
            active: region_ix(&described.active_region)?,
            regions: regions.len(),
            endpoints: described.endpoints.values().map(weigh).collect(),
            agents,
            live,
            settled,
        })
    }

    pub(crate) fn feed(&self, track: Track) -> &[Known] {
        match track {
            Track::Live => &self.live,
            Track::Final => &self.settled,
        }
    }
}

fn targets(
    plan: &Plan,
    service: &ServiceId,
    region_ix: &dyn Fn(&Region) -> Option<usize>,
) -> BTreeMap<TargetId, (usize, Side)> {
    let mut targets = BTreeMap::new();
    let endpoints = plan.services.get(service).into_iter().flat_map(|s| &s.endpoints).enumerate();
    for (e, (endpoint, described)) in endpoints {
        for region in described.regional.keys() {
            let (service, endpoint, region_name) = (service.clone(), endpoint.clone(), region.clone());
            let id = TargetKind::Regional { service, endpoint, region: region_name }.id();
            targets.extend(region_ix(region).map(|r| (id, (e, Side::Region(r)))));
        }
        let public = TargetKind::Global { service: service.clone(), endpoint: endpoint.clone() }.id();
        targets.insert(public, (e, Side::Public));
    }
    targets
}

struct Reading<'a> {
    agents: &'a [AgentId],
    region_ix: &'a dyn Fn(&Region) -> Option<usize>,
    targets: BTreeMap<TargetId, (usize, Side)>,
}

impl Reading<'_> {
    /// The service's results, each once.
    fn all(&self, records: &[Record]) -> Vec<Known> {
        let mut once = BTreeSet::new();
        // Names are shared between records, so the lookup is by address; the records keep the names where they are.
        let mut places = BTreeMap::new();
        let mut all = Vec::new();
        for r in records {
            let place = *places.entry(Arc::as_ptr(&r.watched)).or_insert_with(|| self.targets.get(&r.watched.target));
            let (Some(&(endpoint, side)), Ok(vantage)) = (place, self.agents.binary_search(&r.watcher.agent)) else {
                continue;
            };
            if once.insert((vantage, r.watcher.boot, r.sequence)) {
                all.push(self.known(r, endpoint, side, vantage));
            }
        }
        all
    }

    fn known(&self, r: &Record, endpoint: usize, side: Side, vantage: usize) -> Known {
        let total = i64::try_from(r.total.unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
        let failed = !matches!(r.outcome, Word::Ok | Word::Slow);
        let seen = Seen { at: r.scheduled.as_micros(), vantage, failed, tls: r.outcome == Word::Tls, total };
        let served = r.served.as_ref().and_then(|s| (self.region_ix)(&s.region));
        Known { known: r.arrived.as_micros(), endpoint, side, seen, served }
    }
}

/// Whether a window excuses anything of the service: by kind and notice, for it or for a partner it depends on. That it may
/// be for one zone only is more than these rules know.
fn excuses(w: &Window, plan: &Plan, service: &ServiceId) -> bool {
    let kind = match w.kind {
        WindowKind::Planned => {
            w.notice_working_days.is_some_and(|days| days >= plan.policy_of(service).maintenance_notice_days)
        }
        WindowKind::Agreed => true,
        WindowKind::Emergency | WindowKind::ForceMajeure => false,
    };
    let chain = plan.services.get(service).map(|s| &s.chain);
    let partner = w.scope.partners.is_empty() || chain.is_some_and(|c| !c.is_disjoint(&w.scope.partners));
    kind && partner && (w.scope.services.is_empty() || w.scope.services.contains(service))
}

fn announced(w: &Window, region_ix: &dyn Fn(&Region) -> Option<usize>) -> Announced {
    let regions = w.scope.regions.iter().filter_map(region_ix).collect();
    Announced { from: w.from.as_micros(), to: w.to.as_micros(), regions }
}
