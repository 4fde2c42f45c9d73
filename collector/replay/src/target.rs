//! What does the name of a target tell about it, and what is it called by its parts?
//!
//! `exchange/default@NL`, `exchange/default@NL/1`, `exchange/default@public`, `chain:idp`, `control:ctl-a`.

use uitwijk_model::{EndpointName, Region, ServiceId, TargetId, TargetKind};

use crate::record::{RecordKind, Watched};

/// The kind that a name tells.
pub(crate) fn told_by(target: &str) -> RecordKind {
    match target.split_once(':') {
        Some(("chain", _)) => RecordKind::Chain,
        Some(("control", _)) => RecordKind::Control,
        _ if target.ends_with("@public") => RecordKind::Global,
        _ => RecordKind::Regional,
    }
}

/// The name of a target from its parts; partners and controls have no part but their name.
pub(crate) fn built(
    kind: RecordKind,
    service: Option<&ServiceId>,
    endpoint: Option<&EndpointName>,
    region: Option<&Region>,
) -> Option<TargetId> {
    let (service, endpoint) = (service?.clone(), endpoint?.clone());
    match kind {
        RecordKind::Regional => Some(TargetKind::Regional { service, endpoint, region: region?.clone() }.id()),
        RecordKind::Global => Some(TargetKind::Global { service, endpoint }.id()),
        RecordKind::Chain | RecordKind::Control => None,
    }
}

impl Watched {
    /// What a name tells about its target; a zone of a deployment is told as the deployment's region.
    #[must_use]
    pub fn of_target(target: &TargetId) -> Self {
        let kind = told_by(target.as_str());
        let (path, place) = target.as_str().split_once('@').unwrap_or((target.as_str(), ""));
        let (service, endpoint) = path.split_once('/').unwrap_or((path, ""));
        let of_service = matches!(kind, RecordKind::Regional | RecordKind::Global);
        let region = place.split('/').next().unwrap_or("");
        Self {
            kind,
            service: ServiceId::new(service).ok().filter(|_| of_service),
            endpoint: EndpointName::new(endpoint).ok().filter(|_| of_service),
            target: target.clone(),
            target_region: Region::new(region).ok().filter(|_| kind == RecordKind::Regional),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_they_name() {
        let told = |name: &str| {
            let w = Watched::of_target(&TargetId::from_wire(name));
            let part = |p: Option<&str>| p.unwrap_or("-").to_owned();
            let (service, endpoint) = (w.service.as_ref().map(ServiceId::as_str), w.endpoint.as_ref());
            let rest = [
                part(service),
                part(endpoint.map(EndpointName::as_str)),
                part(w.target_region.as_ref().map(Region::as_str)),
            ];
            format!("{} {}", w.kind.as_str(), rest.join(" "))
        };
        assert_eq!(told("exchange/default@NL"), "regional exchange default NL");
        assert_eq!(told("exchange/default@NL/1"), "regional exchange default NL");
        assert_eq!(told("exchange/default@public"), "global exchange default -");
        assert_eq!(told("chain:idp"), "chain - - -");
        assert_eq!(told("control:ctl-a"), "control - - -");
        assert_eq!(told("what is this?"), "regional - - -");
    }
}
