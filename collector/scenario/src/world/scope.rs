//! Does a fault touch this request?

use uitwijk_model::{ControlId, EndpointName, PartnerId, Region, ServiceId, Vantage, Zone};

use crate::format::{Controls, Fault, FaultPath, Scope};

/// What a probe is aimed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The deployment in a region.
    Regional(ServiceId, EndpointName, Region),
    /// The public name.
    Global(ServiceId, EndpointName),
    /// A partner's diagnostic endpoint.
    Chain(PartnerId),
    /// An independent reference.
    Control(ControlId),
}

/// One request, and where it lands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Who asks; absent for what a load balancer sees, which is in the region itself.
    pub(crate) from: Option<&'a Vantage>,
    pub(crate) aim: &'a Aim,
    /// The region that serves it.
    pub(crate) region: Option<&'a Region>,
    /// The zone that serves it.
    pub(crate) zone: Option<&'a Zone>,
}

/// Whether a fault on the way to targets touches a request.
pub(crate) fn touches(f: &Fault, r: &Request<'_>) -> bool {
    f.scope.path == FaultPath::Target
        && r.from.map_or(!is_local(&f.scope), |v| seen_by(&f.scope, v))
        && aimed(&f.scope, r)
}

/// Whether a fault on another way touches what an agent does.
pub(crate) fn befalls(f: &Fault, path: FaultPath, agent: &Vantage) -> bool {
    f.scope.path == path && seen_by(&f.scope, agent)
}

/// Only some agents see it.
fn is_local(s: &Scope) -> bool {
    s.vantage_region.is_some() || !s.vantage_zones.is_empty()
}

fn seen_by(s: &Scope, agent: &Vantage) -> bool {
    s.vantage_region.as_ref().is_none_or(|r| r.has(&agent.region))
        && (s.vantage_zones.is_empty() || s.vantage_zones.contains(&agent.zone))
}

/// Whether every key about targets fits; without any, everything is touched.
fn aimed(s: &Scope, r: &Request<'_>) -> bool {
    let about_services = s.target_region.is_some()
        || !s.target_zones.is_empty()
        || !s.services.is_empty()
        || !s.endpoints.is_empty()
        || s.global
        || s.regional;
    if !about_services && s.chain_partners.is_empty() && s.control.is_none() {
        return true;
    }
    match r.aim {
        Aim::Control(control) => match &s.control {
            Some(Controls::All) => !about_services && s.chain_partners.is_empty(),
            Some(Controls::These(these)) => these.contains(control) && !about_services && s.chain_partners.is_empty(),
            None => false,
        },
        // A partner stands in no region; with one, it is the partner as reached from there.
        Aim::Chain(partner) => {
            s.chain_partners.contains(partner)
                && s.control.is_none()
                && s.target_region.as_ref().is_none_or(|t| r.from.is_some_and(|v| t.has(&v.region)))
        }
        Aim::Regional(service, endpoint, _) => !s.global && fits(s, service, endpoint, r),
        Aim::Global(service, endpoint) => !s.regional && fits(s, service, endpoint, r),
    }
}

fn fits(s: &Scope, service: &ServiceId, endpoint: &EndpointName, r: &Request<'_>) -> bool {
    s.chain_partners.is_empty() && s.control.is_none() && lands(s, service, endpoint, r)
}

/// Whether a request to a service lands where the scope says.
fn lands(s: &Scope, service: &ServiceId, endpoint: &EndpointName, r: &Request<'_>) -> bool {
    (s.services.is_empty() || s.services.contains(service))
        && (s.endpoints.is_empty() || s.endpoints.contains(endpoint))
        && s.target_region.as_ref().is_none_or(|t| r.region.is_some_and(|region| t.has(region)))
        && (s.target_zones.is_empty() || r.zone.is_some_and(|zone| s.target_zones.contains(zone)))
}

/// Whether a partner's fault reaches a request to a service that depends on it.
pub(crate) fn drags(f: &Fault, chain: &[PartnerId], r: &Request<'_>) -> bool {
    let (Aim::Regional(service, endpoint, _) | Aim::Global(service, endpoint)) = r.aim else { return false };
    let s = &f.scope;
    s.path == FaultPath::Target
        && s.chain_partners.iter().any(|p| chain.contains(p))
        && r.from.is_none_or(|v| seen_by(s, v))
        && lands(s, service, endpoint, r)
}
