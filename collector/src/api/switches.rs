//! When did somebody move users to another region?

use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Request, Response, Status};
use uitwijk_identity::peer_of;
use uitwijk_model::{Clock, Plan, Region, Service, ServiceId, WallTime};
use uitwijk_proto::v1;

use super::ask::{self, Range};
use crate::ingest::JudgeInput;
use crate::plans::Plans;
use crate::switches::{AGE_MAX, SwitchReport};
use crate::verdict_log::{Filter, LogError, PageToken, Remark, VerdictLog};

/// Switches on a page when nobody says how many, and at most.
const PAGE: ask::PageSize = ask::PageSize { default: 100, max: 1000 };

/// The service `Switches`.
#[derive(Debug, Clone)]
pub struct SwitchesApi {
    /// Where switches stand.
    pub log: Arc<VerdictLog>,
    /// Which services and regions there are.
    pub plans: Arc<Plans>,
    /// When something was reported.
    pub clock: Arc<dyn Clock>,
    /// Who takes them in; weak, for the judge ends when nobody can feed it any more.
    pub judge: mpsc::WeakSender<JudgeInput>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl v1::switches_server::Switches for SwitchesApi {
    async fn report(&self, request: Request<v1::ReportSwitchRequest>) -> Answer<v1::ReportSwitchResponse> {
        let author = peer_of(&request)?.identity.name.clone();
        let (now, plan) = (self.clock.wall(), self.plans.current().plan.clone());
        let report = check(request.into_inner(), author, &plan, now)?;
        let judged = report.at >= now.minus(plan.policy_of(&report.service).horizon);
        let place = self.place().await?;
        let log = self.log.clone();
        // The hand-over is inside, for whoever asked may go away, and nothing may come between the two.
        let (entry, known) = ask::blocking(move || {
            let (entry, known) = log.switch(now, &report.remark(), now.minus(AGE_MAX))?;
            if !known {
                drop(place.send(JudgeInput::Switch(report.heard(now))));
            }
            Ok::<_, LogError>((entry, known))
        })
        .await?;
        tracing::info!(switch = entry.episode, entry = entry.sequence, known, judged, "a switch was reported");
        let switch = Some(message(&Remark { entry, latest: true })?);
        Ok(Response::new(v1::ReportSwitchResponse { switch, known, judged }))
    }

    async fn list(&self, request: Request<v1::ListSwitchesRequest>) -> Answer<v1::ListSwitchesResponse> {
        let request = request.into_inner();
        let size = PAGE.of(request.page_size)?;
        let Range { from, to } = Range::of(request.from_us, request.to_us)?;
        let service = (!request.service.is_empty()).then_some(request.service);
        let filter = Filter { service, from, to, as_of: None };
        let after = match request.page_token.as_str() {
            "" => None,
            text => Some(PageToken::from_text(text).ok_or_else(|| ask::bad_token(text))?),
        };
        let log = self.log.clone();
        let (page, next) = ask::blocking(move || log.switches(&filter, after.as_ref(), size)).await?;
        let switches = page.iter().map(message).collect::<Result<_, _>>()?;
        let next_page_token = next.map(|token| token.to_text()).unwrap_or_default();
        Ok(Response::new(v1::ListSwitchesResponse { switches, next_page_token }))
    }
}

impl SwitchesApi {
    /// A place in the judge's queue, so that what is written is taken in.
    async fn place(&self) -> Result<mpsc::OwnedPermit<JudgeInput>, Status> {
        let stopping = || Status::unavailable("the collector is stopping and nothing was written: report it again");
        let judge = self.judge.upgrade().ok_or_else(stopping)?;
        judge.reserve_owned().await.map_err(|_| stopping())
    }
}

/// Everything that is wrong with a report, or what it says.
fn check(request: v1::ReportSwitchRequest, author: String, plan: &Plan, now: WallTime) -> Result<SwitchReport, Status> {
    let mut mistakes = Vec::new();
    let v1::ReportSwitchRequest { service, from_region, to_region, at_us, reason } = request;
    let at = ask::moment(at_us).unwrap_or(now);
    let service = note(known_service(plan, &service), &mut mistakes);
    let from = note(known_region(plan, "from_region", &from_region), &mut mistakes);
    let to = note(known_region(plan, "to_region", &to_region), &mut mistakes);
    note(moved(service, from.as_ref(), to.as_ref()), &mut mistakes);
    note(in_time(at, now), &mut mistakes);
    note(ask::words("reason", &reason), &mut mistakes);
    match (service, from, to) {
        (Some((service, _)), Some(from), Some(to)) if mistakes.is_empty() => {
            Ok(SwitchReport { service: service.clone(), from, to, at, reason, author })
        }
        _ => Err(Status::invalid_argument(mistakes.join("; "))),
    }
}

fn note<T>(checked: Result<T, String>, mistakes: &mut Vec<String>) -> Option<T> {
    checked.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn known_service<'a>(plan: &'a Plan, name: &str) -> Result<(&'a ServiceId, &'a Service), String> {
    let found = plan.services.iter().find(|(id, _)| id.as_str() == name);
    found.ok_or_else(|| no_such("service", name, plan.services.keys().map(ServiceId::as_str)))
}

fn known_region(plan: &Plan, field: &str, name: &str) -> Result<Region, String> {
    let found = plan.regions.keys().find(|region| region.as_str() == name);
    found.cloned().ok_or_else(|| no_such(field, name, plan.regions.keys().map(Region::as_str)))
}

fn no_such<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let name: String = name.chars().take(80).collect();
    let known: Vec<&str> = known.collect();
    format!("{what} {name:?} is not in the plan: there are {}", known.join(", "))
}

/// A switch goes somewhere else, where there is something to go to.
fn moved(service: Option<(&ServiceId, &Service)>, from: Option<&Region>, to: Option<&Region>) -> Result<(), String> {
    let Some(to) = to else { return Ok(()) };
    if from == Some(to) {
        return Err(format!(
            "to_region {to} is from_region as well: name the region that was left and the one that serves since"
        ));
    }
    let Some((id, service)) = service else { return Ok(()) };
    let deployed: std::collections::BTreeSet<&str> =
        service.endpoints.values().flat_map(|endpoint| endpoint.regional.keys()).map(Region::as_str).collect();
    if deployed.contains(to.as_str()) {
        return Ok(());
    }
    let deployed: Vec<&str> = deployed.into_iter().collect();
    Err(format!("to_region {to} has no endpoint of {id}: it is deployed in {}", deployed.join(", ")))
}

fn in_time(at: WallTime, now: WallTime) -> Result<(), String> {
    if at > now {
        return Err(format!("at_us ({at}) lies in the future: here it is {now}"));
    }
    if at < now.minus(AGE_MAX) {
        return Err(format!("at_us ({at}) is too long ago: allowed is {AGE_MAX} before {now}"));
    }
    Ok(())
}

fn message(remark: &Remark) -> Result<v1::Switch, Status> {
    let report = SwitchReport::of(remark).map_err(|e| Status::data_loss(e.to_string()))?;
    Ok(v1::Switch {
        entry: remark.entry.sequence,
        service: report.service.to_string(),
        from_region: report.from.to_string(),
        to_region: report.to.to_string(),
        at_us: report.at.as_micros(),
        reason: report.reason,
        author: report.author,
        reported_us: remark.entry.published_us,
    })
}
