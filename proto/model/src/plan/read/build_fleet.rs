//! Which agents, services, partners and controls does the plan have?

use std::collections::BTreeMap;

use serde_json::Value;

use super::build::Context;
use super::build_policy::service_policy;
use super::build_probe::{Layers, probe};
use super::format;
use super::path::Path;
use super::raw::{RawEndpoint, RawPlan, RawService};
use super::raw_probe::Target;
use crate::id::{AgentId, ControlId, EndpointName, PartnerId, ServiceId, Vantage};
use crate::plan::{Control, Endpoint, Partner, Service, ServiceClass};
use crate::time::Millis;

/// Objective of a control where the plan does not say: generous, for controls speak about the agent's network.
const CONTROL_OBJECTIVE: Millis = Millis::from_secs(5);

pub(super) fn agents(raw: &RawPlan, context: &mut Context) -> BTreeMap<AgentId, Vantage> {
    let mut agents = BTreeMap::new();
    for (agent, place) in raw.agents.iter().flat_map(|a| &a.0) {
        let path = Path::root().join("agents").join(agent);
        let Ok(vantage) = format::place(place) else { continue };
        if context.zone(&vantage.region, &vantage.zone, &path) {
            agents.insert(agent.clone(), vantage);
        }
    }
    agents
}

pub(super) fn services(raw: &RawPlan, context: &mut Context) -> BTreeMap<ServiceId, Service> {
    let mut services = BTreeMap::new();
    for (id, service) in raw.services.iter().flat_map(|s| &s.0) {
        let path = Path::root().join("services").join(id);
        if let Some(built) = one_service(id, service, raw, &path, context) {
            services.insert(id.clone(), built);
        }
    }
    services
}

fn one_service(
    id: &ServiceId,
    raw: &RawService,
    plan: &RawPlan,
    path: &Path,
    context: &mut Context,
) -> Option<Service> {
    if let Some(region) = &raw.active_region {
        context.region(region, &path.join("active_region"));
    }
    for (i, partner) in raw.chain.iter().enumerate() {
        context.partner(partner, &path.join("chain").item(i));
    }
    let endpoints = endpoints(raw, plan, path, context);
    let policy = service_policy(&plan.policy, &raw.policy, &path.join("policy"), context);
    if let Some(objective) = raw.objective {
        check_objective(objective, &path.join("objective"), context);
    }
    let class = raw.class?;
    Some(Service {
        title: raw.title.clone().unwrap_or_else(|| id.to_string()),
        class,
        objective: raw.objective.unwrap_or(class.objective()),
        active_region: raw.active_region.clone()?,
        chain: raw.chain.iter().cloned().collect(),
        endpoints,
        policy,
    })
}

fn endpoints(raw: &RawService, plan: &RawPlan, path: &Path, context: &mut Context) -> BTreeMap<EndpointName, Endpoint> {
    let mut endpoints = BTreeMap::new();
    for (name, endpoint) in raw.endpoints.iter().flat_map(|e| &e.0) {
        let path = path.join("endpoints").join(name);
        endpoints.insert(name.clone(), one_endpoint(endpoint, plan, &path, context));
    }
    endpoints
}

fn one_endpoint(raw: &RawEndpoint, plan: &RawPlan, path: &Path, context: &mut Context) -> Endpoint {
    if raw.regional.is_empty() && raw.zonal.is_empty() && raw.global.is_none() {
        context.tell(path, "has no target, expected regional, zonal or global");
    }
    let mut endpoint = Endpoint {
        weight: raw.weight.unwrap_or(1),
        critical: raw.critical.unwrap_or(false),
        regional: BTreeMap::new(),
        zonal: BTreeMap::new(),
        global: None,
    };
    let layers = layers(plan, Some((path.join("probe"), &raw.probe)));
    for (region, target) in &raw.regional.0 {
        let path = path.join("regional").join(region);
        context.region(region, &path);
        endpoint.regional.extend(probe(&layers.with(&path, &target.0), context).map(|p| (region.clone(), p)));
    }
    for (region, zones) in &raw.zonal.0 {
        let path = path.join("zonal").join(region);
        if context.region(region, &path) {
            for (zone, target) in &zones.0 {
                let path = path.join(zone);
                context.zone(region, zone, &path);
                let built = probe(&layers.with(&path, &target.0), context);
                endpoint.zonal.entry(region.clone()).or_default().extend(built.map(|p| (zone.clone(), p)));
            }
        }
    }
    endpoint.global = raw.global.as_ref().and_then(|t| probe(&layers.with(&path.join("global"), &t.0), context));
    endpoint
}

pub(super) fn partners(raw: &RawPlan, context: &mut Context) -> BTreeMap<PartnerId, Partner> {
    let mut partners = BTreeMap::new();
    for (id, partner) in &raw.partners.0 {
        let path = Path::root().join("partners").join(id);
        let objective = objective(partner.objective, ServiceClass::Webservice.objective(), &path, context);
        if let Some(probe) = single(raw, partner.probe.as_ref(), &path, context) {
            let title = partner.title.clone().unwrap_or_else(|| id.to_string());
            partners.insert(id.clone(), Partner { title, probe, objective });
        }
    }
    partners
}

pub(super) fn controls(raw: &RawPlan, context: &mut Context) -> BTreeMap<ControlId, Control> {
    let mut controls = BTreeMap::new();
    for (id, control) in &raw.controls.0 {
        let path = Path::root().join("controls").join(id);
        let objective = objective(control.objective, CONTROL_OBJECTIVE, &path, context);
        if let Some(probe) = single(raw, control.probe.as_ref(), &path, context) {
            controls.insert(id.clone(), Control { probe, objective });
        }
    }
    controls
}

fn single(plan: &RawPlan, target: Option<&Target>, path: &Path, context: &mut Context) -> Option<crate::plan::Probe> {
    probe(&layers(plan, None).with(&path.join("probe"), &target?.0), context)
}

fn layers<'a>(plan: &'a RawPlan, endpoint: Option<(Path, &'a Value)>) -> Layers<'a> {
    let defaults = plan.defaults.as_ref().map(|d| (Path::root().join("defaults").join("probe"), &d.probe));
    Layers::new(defaults, endpoint)
}

fn objective(given: Option<Millis>, default: Millis, path: &Path, context: &mut Context) -> Millis {
    if let Some(objective) = given {
        check_objective(objective, &path.join("objective"), context);
    }
    given.unwrap_or(default)
}

fn check_objective(objective: Millis, path: &Path, context: &mut Context) {
    if !(1..=60_000).contains(&objective.0) {
        context.tell(path, format!("{objective} is out of range, allowed are 1ms to 60s"));
    }
}
