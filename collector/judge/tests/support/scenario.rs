//! The scenarios under `tests/scenarios`: what happened, and what an expert would say.

use serde::Deserialize;
use std::collections::BTreeMap;
use uitwijk_model::plan::Partner;
use uitwijk_model::{
    EndpointName, Millis, PartnerId, Plan, Region, ServiceClass, WallTime, Window, WindowKind, WindowScope,
};

use super::plans;

/// 2026-03-02T08:00:00Z.
pub const START: WallTime = WallTime::from_millis(1_772_438_400_000);

#[derive(Debug, Clone, Deserialize)]
pub struct Scenario {
    pub id: String,
    pub duration_s: u64,
    pub active_region: String,
    #[serde(default)]
    pub services: Vec<ServiceSpec>,
    #[serde(default)]
    pub faults: Vec<Fault>,
    #[serde(default)]
    pub actual_failovers: Vec<Failover>,
    #[serde(default)]
    pub maintenance: Vec<Maintenance>,
    #[serde(default)]
    pub expect: Vec<Expect>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ServiceSpec {
    pub id: String,
    pub class: String,
    pub objective_ms: Option<u64>,
    #[serde(default)]
    pub endpoints: Vec<EndpointSpec>,
    #[serde(default)]
    pub chain: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct EndpointSpec {
    pub name: String,
    pub weight: Option<u32>,
    #[serde(default)]
    pub critical: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    pub from_s: u64,
    pub to_s: u64,
    pub scope: serde_json::Value,
    pub effect: Effect,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Effect {
    pub kind: String,
    #[serde(default)]
    pub params: serde_json::Value,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Failover {
    pub at_s: u64,
    pub from: String,
    pub to: String,
    pub ttl_s: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Maintenance {
    pub from_s: u64,
    pub to_s: u64,
    pub kind: String,
    pub announced_working_days_before: Option<u32>,
    #[serde(default)]
    pub scope: serde_json::Value,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Expect {
    pub from_s: u64,
    pub to_s: u64,
    pub tolerance_s: u64,
    pub need: String,
    pub cause: String,
    pub executed: String,
    pub service: Option<String>,
}

impl Scenario {
    pub fn at(&self, seconds: u64) -> WallTime {
        START.plus(Millis::from_secs(seconds))
    }

    /// The plan of the fleet that watched it.
    pub fn plan(&self) -> Plan {
        let other = if self.active_region == "NL" { "IE" } else { "NL" };
        let mut plan = plans::two_services(&[&self.active_region, other]);
        if !self.services.is_empty() {
            plan.services = BTreeMap::new();
        }
        let regions: Vec<Region> = plan.regions.keys().cloned().collect();
        for spec in &self.services {
            let class = if spec.class == "website" { ServiceClass::Website } else { ServiceClass::Webservice };
            let mut endpoints = BTreeMap::new();
            for e in &spec.endpoints {
                let name = EndpointName::new(&e.name).unwrap();
                endpoints.insert(name, plans::endpoint(&regions, e.weight.unwrap_or(1), e.critical));
            }
            let mut s = plans::service(class, &self.active_region, endpoints);
            s.objective = spec.objective_ms.map_or(s.objective, Millis);
            for partner in &spec.chain {
                let id = PartnerId::new(partner).unwrap();
                let objective = Millis(1500);
                let described = Partner { title: String::new(), probe: plans::probe(), objective };
                plan.partners.insert(id.clone(), described);
                s.chain.insert(id);
            }
            plan.services.insert(plans::service_id(&spec.id), s);
        }
        plan.windows = self.maintenance.iter().map(|m| self.window(m)).collect();
        plan
    }

    fn window(&self, m: &Maintenance) -> Window {
        let mut scope = WindowScope::default();
        if let Some(s) = m.scope.get("service").and_then(|s| s.as_str()) {
            scope.services.insert(plans::service_id(s));
        }
        if let Some(r) = m.scope.get("target_region").and_then(|s| s.as_str()).filter(|r| *r != "ALL") {
            scope.regions.insert(plans::region(r));
        }
        for z in m.scope.get("target_zones").and_then(|s| s.as_array()).into_iter().flatten() {
            scope.zones.insert(plans::zone(&z.to_string()));
        }
        if let Some(e) = m.scope.get("endpoint").and_then(|s| s.as_str()) {
            scope.endpoints.insert(EndpointName::new(e).unwrap());
        }
        Window {
            kind: match m.kind.as_str() {
                "planned" => WindowKind::Planned,
                "agreed" => WindowKind::Agreed,
                "emergency" => WindowKind::Emergency,
                _ => WindowKind::ForceMajeure,
            },
            from: self.at(m.from_s),
            to: self.at(m.to_s),
            notice_working_days: m.announced_working_days_before,
            scope,
            author: String::new(),
            reason: String::new(),
        }
    }
}
