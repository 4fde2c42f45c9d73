//! Plans for tests: as small as the judge needs them.

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::plan::{Control, Endpoint, Partner, Probe};
use uitwijk_model::{
    AgentId, ControlId, EndpointName, Millis, PartnerId, Plan, Policy, Region, Service, ServiceClass, ServiceId,
    SlotLength, Vantage, Zone,
};

pub fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

pub fn zone(name: &str) -> Zone {
    Zone::new(name).unwrap()
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn service_id(name: &str) -> ServiceId {
    ServiceId::new(name).unwrap()
}

/// Some probe; the judge does not look at it.
pub fn probe() -> Probe {
    serde_json::from_value(serde_json::json!({
        "kind": { "tcp": { "address": "host:1", "send": null, "expect": null } },
        "timeout": "8s", "retries": 0, "connect": {}, "tls": {}, "served": {}
    }))
    .unwrap()
}

/// One endpoint in some regions behind a public name.
pub fn endpoint(regions: &[Region], weight: u32, critical: bool) -> Endpoint {
    Endpoint {
        weight,
        critical,
        regional: regions.iter().map(|r| (r.clone(), probe())).collect(),
        zonal: BTreeMap::new(),
        global: Some(probe()),
    }
}

pub fn service(class: ServiceClass, active: &str, endpoints: BTreeMap<EndpointName, Endpoint>) -> Service {
    Service {
        title: String::new(),
        class,
        objective: class.objective(),
        active_region: region(active),
        chain: BTreeSet::new(),
        endpoints,
        policy: None,
    }
}

/// Regions of three zones, an agent in each, three controls, partner `idp`, no service.
pub fn fleet(regions: &[&str]) -> Plan {
    let names: Vec<Region> = regions.iter().map(|r| region(r)).collect();
    let zones: BTreeSet<Zone> = ["1", "2", "3"].into_iter().map(zone).collect();
    let mut agents = BTreeMap::new();
    for r in &names {
        for z in &zones {
            let id = format!("{}-{z}", r.as_str().to_lowercase());
            agents.insert(agent(&id), Vantage { region: r.clone(), zone: z.clone() });
        }
    }
    let control = Control { probe: probe(), objective: Millis(1500) };
    let controls = ["ctl-a", "ctl-b", "ctl-c"].map(|c| (ControlId::new(c).unwrap(), control.clone()));
    let idp = Partner { title: String::new(), probe: probe(), objective: Millis(1500) };
    Plan {
        name: "test".to_owned(),
        revision: 1,
        slot: SlotLength::new(Millis::from_secs(10)).unwrap(),
        regions: names.iter().map(|r| (r.clone(), zones.clone())).collect(),
        agents,
        services: BTreeMap::new(),
        partners: BTreeMap::from([(PartnerId::new("idp").unwrap(), idp)]),
        controls: BTreeMap::from(controls),
        policy: Policy::default(),
        shadow: BTreeMap::new(),
        windows: Vec::new(),
    }
}

/// The fleet of the scenarios: `exchange`, which depends on `idp`, and `portal`.
pub fn two_services(regions: &[&str]) -> Plan {
    let mut plan = fleet(regions);
    let names: Vec<Region> = regions.iter().map(|r| region(r)).collect();
    for (name, class) in [("exchange", ServiceClass::Webservice), ("portal", ServiceClass::Website)] {
        let default = EndpointName::new("default").unwrap();
        let mut s = service(class, regions[0], BTreeMap::from([(default, endpoint(&names, 1, false))]));
        if name == "exchange" {
            s.chain = plan.partners.keys().cloned().collect();
        }
        plan.services.insert(service_id(name), s);
    }
    plan
}
