//! Plans for one test.

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::plan::{
    ConnectOptions, Endpoint, Expectation, HttpProbe, HttpVersion, Probe, ProbeKind, Service, TlsOptions,
};
use uitwijk_model::{AgentId, EndpointName, Millis, Plan, Policy, Region, ServiceClass, ServiceId, SlotLength, Zone};
use uitwijk_proto::v1::PlanUpdate;

use super::pki::place;

/// A plan with a service per URL, each at NL, named `s0`, `s1` and so on.
pub fn plan(revision: u64, slot_ms: u64, urls: &[String]) -> Plan {
    let nl = Region::new("NL").unwrap();
    let services = urls.iter().enumerate().map(|(i, url)| (ServiceId::new(format!("s{i}")).unwrap(), service(url)));
    Plan {
        name: "test".to_owned(),
        revision,
        slot: SlotLength::new(Millis(slot_ms)).unwrap(),
        regions: BTreeMap::from([(nl, BTreeSet::from([Zone::new("1").unwrap()]))]),
        agents: BTreeMap::from([(AgentId::new("nl-1").unwrap(), place())]),
        services: services.collect(),
        partners: BTreeMap::new(),
        controls: BTreeMap::new(),
        policy: Policy::default(),
        shadow: BTreeMap::new(),
        windows: Vec::new(),
    }
}

fn service(url: &str) -> Service {
    let endpoint = Endpoint {
        weight: 1,
        critical: true,
        regional: BTreeMap::from([(Region::new("NL").unwrap(), probe(url))]),
        zonal: BTreeMap::new(),
        global: None,
    };
    Service {
        title: "test".to_owned(),
        class: ServiceClass::Webservice,
        objective: Millis(1500),
        active_region: Region::new("NL").unwrap(),
        chain: BTreeSet::new(),
        endpoints: BTreeMap::from([(EndpointName::new("default").unwrap(), endpoint)]),
        policy: None,
    }
}

fn probe(url: &str) -> Probe {
    let http = HttpProbe {
        url: url.to_owned(),
        method: "GET".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        version: HttpVersion::Auto,
        redirects_max: 0,
        body_bytes_max: 1024,
        expect: Expectation::default(),
    };
    Probe {
        kind: ProbeKind::Http(Box::new(http)),
        timeout: Millis::from_secs(30),
        retries: 0,
        connect: ConnectOptions::default(),
        tls: TlsOptions::default(),
        served: None,
    }
}

pub fn update(plan: &Plan) -> PlanUpdate {
    PlanUpdate {
        version: plan.version().to_string(),
        revision: plan.revision,
        plan_json: plan.to_canonical_json().into_bytes(),
    }
}
