//! Which fleet would watch this scenario?
//!
//! A plan as an operator would have written it: the regions with an agent in each zone, the services with their endpoints
//! deployed in every region behind a public name, the partners, three controls, and what was announced. Its targets have the
//! names of the recorded streams. Addresses lie under `example.invalid`: the plan is for judging, nobody probes by it.

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::plan::{
    ConnectOptions, Control, Endpoint, Expectation, HttpProbe, HttpVersion, Partner, Probe, ProbeKind, ServedFrom,
    TlsOptions,
};
use uitwijk_model::{Millis, Plan, Policy, Region, Service, ServiceClass, SlotLength, Window, WindowScope};

use crate::format::{EndpointSpec, Maintenance, Regions, Scenario, ServiceSpec};
use crate::places;

/// A probe without a complete answer after so long is a timeout.
pub const TIMEOUT: Millis = Millis::from_secs(8);
/// How often each agent probes all targets.
pub const ROUND: Millis = Millis::from_secs(10);

/// The plan of the fleet that watched.
#[must_use]
pub fn plan(s: &Scenario) -> Plan {
    let regions = places::regions(s);
    let objective = ServiceClass::Webservice.objective();
    let partner = |id: uitwijk_model::PartnerId| {
        let probe = probe(&format!("{id}.partner"));
        (id.clone(), Partner { title: id.to_string(), probe, objective })
    };
    let control = |id: uitwijk_model::ControlId| {
        let probe = probe(&format!("{id}.control"));
        (id, Control { probe, objective })
    };
    let names: Vec<&Region> = regions.iter().map(|(region, _)| region).collect();
    Plan {
        name: name(&s.id),
        revision: 1,
        slot: SlotLength::new(ROUND).expect("ten seconds are within the range"),
        regions: regions.iter().map(|(region, zones)| (region.clone(), zones.iter().cloned().collect())).collect(),
        agents: places::agents(s).into_iter().collect(),
        services: s.services.iter().map(|spec| (spec.id.clone(), service(s, spec, &names))).collect(),
        partners: places::partners(s).into_iter().map(partner).collect(),
        controls: places::controls(s).into_iter().map(control).collect(),
        policy: Policy::default(),
        shadow: BTreeMap::new(),
        windows: s.maintenance.iter().map(|m| window(s, m)).collect(),
    }
}

/// The name of a scenario, as far as it is one.
fn name(id: &str) -> String {
    let word: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let word = word.trim_matches('-');
    if word.is_empty() { "scenario".to_owned() } else { word.to_owned() }
}

fn service(s: &Scenario, spec: &ServiceSpec, regions: &[&Region]) -> Service {
    let weights = weights(&spec.endpoints);
    let endpoints = spec.endpoints.iter().zip(weights).map(|(e, weight)| {
        let at = |place: &str| probe(&format!("{place}.{}.{}", e.name, spec.id));
        let regional = regions.iter().map(|r| ((*r).clone(), at(&r.as_str().to_lowercase()))).collect();
        let (critical, zonal, global) = (e.critical, BTreeMap::new(), Some(at("www")));
        (e.name.clone(), Endpoint { weight, critical, regional, zonal, global })
    });
    Service {
        title: spec.id.to_string(),
        class: spec.class,
        objective: spec.objective,
        active_region: s.active_region.clone(),
        chain: spec.chain.iter().cloned().collect(),
        endpoints: endpoints.collect(),
        policy: None,
    }
}

/// Weights as whole numbers from 1 to 1000 in the same proportion, as near as that allows.
fn weights(endpoints: &[EndpointSpec]) -> Vec<u32> {
    let whole = |scale: f64| {
        let scaled = endpoints.iter().map(|e| e.weight * scale);
        let near = |x: f64| (x - x.round()).abs() < 1e-6 && (1.0..=1000.0).contains(&x.round());
        scaled.clone().all(near).then(|| scaled.map(f64::round).collect::<Vec<_>>())
    };
    let most = endpoints.iter().map(|e| e.weight).fold(0.0, f64::max);
    let exact = [1.0, 10.0, 100.0, 1000.0].into_iter().find_map(whole);
    let scaled = exact.unwrap_or_else(|| {
        let scale = if most > 0.0 { 1000.0 / most } else { 1.0 };
        endpoints.iter().map(|e| (e.weight * scale).round().max(1.0)).collect()
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 1000")]
    scaled.into_iter().map(|w| w as u32).collect()
}

fn probe(host: &str) -> Probe {
    let header = |name: &str| Some(name.to_owned());
    Probe {
        kind: ProbeKind::Http(Box::new(HttpProbe {
            url: format!("https://{host}.example.invalid/health"),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: None,
            version: HttpVersion::Auto,
            redirects_max: 0,
            body_bytes_max: 1 << 20,
            expect: Expectation::default(),
        })),
        timeout: TIMEOUT,
        retries: 0,
        connect: ConnectOptions::default(),
        tls: TlsOptions::default(),
        served: Some(ServedFrom {
            region_header: header("x-served-region"),
            zone_header: header("x-served-zone"),
            ..ServedFrom::default()
        }),
    }
}

/// A window covers services, their endpoints, regions, zones and partners; other keys of a scope have no counterpart in an announcement.
fn window(s: &Scenario, m: &Maintenance) -> Window {
    let regions = match &m.scope.target_region {
        Some(Regions::These(regions)) => regions.clone(),
        Some(Regions::All) | None => BTreeSet::new(),
    };
    Window {
        kind: m.kind,
        from: s.at(m.from),
        to: s.at(m.to),
        notice_working_days: m.notice,
        scope: WindowScope {
            services: m.scope.services.iter().cloned().collect(),
            regions,
            zones: m.scope.target_zones.iter().cloned().collect(),
            partners: m.scope.chain_partners.iter().cloned().collect(),
            endpoints: m.scope.endpoints.iter().cloned().collect(),
        },
        author: "scenario".to_owned(),
        reason: if s.title.is_empty() { s.id.clone() } else { s.title.chars().take(200).collect() },
    }
}
