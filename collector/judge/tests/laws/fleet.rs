//! Which fleets can there be: regions, zones, endpoints, partners, controls, announcements, and the numbers to judge by?
//!
//! A fleet is numbers only; a plan is made of it with [`Names`], so that the same world can be told with other names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use uitwijk_model::plan::{Control, Endpoint, Partner, Probe};
use uitwijk_model::{
    AgentId, ControlId, EndpointName, Millis, PartnerId, Plan, Policy, Ratio, Region, Service, ServiceClass, ServiceId,
    SlotLength, TargetId, TargetKind, Vantage, WallTime, Window, WindowKind, WindowScope, Zone,
};

use crate::support::plans;
use crate::support::world::Dice;

static PROBE: LazyLock<Probe> = LazyLock::new(plans::probe);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    Regional(usize, usize),
    Zonal(usize, usize, usize),
    Entry(usize),
    Partner(usize),
    Control(usize),
}

/// One endpoint: weight, critical, a public name, zonal names, the regions that it is deployed in.
#[derive(Debug, Clone)]
pub struct Function {
    pub weight: u32,
    pub critical: bool,
    pub public: bool,
    pub zonal: bool,
    pub regions: Vec<usize>,
}

/// What was announced: slots after the start, scope by number.
#[derive(Debug, Clone)]
pub struct Notice {
    pub kind: WindowKind,
    pub from: i64,
    pub to: i64,
    pub days: Option<u32>,
    pub region: Option<usize>,
    pub zone: Option<usize>,
    pub partner: Option<usize>,
}

/// A fleet around one service.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Zones of each region.
    pub zones: Vec<usize>,
    /// Region and zone of each agent.
    pub agents: Vec<(usize, usize)>,
    pub endpoints: Vec<Function>,
    pub partners: usize,
    pub controls: usize,
    pub active: usize,
    pub policy: Policy,
    pub notices: Vec<Notice>,
}

fn pick<const N: usize>(dice: &mut Dice, from: [usize; N]) -> usize {
    from[dice.below(N as u64) as usize]
}

impl Fleet {
    /// Any fleet; small ones more often than large ones.
    pub fn any(dice: &mut Dice) -> Self {
        let regions = pick(dice, [1, 2, 2, 2, 2, 2, 3, 4]);
        Self::with_regions(dice, regions)
    }

    pub fn with_regions(dice: &mut Dice, regions: usize) -> Self {
        let zones: Vec<usize> = (0..regions).map(|_| pick(dice, [1, 2, 2, 3, 3, 4])).collect();
        let mut agents = Vec::new();
        for (r, &of) in zones.iter().enumerate() {
            for z in 0..of {
                let here = pick(dice, [0, 1, 1, 1, 1, 1, 1, 2]);
                agents.extend(std::iter::repeat_n((r, z), here));
            }
        }
        if agents.is_empty() {
            agents.push((0, 0));
        }
        while agents.len() > 8 {
            agents.remove(dice.below(agents.len() as u64) as usize);
        }
        let endpoints = (0..pick(dice, [1, 1, 1, 2, 3])).map(|_| any_function(dice, regions)).collect();
        let mut fleet = Self {
            zones,
            agents,
            endpoints,
            partners: pick(dice, [0, 0, 1, 2]),
            controls: pick(dice, [0, 1, 2, 3, 3, 4]),
            active: dice.below(regions as u64) as usize,
            policy: any_policy(dice),
            notices: Vec::new(),
        };
        if dice.chance(0.2) {
            fleet.notices.push(fleet.any_notice(dice));
        }
        fleet
    }

    fn any_notice(&self, dice: &mut Dice) -> Notice {
        let kinds = [WindowKind::Planned, WindowKind::Agreed, WindowKind::Emergency, WindowKind::ForceMajeure];
        let from = dice.below(80).cast_signed();
        let region = dice.chance(0.6).then(|| dice.below(self.zones.len() as u64) as usize);
        Notice {
            kind: kinds[dice.below(4) as usize],
            from,
            to: from + 10 + dice.below(60).cast_signed(),
            days: dice.chance(0.8).then(|| dice.below(20) as u32),
            zone: region.filter(|_| dice.chance(0.4)).map(|r| dice.below(self.zones[r] as u64) as usize),
            region,
            partner: (self.partners > 0 && dice.chance(0.2)).then_some(0),
        }
    }

    /// Everything that is measured, in some order.
    pub fn aims(&self) -> Vec<Aim> {
        let mut all = Vec::new();
        for (e, f) in self.endpoints.iter().enumerate() {
            all.extend(f.regions.iter().map(|&r| Aim::Regional(e, r)));
            if f.zonal {
                let zones = f.regions.iter().flat_map(|&r| (0..self.zones[r]).map(move |z| (r, z)));
                all.extend(zones.map(|(r, z)| Aim::Zonal(e, r, z)));
            }
            all.extend(f.public.then_some(Aim::Entry(e)));
        }
        all.extend((0..self.partners).map(Aim::Partner));
        all.extend((0..self.controls).map(Aim::Control));
        all
    }

    /// The plan of this fleet, told with these names, for a world that begins at this slot.
    pub fn plan(&self, names: &Names, start: i64) -> Plan {
        let regions = self.zones.iter().enumerate();
        let regions = regions.map(|(r, &n)| (names.region[r].clone(), names.zone[..n].iter().cloned().collect()));
        let place = |&(r, z): &(usize, usize)| Vantage { region: names.region[r].clone(), zone: names.zone[z].clone() };
        let endpoints =
            self.endpoints.iter().enumerate().map(|(e, f)| (names.endpoint[e].clone(), self.endpoint(f, names)));
        let chain: BTreeSet<PartnerId> = names.partner[..self.partners].iter().cloned().collect();
        let partner = || Partner { title: String::new(), probe: PROBE.clone(), objective: Millis(1500) };
        let control = || Control { probe: PROBE.clone(), objective: Millis(1500) };
        let service = Service {
            title: String::new(),
            class: ServiceClass::Webservice,
            objective: Millis(1500),
            active_region: names.region[self.active].clone(),
            endpoints: endpoints.collect(),
            chain: chain.clone(),
            policy: None,
        };
        Plan {
            name: "any".to_owned(),
            revision: 1,
            slot: SlotLength::new(Millis(1000)).unwrap(),
            regions: regions.collect(),
            agents: names.agent.iter().cloned().zip(self.agents.iter().map(place)).collect(),
            services: BTreeMap::from([(names.service.clone(), service)]),
            partners: chain.into_iter().map(|p| (p, partner())).collect(),
            controls: names.control[..self.controls].iter().map(|c| (c.clone(), control())).collect(),
            policy: self.policy.clone(),
            shadow: BTreeMap::new(),
            windows: self.notices.iter().map(|n| window(n, names, start)).collect(),
        }
    }

    fn endpoint(&self, f: &Function, names: &Names) -> Endpoint {
        let probes = |n: usize| names.zone[..n].iter().map(|z| (z.clone(), PROBE.clone())).collect();
        let zonal = f.regions.iter().filter(|_| f.zonal);
        Endpoint {
            weight: f.weight,
            critical: f.critical,
            regional: f.regions.iter().map(|&r| (names.region[r].clone(), PROBE.clone())).collect(),
            zonal: zonal.map(|&r| (names.region[r].clone(), probes(self.zones[r]))).collect(),
            global: f.public.then(|| PROBE.clone()),
        }
    }
}

fn any_function(dice: &mut Dice, regions: usize) -> Function {
    let all: Vec<usize> = (0..regions).collect();
    let some: Vec<usize> = if dice.chance(0.9) { all } else { all.into_iter().filter(|_| dice.chance(0.7)).collect() };
    let regions = if some.is_empty() { vec![0] } else { some };
    Function {
        weight: 1 + dice.below(4) as u32,
        critical: dice.chance(0.2),
        public: dice.chance(0.9),
        zonal: dice.chance(0.1),
        regions,
    }
}

/// Slots of a second: the lengths of time are a twentieth or a thirtieth of what they are for slots of 10 s.
fn any_policy(dice: &mut Dice) -> Policy {
    let mut p = Policy::default().scaled(1, [20, 30][dice.below(2) as usize]);
    p.samples_min = [2, 4, 8, 12][dice.below(4) as usize];
    p.grace = Millis(500 + 500 * dice.below(6));
    let mut share = |r: &mut Ratio, from: u64, to: u64| {
        if dice.chance(0.15) {
            *r = Ratio::percent((from + dice.below(to - from + 1)) as u32);
        }
    };
    share(&mut p.hard_share, 30, 100);
    share(&mut p.soft_share, 5, 25);
    share(&mut p.slow_share, 10, 60);
    share(&mut p.better_share, 20, 100);
    share(&mut p.better_margin, 0, 40);
    share(&mut p.endpoint_weight, 10, 100);
    share(&mut p.partner_margin, 5, 50);
    share(&mut p.served_share, 10, 90);
    p
}

fn window(n: &Notice, names: &Names, start: i64) -> Window {
    let at = |slot: i64| WallTime::from_millis((start + slot) * 1000);
    let regions = n.region.iter().map(|&r| names.region[r].clone()).collect();
    let zones = n.zone.iter().map(|&z| names.zone[z].clone()).collect();
    let partners = n.partner.iter().map(|&p| names.partner[p].clone()).collect();
    Window {
        kind: n.kind,
        from: at(n.from),
        to: at(n.to),
        notice_working_days: n.days,
        scope: WindowScope { services: BTreeSet::new(), regions, zones, partners, endpoints: BTreeSet::new() },
        author: String::new(),
        reason: String::new(),
    }
}

/// What everything is called.
#[derive(Debug, Clone)]
pub struct Names {
    pub region: Vec<Region>,
    pub zone: Vec<Zone>,
    pub agent: Vec<AgentId>,
    pub service: ServiceId,
    pub endpoint: Vec<EndpointName>,
    pub partner: Vec<PartnerId>,
    pub control: Vec<ControlId>,
}

impl Names {
    /// Every name begins with the same two letters, which no other word contains, and goes on with a number.
    pub fn with(prefix: &str, fleet: &Fleet) -> Self {
        let name = |kind: &str, i: usize| format!("{prefix}{kind}{i}");
        let zones = fleet.zones.iter().copied().max().unwrap_or(0);
        Self {
            region: (0..fleet.zones.len()).map(|i| Region::new(name("r", i)).unwrap()).collect(),
            zone: (0..zones).map(|i| Zone::new(name("z", i)).unwrap()).collect(),
            agent: (0..fleet.agents.len()).map(|i| AgentId::new(name("a", i)).unwrap()).collect(),
            service: ServiceId::new(name("s", 0)).unwrap(),
            endpoint: (0..fleet.endpoints.len()).map(|i| EndpointName::new(name("e", i)).unwrap()).collect(),
            partner: (0..fleet.partners).map(|i| PartnerId::new(name("p", i)).unwrap()).collect(),
            control: (0..fleet.controls).map(|i| ControlId::new(name("c", i)).unwrap()).collect(),
        }
    }

    /// The same names, given to others.
    pub fn dealt_anew(&self, dice: &mut Dice) -> Self {
        let mut other = self.clone();
        shuffle(&mut other.region, dice);
        shuffle(&mut other.agent, dice);
        shuffle(&mut other.endpoint, dice);
        shuffle(&mut other.partner, dice);
        shuffle(&mut other.control, dice);
        other
    }

    pub fn target(&self, aim: Aim) -> TargetId {
        let (service, name) = (self.service.clone(), |e: usize| self.endpoint[e].clone());
        let kind = match aim {
            Aim::Regional(e, r) => TargetKind::Regional { service, endpoint: name(e), region: self.region[r].clone() },
            Aim::Zonal(e, r, z) => {
                let (region, zone) = (self.region[r].clone(), self.zone[z].clone());
                TargetKind::Zonal { service, endpoint: name(e), region, zone }
            }
            Aim::Entry(e) => TargetKind::Global { service, endpoint: name(e) },
            Aim::Partner(p) => TargetKind::Chain { partner: self.partner[p].clone() },
            Aim::Control(c) => TargetKind::Control { control: self.control[c].clone() },
        };
        kind.id()
    }
}

/// Puts things in any order.
pub fn shuffle<T>(things: &mut [T], dice: &mut Dice) {
    for i in (1..things.len()).rev() {
        things.swap(i, dice.below(i as u64 + 1) as usize);
    }
}
