//! Was a failover needed? The answers, as they are asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status};
use uitwijk_judge::Cause;
use uitwijk_model::{ServiceId, WallTime};
use uitwijk_proto::v1;

use super::ask::{self, Range};
use super::convert::{self, Detail};
use super::past;
use super::watching::Watching;
use crate::judging::{Judging, Published, Watch, WatchError};
use crate::metrics::JudgingMetrics;
use crate::plans::Plans;
use crate::verdict_log::{Entry, Filter, PageToken, VerdictLog};

/// Verdicts on a page when nobody says how many, and at most.
const PAGE: ask::PageSize = ask::PageSize { default: 100, max: 1000 };

/// The service `Verdicts`.
#[derive(Debug, Clone)]
pub struct VerdictsApi {
    /// What was published.
    pub log: Arc<VerdictLog>,
    /// What is published now.
    pub judging: Judging,
    /// Which services there are.
    pub plans: Arc<Plans>,
    /// Places for watchers.
    pub watchers: Arc<Semaphore>,
    /// How many places there are.
    pub watchers_max: usize,
    /// Who is watching.
    pub watching: Watching,
    /// What is counted.
    pub metrics: JudgingMetrics,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl v1::verdicts_server::Verdicts for VerdictsApi {
    type WatchStream = BoxStream<'static, Result<v1::Verdict, Status>>;

    async fn list(&self, request: Request<v1::ListVerdictsRequest>) -> Answer<v1::ListVerdictsResponse> {
        let request = request.into_inner();
        let size = PAGE.of(request.page_size)?;
        let Range { from, to } = Range::of(request.from_us, request.to_us)?;
        let service = (!request.service.is_empty()).then_some(request.service);
        if let Some(service) = &service {
            self.check_past_or_present(service).await?;
        }
        let filter = Filter { service, from, to, as_of: ask::moment(request.as_of_us) };
        let after = match request.page_token.as_str() {
            "" => None,
            text => Some(PageToken::from_text(text).ok_or_else(|| ask::bad_token(text))?),
        };
        let all = request.all;
        let (entries, next) = self
            .read(move |log| log.page(&filter, after.as_ref(), size, &|entry| all || is_worth_a_line(entry)))
            .await?;
        let verdicts = entries.iter().map(|entry| told(entry, Detail::Head)).collect::<Result<_, _>>()?;
        let next_page_token = next.map(|token| token.to_text()).unwrap_or_default();
        Ok(Response::new(v1::ListVerdictsResponse { verdicts, next_page_token }))
    }

    async fn get(&self, request: Request<v1::GetVerdictRequest>) -> Answer<v1::GetVerdictResponse> {
        let v1::GetVerdictRequest { episode, revision, as_of_us } = request.into_inner();
        let (name, as_of) = (episode.clone(), ask::moment(as_of_us));
        let mut entries = self.read(move |log| log.revisions(&name)).await?;
        let existing = entries.len();
        entries.retain(|entry| as_of.is_none_or(|moment| entry.decided() <= moment));
        let wanted = match revision {
            0 => entries.last(),
            n => entries.iter().find(|entry| entry.revision == n),
        };
        let Some(entry) = wanted else {
            let unknown = match as_of.filter(|_| existing > entries.len()) {
                Some(moment) => not_yet(&episode, entries.len(), moment),
                None => missing(&episode, revision, entries.len()),
            };
            return Err(Status::not_found(unknown));
        };
        let verdict = Some(told(entry, Detail::Full)?);
        let revisions = entries.iter().map(|entry| told(entry, Detail::Head)).collect::<Result<_, _>>()?;
        Ok(Response::new(v1::GetVerdictResponse { verdict, revisions }))
    }

    async fn watch(&self, request: Request<v1::WatchVerdictsRequest>) -> Answer<Self::WatchStream> {
        let service = request.into_inner().service;
        if !service.is_empty() {
            self.check_planned(&service)?;
        }
        let place = self.watchers.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{} watchers are there already (limits.watchers_max)",
                self.watchers_max
            ))
        })?;
        let mut watch = self.judging.board().watch();
        let ahead = std::mem::take(&mut watch.open).into();
        let watcher = Watcher {
            ahead,
            watch,
            service,
            metrics: self.metrics.clone(),
            _watching: self.watching.join(),
            _place: place,
        };
        Ok(Response::new(stream::unfold(Some(watcher), next).boxed()))
    }

    async fn timeline(&self, request: Request<v1::TimelineRequest>) -> Answer<v1::TimelineResponse> {
        let request = request.into_inner();
        let Range { from, to } = Range::of(request.from_us, request.to_us)?;
        let service = self.check_planned(&request.service)?;
        if let Some(moment) = ask::moment(request.as_of_us) {
            return self.past(service, (from, to), moment).await;
        }
        let (from, to) =
            (from.unwrap_or(WallTime::from_micros(i64::MIN)), to.unwrap_or(WallTime::from_micros(i64::MAX)));
        let timeline = self.judging.timeline(service, from, to).await.ok_or_else(stopping)?;
        Ok(Response::new(v1::TimelineResponse {
            segments: timeline.segments.iter().map(convert::segment).collect(),
            watermark_us: timeline.watermark.map_or(0, WallTime::as_micros),
        }))
    }
}

impl VerdictsApi {
    /// What a service was known to be at an earlier moment.
    async fn past(
        &self,
        service: ServiceId,
        (from, to): (Option<WallTime>, Option<WallTime>),
        moment: WallTime,
    ) -> Answer<v1::TimelineResponse> {
        let filter = Filter { service: Some(service.as_str().to_owned()), from, to, as_of: Some(moment) };
        let entries = self.read(move |log| log.all(&filter)).await?;
        let known = entries.iter().map(|entry| Ok(read(entry)?.revision)).collect::<Result<Vec<_>, Status>>()?;
        let segments = past::timeline(&known, (from, to), moment).iter().map(convert::segment).collect();
        Ok(Response::new(v1::TimelineResponse { segments, watermark_us: 0 }))
    }

    /// The service of the plan that has this name.
    fn check_planned(&self, name: &str) -> Result<ServiceId, Status> {
        let service = ServiceId::new(name).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let plan = self.plans.current();
        if plan.plan.services.contains_key(&service) {
            return Ok(service);
        }
        let known: Vec<&str> = plan.plan.services.keys().map(ServiceId::as_str).collect();
        Err(Status::not_found(format!("no service {service} in the plan: there are {}", known.join(", "))))
    }

    /// The log remembers services that have left the plan since; of what neither knows there is nothing to list.
    async fn check_past_or_present(&self, name: &str) -> Result<(), Status> {
        let Err(unknown) = self.check_planned(name) else { return Ok(()) };
        let of_it = Filter { service: Some(name.to_owned()), ..Filter::default() };
        let (entries, _) = self.read(move |log| log.page(&of_it, None, 1, &|_| true)).await?;
        if entries.is_empty() { Err(unknown) } else { Ok(()) }
    }

    /// Reads the log where it may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&VerdictLog) -> Result<T, crate::verdict_log::LogError> + Send + 'static,
    ) -> Result<T, Status> {
        let log = self.log.clone();
        ask::blocking(move || read(&log)).await
    }
}

fn stopping() -> Status {
    Status::unavailable("the collector stops: ask again later or ask another collector")
}

fn missing(episode: &str, revision: u32, known: usize) -> String {
    let episode: String = episode.chars().take(200).collect();
    match known {
        0 => format!("no episode {episode:?}: Verdicts.List shows those that there are"),
        _ => format!("episode {episode:?} has revisions 1 to {known}, not {revision}"),
    }
}

fn not_yet(episode: &str, known: usize, moment: WallTime) -> String {
    let episode: String = episode.chars().take(200).collect();
    match known {
        0 => format!("episode {episode:?} was not known yet at {moment}"),
        _ => format!("of episode {episode:?} revisions 1 to {known} were known at {moment}"),
    }
}

fn read(entry: &Entry) -> Result<Published, Status> {
    Published::from_entry(entry).map_err(|e| Status::data_loss(e.to_string()))
}

fn told(entry: &Entry, detail: Detail) -> Result<v1::Verdict, Status> {
    Ok(convert::verdict(&read(entry)?, detail))
}

/// Whether a list shows it without being asked for all.
fn is_worth_a_line(entry: &Entry) -> bool {
    entry.body.pointer("/revision/cause").and_then(|cause| cause.as_str()) != Some(Cause::Healthy.label())
}

/// Somebody who watches.
struct Watcher {
    /// Open episodes that it was not told of yet.
    ahead: VecDeque<Arc<Published>>,
    watch: Watch,
    /// Empty for all.
    service: String,
    metrics: JudgingMetrics,
    _watching: super::watching::Guard,
    _place: OwnedSemaphorePermit,
}

/// The next thing a watcher is told, and the watcher unless that was the last.
async fn next(watcher: Option<Watcher>) -> Option<(Result<v1::Verdict, Status>, Option<Watcher>)> {
    let mut watcher = watcher?;
    loop {
        let published = match watcher.ahead.pop_front() {
            Some(open) => open,
            None => match watcher.watch.next().await {
                Ok(published) => published,
                Err(error) => return Some((Err(watcher.ended(error)), None)),
            },
        };
        if watcher.service.is_empty() || watcher.service == published.revision.service.as_str() {
            return Some((Ok(convert::verdict(&published, Detail::Full)), Some(watcher)));
        }
    }
}

impl Watcher {
    fn ended(&self, error: WatchError) -> Status {
        match error {
            WatchError::Behind(_) => {
                self.metrics.watchers_lagged.inc();
                Status::aborted(error.to_string())
            }
            WatchError::Closed => stopping(),
        }
    }
}
