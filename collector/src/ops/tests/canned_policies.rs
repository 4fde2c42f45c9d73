//! What the canned collector knows of labels and policies.

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tonic::{Request, Response, Status};
use uitwijk_identity::{Role, peer_of};
use uitwijk_proto::v1;
use uitwijk_proto::v1::add_label_request::Subject;
use uitwijk_proto::v1::labels_server::Labels;
use uitwijk_proto::v1::policies_server::Policies;

use super::answers::EPISODE;

/// 08:00 of that morning, and so many minutes after it.
fn minute(minute: i64) -> i64 {
    1_772_438_400_000_000 + minute * 60_000_000
}

/// Labels that were there, and those that were added.
#[derive(Debug, Clone)]
pub(super) struct CannedPolicies(Arc<Mutex<Vec<v1::Label>>>);

impl CannedPolicies {
    pub(super) fn new() -> Self {
        let first = v1::Label {
            entry: 12,
            subject: EPISODE.to_owned(),
            service: "exchange".to_owned(),
            from_us: minute(15),
            to_us: Some(minute(21)),
            need: v1::Need::Inconclusive.into(),
            note: "first look\u{1b}[31m, logs of NL are missing and nobody knows why".to_owned(),
            author: "otto".to_owned(),
            labelled_us: minute(25),
            ..v1::Label::default()
        };
        let drill = v1::Label {
            entry: 17,
            subject: "drill/exchange/2026-03-02T07:00:00Z".to_owned(),
            drill: true,
            from_us: minute(-60),
            to_us: Some(minute(-30)),
            need: 0,
            note: "monthly test".to_owned(),
            counts: true,
            ..first.clone()
        };
        Self(Arc::new(Mutex::new(vec![drill, first])))
    }
}

#[tonic::async_trait]
impl Labels for CannedPolicies {
    async fn add(&self, request: Request<v1::AddLabelRequest>) -> Result<Response<v1::AddLabelResponse>, Status> {
        let peer = peer_of(&request)?;
        peer.require("an operator", |role| matches!(role, Role::Operator))?;
        let author = peer.identity.name.clone();
        let asked = request.into_inner();
        let (subject, service, from_us, to_us, drill) = match asked.subject {
            Some(Subject::Episode(episode)) if episode == EPISODE => {
                (episode, "exchange".to_owned(), minute(15), minute(21), false)
            }
            Some(Subject::Drill(d)) => (format!("drill/{}/FROM", d.service), d.service, d.from_us, d.to_us, true),
            other => return Err(Status::not_found(format!("no episode for {other:?}"))),
        };
        let label = v1::Label {
            entry: 20,
            subject,
            drill,
            service,
            from_us,
            to_us: Some(to_us),
            need: asked.need,
            cause: asked.cause,
            execution: asked.execution,
            note: asked.note,
            author,
            labelled_us: minute(30),
            counts: true,
        };
        self.0.lock().unwrap().insert(0, label.clone());
        Ok(Response::new(v1::AddLabelResponse { label: Some(label) }))
    }

    async fn list(&self, request: Request<v1::ListLabelsRequest>) -> Result<Response<v1::ListLabelsResponse>, Status> {
        let asked = request.into_inner();
        let of_service = |l: &&v1::Label| asked.service.is_empty() || l.service == asked.service;
        let labels = self.0.lock().unwrap().iter().filter(of_service).cloned().collect();
        Ok(Response::new(v1::ListLabelsResponse { labels, next_page_token: String::new() }))
    }
}

fn amount(episodes: u64, minutes: u64) -> Option<v1::Amount> {
    Some(v1::Amount { episodes, ms: minutes * 60_000 })
}

fn judged(
    from: i64,
    to: Option<i64>,
    need: v1::Need,
    cause: v1::Cause,
    execution: v1::Execution,
) -> Option<v1::Judged> {
    Some(v1::Judged {
        episode: "exchange/2026-03-02T08:15:00Z".to_owned(),
        from_us: minute(from),
        to_us: to.map(minute),
        need: need.into(),
        cause: cause.into(),
        execution: execution.into(),
    })
}

fn comparison() -> v1::Comparison {
    let totals = |needed, missed| v1::Totals {
        needed,
        missed,
        unnecessary: amount(0, 0),
        futile: amount(1, 12),
        inconclusive: amount(2, 125),
        all: amount(9, 200),
    };
    let down = (v1::Need::Needed, v1::Cause::RegionDown, v1::Execution::Missed);
    let short = (v1::Need::NotNeeded, v1::Cause::Transient, v1::Execution::None);
    let cell = |judged: v1::Need, current, other| v1::ConfusionCell { judged: judged.into(), current, other };
    v1::Comparison {
        from_us: minute(-600),
        to_us: minute(30),
        plan_version: "a3e2f9d7cd45f739".to_owned(),
        services: vec![v1::ComparedService {
            service: "exchange".to_owned(),
            current_policy: "078bfc6a6f8bb443".to_owned(),
            other_policy: "c0ffee0000000001".to_owned(),
        }],
        current: Some(totals(amount(1, 6), amount(1, 6))),
        other: Some(totals(amount(0, 0), amount(0, 0))),
        differences: vec![
            v1::Difference {
                service: "exchange".to_owned(),
                current: judged(15, Some(21), down.0, down.1, down.2),
                other: judged(15, Some(21), short.0, short.1, short.2),
                changed: ["need", "cause", "execution"].map(str::to_owned).to_vec(),
            },
            v1::Difference {
                service: "a-service-with-a-long-name".to_owned(),
                current: None,
                other: judged(25, None, v1::Need::Inconclusive, v1::Cause::InsufficientEvidence, v1::Execution::None),
                changed: Vec::new(),
            },
        ],
        differences_omitted: 3,
        confusion: vec![
            v1::ConfusionRow {
                label: 0,
                drill: true,
                cells: vec![cell(v1::Need::Unspecified, amount(1, 30), amount(1, 30))],
            },
            v1::ConfusionRow {
                label: v1::Need::Needed.into(),
                drill: false,
                cells: vec![
                    cell(v1::Need::NotNeeded, amount(0, 0), amount(1, 6)),
                    cell(v1::Need::Needed, amount(1, 6), amount(0, 0)),
                ],
            },
        ],
        measurements: 77_760,
        damaged_records: 1,
    }
}

#[tonic::async_trait]
impl Policies for CannedPolicies {
    type BacktestStream = BoxStream<'static, Result<v1::BacktestUpdate, Status>>;

    async fn backtest(&self, request: Request<v1::BacktestRequest>) -> Result<Response<Self::BacktestStream>, Status> {
        use v1::backtest_update::Update;
        let asked = request.into_inner();
        if asked.service == "busy" {
            return Err(Status::resource_exhausted("a backtest is running already: ask again when it has ended"));
        }
        let progress = v1::BacktestProgress { measurements: 9, through_us: asked.from_us };
        let mut found = comparison();
        found.from_us = asked.from_us;
        // What was asked for is what is judged by: the other policy shows its text here.
        found.services[0].other_policy = asked.policy_json;
        let all = [Update::Progress(progress), Update::Comparison(found)];
        let all = all.map(|update| Ok(v1::BacktestUpdate { update: Some(update) }));
        Ok(Response::new(stream::iter(all).boxed()))
    }

    async fn compare(&self, request: Request<v1::CompareRequest>) -> Result<Response<v1::CompareResponse>, Status> {
        let asked = request.into_inner();
        if asked.shadow != "eager" {
            return Err(Status::not_found(format!("no shadow {} in the plan: there are eager", asked.shadow)));
        }
        let comparison = v1::Comparison {
            differences: Vec::new(),
            differences_omitted: 0,
            confusion: Vec::new(),
            measurements: 0,
            damaged_records: 0,
            ..comparison()
        };
        Ok(Response::new(v1::CompareResponse { comparison: Some(comparison), since_us: minute(-600) }))
    }
}
