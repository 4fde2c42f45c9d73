//! Who said what of an episode, and when were users moved on purpose?

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uitwijk_identity::peer_of;
use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::{Clock, Millis, ServiceId, WallTime};
use uitwijk_proto::v1;

use super::ask::{self, Range};
use super::convert;
use crate::judging::Published;
use crate::labels::Label;
use crate::plans::Plans;
use crate::verdict_log::{Entry, Filter, NewRemark, PageToken, Remark, VerdictLog};

/// Labels on a page when nobody says how many, and at most.
const PAGE: ask::PageSize = ask::PageSize { default: 100, max: 1000 };
/// The longest drill.
const DRILL_MAX: Millis = Millis::from_secs(31 * 86_400);

/// The service `Labels`.
#[derive(Debug, Clone)]
pub struct LabelsApi {
    /// Where labels stand, and the episodes that they are about.
    pub log: Arc<VerdictLog>,
    /// Which services there are.
    pub plans: Arc<Plans>,
    /// When something was said.
    pub clock: Arc<dyn Clock>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl v1::labels_server::Labels for LabelsApi {
    async fn add(&self, request: Request<v1::AddLabelRequest>) -> Answer<v1::AddLabelResponse> {
        let author = peer_of(&request)?.identity.name.clone();
        let v1::AddLabelRequest { subject, need, cause, execution, note } = request.into_inner();
        let said = Words { need, cause, execution, note }.check(author)?;
        let new = match subject {
            Some(v1::add_label_request::Subject::Episode(episode)) => self.on_episode(episode, said).await?,
            Some(v1::add_label_request::Subject::Drill(drill)) => self.on_drill(&drill, said)?,
            None => return Err(Status::invalid_argument("subject is missing: name an episode or a drill")),
        };
        let (log, now) = (self.log.clone(), self.clock.wall());
        let entry = ask::blocking(move || log.label(now, &new)).await?;
        tracing::info!(subject = entry.episode, entry = entry.sequence, "a label was added");
        let label = Some(message(&Remark { entry, latest: true })?);
        Ok(Response::new(v1::AddLabelResponse { label }))
    }

    async fn list(&self, request: Request<v1::ListLabelsRequest>) -> Answer<v1::ListLabelsResponse> {
        let request = request.into_inner();
        let size = PAGE.of(request.page_size)?;
        let Range { from, to } = Range::of(request.from_us, request.to_us)?;
        let filter =
            Filter { service: (!request.service.is_empty()).then_some(request.service), from, to, as_of: None };
        let after = match request.page_token.as_str() {
            "" => None,
            text => Some(PageToken::from_text(text).ok_or_else(|| ask::bad_token(text))?),
        };
        let log = self.log.clone();
        let (page, next) = ask::blocking(move || log.labels(&filter, after.as_ref(), size)).await?;
        let labels = page.iter().map(message).collect::<Result<_, _>>()?;
        let next_page_token = next.map(|token| token.to_text()).unwrap_or_default();
        Ok(Response::new(v1::ListLabelsResponse { labels, next_page_token }))
    }
}

impl LabelsApi {
    async fn on_episode(&self, episode: String, said: Spoken) -> Result<NewRemark, Status> {
        let Some(need) = said.need else {
            return Err(Status::invalid_argument("need is missing: say what the need of the episode was"));
        };
        let (log, name) = (self.log.clone(), episode.clone());
        let entry: Option<Entry> = ask::blocking(move || log.get(&name, None)).await?;
        let entry = entry.ok_or_else(|| {
            let episode: String = episode.chars().take(200).collect();
            Status::not_found(format!("no episode {episode:?}: Verdicts.List shows those that there are"))
        })?;
        let revision = Published::from_entry(&entry).map_err(|e| Status::data_loss(e.to_string()))?.revision;
        let label = said.about(revision.service, revision.from, revision.to, Some(need));
        Ok(label.about(episode))
    }

    fn on_drill(&self, drill: &v1::Drill, said: Spoken) -> Result<NewRemark, Status> {
        let service = ServiceId::new(&drill.service).map_err(|e| Status::invalid_argument(e.to_string()))?;
        if !self.plans.current().plan.services.contains_key(&service) {
            return Err(Status::not_found(format!("no service {service} in the plan: Fleet.WatchPlan has it")));
        }
        if said.need.is_some() || said.cause.is_some() || said.execution.is_some() {
            return Err(Status::invalid_argument("a drill has no need, cause or execution: leave them out"));
        }
        let (Some(from), Some(to)) = Range::of(drill.from_us, drill.to_us).map(|range| (range.from, range.to))? else {
            return Err(Status::invalid_argument("a drill has a start and an end: from_us or to_us is missing"));
        };
        if from.plus(DRILL_MAX) < to {
            return Err(Status::invalid_argument(format!(
                "from_us to to_us is longer than {DRILL_MAX}, the most for a drill"
            )));
        }
        let name = Label::drill_name(&service, from);
        Ok(said.about(service, from, Some(to), None).about(name))
    }
}

/// What a request says, as it came.
struct Words {
    need: i32,
    cause: i32,
    execution: i32,
    note: String,
}

/// What a request says, well put.
struct Spoken {
    need: Option<Need>,
    cause: Option<Cause>,
    execution: Option<Execution>,
    note: String,
    author: String,
}

impl Words {
    fn check(self, author: String) -> Result<Spoken, Status> {
        let unknown = |what: &str, n: i32| Status::invalid_argument(format!("{what} {n} is none of the schema"));
        let need = convert::need_of(self.need).map_err(|n| unknown("need", n))?;
        let cause = convert::cause_of(self.cause).map_err(|n| unknown("cause", n))?;
        let execution = convert::execution_of(self.execution).map_err(|n| unknown("execution", n))?;
        if let (Some(need), Some(cause)) = (need, cause)
            && cause.need() != need
        {
            let text = format!("cause {cause} goes with {}, not with {need}", cause.need());
            return Err(Status::invalid_argument(text));
        }
        ask::words("note", &self.note).map_err(Status::invalid_argument)?;
        Ok(Spoken { need, cause, execution, note: self.note, author })
    }
}

impl Spoken {
    fn about(self, service: ServiceId, from: WallTime, to: Option<WallTime>, need: Option<Need>) -> Label {
        let Self { cause, execution, note, author, .. } = self;
        Label { service, from, to, need, cause, execution, note, author }
    }
}

fn message(labelled: &Remark) -> Result<v1::Label, Status> {
    let label = Label::of(labelled).map_err(|e| Status::data_loss(e.to_string()))?;
    let entry = &labelled.entry;
    Ok(v1::Label {
        entry: entry.sequence,
        subject: entry.episode.clone(),
        drill: label.is_drill(),
        service: label.service.to_string(),
        from_us: label.from.as_micros(),
        to_us: label.to.map(WallTime::as_micros),
        need: label.need.map_or(v1::Need::Unspecified, convert::need).into(),
        cause: label.cause.map_or(v1::Cause::Unspecified, convert::cause).into(),
        execution: label.execution.map_or(v1::Execution::Unspecified, convert::execution).into(),
        note: label.note,
        author: label.author,
        labelled_us: entry.published_us,
        counts: labelled.latest,
    })
}
