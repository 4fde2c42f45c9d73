//! What the canned collector knows of switches.

use std::sync::{Arc, Mutex};

use tonic::{Request, Response, Status};
use uitwijk_identity::{Role, peer_of};
use uitwijk_proto::v1;
use uitwijk_proto::v1::switches_server::Switches;

use super::canned::NOW;

/// Switches that were there, and those that were reported.
#[derive(Debug, Clone)]
pub(super) struct CannedSwitches(Arc<Mutex<Vec<v1::Switch>>>);

impl CannedSwitches {
    pub(super) fn new() -> Self {
        let first = v1::Switch {
            entry: 14,
            service: "a-service-with-quite-a-long-name-for-a-table".to_owned(),
            from_region: "NL".to_owned(),
            to_region: "a-far-away-region".to_owned(),
            at_us: NOW.as_micros() - 600_000_000,
            reason: "NL was dark\u{1b}[31m and nobody knew why for quite some time".to_owned(),
            author: "a-person-with-a-long-name".to_owned(),
            reported_us: NOW.as_micros() - 300_000_000,
        };
        Self(Arc::new(Mutex::new(vec![first])))
    }
}

#[tonic::async_trait]
impl Switches for CannedSwitches {
    async fn report(
        &self,
        request: Request<v1::ReportSwitchRequest>,
    ) -> Result<Response<v1::ReportSwitchResponse>, Status> {
        let peer = peer_of(&request)?;
        peer.require("an operator", |role| matches!(role, Role::Operator))?;
        let author = peer.identity.name.clone();
        let asked = request.into_inner();
        if asked.service == "nobody" {
            let text = "service \"nobody\" is not in the plan: there are exchange; at_us lies in the future";
            return Err(Status::invalid_argument(text));
        }
        let now = NOW.as_micros();
        let at_us = if asked.at_us == 0 { now } else { asked.at_us };
        let mut all = self.0.lock().unwrap();
        let known = all.iter().find(|s| s.at_us == at_us && s.service == asked.service).cloned();
        let switch = known.clone().unwrap_or(v1::Switch {
            entry: 21,
            service: asked.service,
            from_region: asked.from_region,
            to_region: asked.to_region,
            at_us,
            reason: asked.reason,
            author,
            reported_us: now,
        });
        if known.is_none() {
            all.insert(0, switch.clone());
        }
        let judged = at_us >= now - 86_400_000_000;
        Ok(Response::new(v1::ReportSwitchResponse { switch: Some(switch), known: known.is_some(), judged }))
    }

    async fn list(
        &self,
        request: Request<v1::ListSwitchesRequest>,
    ) -> Result<Response<v1::ListSwitchesResponse>, Status> {
        let asked = request.into_inner();
        let wanted = |s: &&v1::Switch| {
            let begun = asked.from_us == 0 || s.at_us >= asked.from_us;
            begun && (asked.service.is_empty() || s.service == asked.service)
        };
        let switches = self.0.lock().unwrap().iter().filter(wanted).cloned().collect();
        Ok(Response::new(v1::ListSwitchesResponse { switches, next_page_token: String::new() }))
    }
}
