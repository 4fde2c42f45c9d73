//! Which fleet is it, as the judge sees it: who watches what, and with which numbers?
//!
//! ```text
//!   Plan + ServiceId --> Topology   agents  0..V   (region, zone -> voice)
//!                                   targets 0..T   regional | zonal | entry | partner | control
//!                                   endpoints      weight, critical, entry target, regional targets
//!                                   spans          the policy's lengths of time, in slots
//!                                   windows        what was announced, in slots
//! ```
//!
//! Names become small numbers here, once, in the order of the names, so that everything after it is arithmetic on
//! vectors. The choice left aside is to judge straight on the plan's maps: it would look up names for each cell.

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::{
    AgentId, ControlId, EndpointName, PartnerId, Plan, PlanVersion, Policy, Ratio, Region, Service, ServiceId,
    SlotLength, TargetId, TargetKind, Vantage, Window, WindowKind, Zone,
};

use crate::logarithm::log;
use crate::names::Names;

/// Index of an agent.
pub type AgentIx = usize;
/// Index of a target.
pub type TargetIx = usize;
/// Index of a region.
pub type RegionIx = usize;
/// Index of an endpoint.
pub type EndpointIx = usize;

/// A service that the plan does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service {0} is not in the plan: add it under services")]
pub struct UnknownService(pub ServiceId);

/// What a target tells about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The deployment of an endpoint in a region.
    Regional(EndpointIx, RegionIx),
    /// One zone of it.
    Zonal(EndpointIx, RegionIx, usize),
    /// What users see of an endpoint.
    Entry(EndpointIx),
    /// A partner's diagnostic endpoint.
    Partner(PartnerId),
    /// An independent reference.
    Control(ControlId),
}

/// One target.
#[derive(Debug, Clone)]
pub struct TargetInfo {
    /// Its name.
    pub id: TargetId,
    /// What it tells about.
    pub role: Role,
}

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentInfo {
    /// Its name.
    pub id: AgentId,
    /// Where it stands.
    pub vantage: Vantage,
    /// Its region.
    pub region: RegionIx,
    /// The voice it speaks with: agents of one zone share one, so that many agents in a zone do not outvote the others.
    pub voice: usize,
}

/// One endpoint of the service.
#[derive(Debug, Clone)]
pub struct EndpointInfo {
    /// Its name.
    pub name: EndpointName,
    /// Its share of the service, relative to the others.
    pub weight: u64,
    /// When it is bad, the service is.
    pub critical: bool,
    /// What users see of it: the public name.
    pub entry: Option<TargetIx>,
    /// The deployment per region.
    pub regional: Vec<Option<TargetIx>>,
}

/// The policy's lengths of time in slots, each at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named and described like the fields of `Policy`")]
pub struct Spans {
    pub hard_window: i64,
    pub hard_duration: i64,
    pub soft_window: i64,
    pub soft_duration: i64,
    pub clear: i64,
    pub trust_hold: i64,
    pub blame_early: i64,
    pub blame_hold: i64,
    pub switch_grace: i64,
    pub drift_warmup: i64,
    pub drift_baseline: i64,
    pub drift_duration: i64,
}

/// From where on answers count as clearly slower than usual, on the scale of [`crate::logarithm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftLimits {
    /// The least rise that is worth a word.
    pub rise: i64,
    slack: Ratio,
    threshold: i64,
}

impl DriftLimits {
    fn of_policy(p: &Policy) -> Self {
        let (num, den) = (u64::from(p.drift_share.num()), u64::from(p.drift_share.den()));
        let rise = log((num + den) << 20) - log(den << 20);
        Self { rise, slack: p.drift_slack, threshold: i64::from(p.drift_threshold) }
    }

    /// The slack of a CUSUM and its threshold, by the standard deviation of the noise.
    #[must_use]
    pub fn of(&self, sigma: i64) -> (i64, i64) {
        let slack = sigma.saturating_mul(i64::from(self.slack.num())) / i64::from(self.slack.den());
        (slack.max(self.rise / 2).max(1), sigma.saturating_mul(self.threshold))
    }
}

/// An announced stretch, in slots.
#[derive(Debug, Clone)]
pub struct Announced {
    /// First slot that lies wholly or partly inside.
    pub from: i64,
    /// First slot after it.
    pub to: i64,
    /// Whether its kind and notice excuse anything.
    pub excuses: bool,
    /// Regions it covers; empty means all.
    pub regions: BTreeSet<RegionIx>,
    /// Zones of those regions; empty means all.
    pub zones: BTreeSet<Zone>,
    /// Partners it covers; when it names partners and no regions, it covers nothing else.
    pub partners: BTreeSet<PartnerId>,
    /// Endpoints it covers; all, unless it names some.
    pub endpoints: Vec<EndpointIx>,
    /// Endpoints it does not cover.
    pub beside: Vec<EndpointIx>,
    /// Its kind, for the findings.
    pub kind: WindowKind,
    /// Its notice, for the findings.
    pub notice: Option<u32>,
}

/// The fleet around one service.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The service.
    pub service: ServiceId,
    /// By which numbers it is judged.
    pub policy: Policy,
    /// Content hash of the plan.
    pub plan_version: PlanVersion,
    /// Content hash of the policy.
    pub policy_version: String,
    /// Length of a slot.
    pub slot: SlotLength,
    /// Agents by name.
    pub agents: Vec<AgentInfo>,
    /// The region of each voice.
    pub voices: Vec<RegionIx>,
    /// Regions by name.
    pub regions: Vec<Region>,
    /// Zones of each region, by name.
    pub zones: Vec<Vec<Zone>>,
    /// Regions that the service is deployed in.
    pub deployed: Vec<RegionIx>,
    /// Targets in order of kind and name.
    pub targets: Vec<TargetInfo>,
    /// Endpoints by name.
    pub endpoints: Vec<EndpointInfo>,
    /// The region behind the public name until an answer tells.
    pub active: RegionIx,
    /// Lengths of time in slots.
    pub spans: Spans,
    /// From where on answers are clearly slower.
    pub drift: DriftLimits,
    /// What was announced for this service.
    pub windows: Vec<Announced>,
    /// Per target: it shows what users see.
    pub(crate) entries: Vec<bool>,
    /// Per target: its answers come from any zone of a region, so they tell which zones serve.
    pub(crate) spread: Vec<bool>,
    /// The references.
    pub(crate) controls: Vec<TargetIx>,
    agent_names: Names,
    target_names: Names,
    region_names: Names,
    zone_names: Vec<Names>,
}

impl Topology {
    /// The fleet around a service.
    ///
    /// # Errors
    /// When the plan does not have the service.
    pub fn of(plan: &Plan, service: &ServiceId) -> Result<Self, UnknownService> {
        Self::under(plan, service, plan.policy_of(service))
    }

    /// The fleet around a service, judged by another policy than the plan's: in the shadow of the real one, or to see what it would
    /// have said.
    ///
    /// # Errors
    /// When the plan does not have the service.
    pub fn under(plan: &Plan, service: &ServiceId, policy: &Policy) -> Result<Self, UnknownService> {
        Self::versioned(plan, &plan.version(), service, policy)
    }

    /// The same for whoever knows the version of the plan: to find it takes a walk over all of the plan, which whoever asks for
    /// thousands of services does once.
    ///
    /// # Errors
    /// When the plan does not have the service.
    pub fn versioned(
        plan: &Plan,
        version: &PlanVersion,
        service: &ServiceId,
        policy: &Policy,
    ) -> Result<Self, UnknownService> {
        let described = plan.services.get(service).ok_or_else(|| UnknownService(service.clone()))?;
        let (regions, zones) = places(plan, described);
        let region_ix = |r: &Region| regions.binary_search(r).unwrap_or(0);
        let (agents, voices) = watchers(plan, &region_ix);
        let (targets, endpoints) = watched(plan, service, described, &regions, &zones);
        let mut deployed: Vec<RegionIx> =
            described.endpoints.values().flat_map(|e| e.regional.keys()).map(&region_ix).collect();
        deployed.sort_unstable();
        deployed.dedup();
        let policy = policy.clone();
        let windows = plan.windows.iter().filter(|w| concerns(w, service, described));
        Ok(Self {
            service: service.clone(),
            plan_version: version.clone(),
            policy_version: policy.version(),
            slot: plan.slot,
            spans: Spans::of(&policy, plan.slot),
            drift: DriftLimits::of_policy(&policy),
            windows: windows.map(|w| announced(w, plan, &policy, &region_ix, &endpoints)).collect(),
            active: region_ix(&described.active_region),
            entries: targets.iter().map(|t| matches!(t.role, Role::Entry(_))).collect(),
            spread: targets.iter().map(|t| matches!(t.role, Role::Entry(_) | Role::Regional(..))).collect(),
            controls: (0..targets.len()).filter(|&t| matches!(targets[t].role, Role::Control(_))).collect(),
            agent_names: Names::of(agents.iter().map(|a| a.id.as_str())),
            target_names: Names::of(targets.iter().map(|t| t.id.as_str())),
            region_names: Names::of(regions.iter().map(Region::as_str)),
            zone_names: zones.iter().map(|all| Names::of(all.iter().map(Zone::as_str))).collect(),
            agents,
            voices,
            regions,
            zones,
            deployed,
            targets,
            endpoints,
            policy,
        })
    }

    /// The index of an agent, if it is enrolled.
    #[must_use]
    pub fn agent(&self, id: &AgentId) -> Option<AgentIx> {
        self.agent_names.find(id.as_str())
    }

    /// The index of a target, if the verdict of this service rests on it.
    #[must_use]
    pub fn target(&self, id: &TargetId) -> Option<TargetIx> {
        self.target_names.find(id.as_str())
    }

    /// The index of a region by name, in any case.
    #[must_use]
    pub fn region(&self, name: &Region) -> Option<RegionIx> {
        let same = |r: &Region| r.as_str().eq_ignore_ascii_case(name.as_str());
        self.region_names.find(name.as_str()).or_else(|| self.regions.iter().position(same))
    }

    /// The index of a zone within a region.
    #[must_use]
    pub fn zone(&self, region: RegionIx, name: &Zone) -> Option<usize> {
        self.zone_names.get(region)?.find(name.as_str())
    }

    /// The targets that show users' view of an endpoint while a region serves: the public name, or where there is none
    /// the deployment itself.
    #[must_use]
    pub fn entry(&self, endpoint: EndpointIx, active: RegionIx) -> Option<TargetIx> {
        let e = &self.endpoints[endpoint];
        e.entry.or_else(|| e.regional.get(active).copied().flatten())
    }

    /// How far back a slot can still change the answer about an earlier one.
    #[must_use]
    pub fn reach(&self) -> i64 {
        let s = &self.spans;
        let entry = s.soft_duration.max(s.hard_duration).saturating_add(s.soft_window.max(s.hard_window));
        entry.saturating_add(s.clear).saturating_add(s.trust_hold).saturating_add(s.switch_grace).saturating_add(1)
    }
}

impl Spans {
    fn of(p: &Policy, slot: SlotLength) -> Self {
        let slots = |span| i64::from(slot.slots_in(span));
        Self {
            hard_window: slots(p.hard_window),
            hard_duration: slots(p.hard_duration),
            soft_window: slots(p.soft_window).max(slots(p.hard_window)),
            soft_duration: slots(p.soft_duration),
            clear: slots(p.clear),
            trust_hold: slots(p.trust_hold),
            blame_early: slots(p.blame_early),
            blame_hold: slots(p.blame_hold),
            switch_grace: slots(p.switch_grace),
            drift_warmup: slots(p.drift_warmup),
            drift_baseline: slots(p.drift_baseline).max(slots(p.drift_warmup)),
            drift_duration: slots(p.drift_duration),
        }
    }
}

/// Every region that anything is said about, with its zones, in order of name.
fn places(plan: &Plan, service: &Service) -> (Vec<Region>, Vec<Vec<Zone>>) {
    let mut all: BTreeMap<Region, BTreeSet<Zone>> = plan.regions.clone();
    all.entry(service.active_region.clone()).or_default();
    for vantage in plan.agents.values() {
        all.entry(vantage.region.clone()).or_default();
    }
    for endpoint in service.endpoints.values() {
        for region in endpoint.regional.keys() {
            all.entry(region.clone()).or_default();
        }
        for (region, zones) in &endpoint.zonal {
            all.entry(region.clone()).or_default().extend(zones.keys().cloned());
        }
    }
    all.into_iter().map(|(region, zones)| (region, zones.into_iter().collect())).unzip()
}

fn watchers(plan: &Plan, region_ix: &dyn Fn(&Region) -> RegionIx) -> (Vec<AgentInfo>, Vec<RegionIx>) {
    let voices: BTreeSet<&Vantage> = plan.agents.values().collect();
    let voices: Vec<&Vantage> = voices.into_iter().collect();
    let agents = plan.agents.iter().map(|(id, vantage)| AgentInfo {
        id: id.clone(),
        vantage: vantage.clone(),
        region: region_ix(&vantage.region),
        voice: voices.binary_search(&vantage).unwrap_or(0),
    });
    (agents.collect(), voices.iter().map(|v| region_ix(&v.region)).collect())
}

fn watched(
    plan: &Plan,
    service: &ServiceId,
    described: &Service,
    regions: &[Region],
    zones: &[Vec<Zone>],
) -> (Vec<TargetInfo>, Vec<EndpointInfo>) {
    let mut endpoints: Vec<EndpointInfo> = Vec::new();
    let mut kinds: Vec<(TargetKind, Role)> = Vec::new();
    for (ix, (name, e)) in described.endpoints.iter().enumerate() {
        let (service, endpoint) = (service.clone(), name.clone());
        for region in e.regional.keys() {
            let r = regions.binary_search(region).unwrap_or(0);
            let (service, endpoint, region) = (service.clone(), endpoint.clone(), region.clone());
            kinds.push((TargetKind::Regional { service, endpoint, region }, Role::Regional(ix, r)));
        }
        for (region, zone) in e.zonal.iter().flat_map(|(r, zs)| zs.keys().map(move |z| (r, z))) {
            let r = regions.binary_search(region).unwrap_or(0);
            let z = zones[r].binary_search(zone).unwrap_or(0);
            let (service, endpoint, region, zone) = (service.clone(), endpoint.clone(), region.clone(), zone.clone());
            kinds.push((TargetKind::Zonal { service, endpoint, region, zone }, Role::Zonal(ix, r, z)));
        }
        if e.global.is_some() {
            kinds.push((TargetKind::Global { service, endpoint }, Role::Entry(ix)));
        }
        let regional = vec![None; regions.len()];
        let (weight, critical) = (u64::from(e.weight.max(1)), e.critical);
        endpoints.push(EndpointInfo { name: name.clone(), weight, critical, entry: None, regional });
    }
    for partner in described.chain.iter().filter(|p| plan.partners.contains_key(*p)) {
        kinds.push((TargetKind::Chain { partner: partner.clone() }, Role::Partner(partner.clone())));
    }
    for control in plan.controls.keys() {
        kinds.push((TargetKind::Control { control: control.clone() }, Role::Control(control.clone())));
    }
    kinds.sort_by(|a, b| a.0.cmp(&b.0));
    for (t, (_, role)) in kinds.iter().enumerate() {
        match role {
            Role::Regional(e, r) => endpoints[*e].regional[*r] = Some(t),
            Role::Entry(e) => endpoints[*e].entry = Some(t),
            _ => {}
        }
    }
    (kinds.into_iter().map(|(kind, role)| TargetInfo { id: kind.id(), role }).collect(), endpoints)
}

/// Whether a window says anything about a service or about a partner that it depends on.
fn concerns(w: &Window, service: &ServiceId, described: &Service) -> bool {
    let names_it = w.scope.services.is_empty() || w.scope.services.contains(service);
    let has_endpoint = |e: &EndpointName| described.endpoints.contains_key(e);
    let touches_it = w.scope.endpoints.is_empty() || w.scope.endpoints.iter().any(has_endpoint);
    names_it
        && touches_it
        && (w.scope.partners.is_empty() || w.scope.partners.iter().any(|p| described.chain.contains(p)))
}

fn announced(
    w: &Window,
    plan: &Plan,
    policy: &Policy,
    region_ix: &dyn Fn(&Region) -> RegionIx,
    endpoints: &[EndpointInfo],
) -> Announced {
    let named = |e: &EndpointInfo| w.scope.endpoints.is_empty() || w.scope.endpoints.contains(&e.name);
    let (inside, beside) = (0..endpoints.len()).partition::<Vec<_>, _>(|&e| named(&endpoints[e]));
    let excuses = match w.kind {
        WindowKind::Planned => w.notice_working_days.is_some_and(|days| days >= policy.maintenance_notice_days),
        WindowKind::Agreed => true,
        WindowKind::Emergency | WindowKind::ForceMajeure => false,
    };
    let last = plan.slot.slot_of(uitwijk_model::WallTime::from_micros(w.to.as_micros().saturating_sub(1)));
    Announced {
        from: plan.slot.slot_of(w.from).0,
        to: last.0.saturating_add(1),
        excuses,
        regions: w.scope.regions.iter().map(region_ix).collect(),
        zones: w.scope.zones.clone(),
        partners: w.scope.partners.clone(),
        endpoints: inside,
        beside,
        kind: w.kind,
        notice: w.notice_working_days,
    }
}
