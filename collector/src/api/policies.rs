//! What would another policy have said?

use std::ops::ControlFlow;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uitwijk_model::plan::read::read_policy;
use uitwijk_model::{Clock, Plan, ServiceId, ShadowName};
use uitwijk_proto::v1;

use super::ask::{self, Failure as _};
use super::comparing;
use crate::labels::{self, LabelsError};
use crate::plans::Plans;
use crate::policies::backtest::{self, BacktestError, Progress, Question, STRETCH_MAX};
use crate::policies::{Compared, Stretch, compare};
use crate::shadow::{ShadowError, Shadows};
use crate::store::Store;
use crate::switches;
use crate::verdict_log::VerdictLog;

/// Backtests at a time: each reads the disk and keeps a processor busy.
const BACKTESTS_MAX: usize = 1;
/// Messages that may wait for whoever asked.
const AHEAD_MAX: usize = 4;

/// The service `Policies`.
#[derive(Debug, Clone)]
pub struct PoliciesApi {
    store: Store,
    log: Arc<VerdictLog>,
    shadows: Shadows,
    plans: Arc<Plans>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

type Updates = mpsc::Sender<Result<v1::BacktestUpdate, Status>>;

#[tonic::async_trait]
impl v1::policies_server::Policies for PoliciesApi {
    type BacktestStream = BoxStream<'static, Result<v1::BacktestUpdate, Status>>;

    async fn backtest(&self, request: Request<v1::BacktestRequest>) -> Result<Response<Self::BacktestStream>, Status> {
        let request = request.into_inner();
        let question = self.question(&request)?;
        let place =
            self.places.clone().try_acquire_owned().map_err(|_| {
                Status::resource_exhausted("a backtest is running already: ask again when it has ended")
            })?;
        let (updates, answers) = mpsc::channel(AHEAD_MAX);
        let (this, span) = (self.clone(), tracing::Span::current());
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let _entered = span.enter();
            let answer = this.run(question, &updates);
            // Whoever asked may have gone, and the answer with them.
            let _ = updates.blocking_send(answer);
        });
        Ok(Response::new(ReceiverStream::new(answers).boxed()))
    }

    async fn compare(&self, request: Request<v1::CompareRequest>) -> Result<Response<v1::CompareResponse>, Status> {
        let request = request.into_inner();
        let plan = self.plans.current().plan.clone();
        let shadow = shadow_of(&plan, &request.shadow)?;
        let services = services_of(&plan, &request.service)?;
        let only = (!request.service.is_empty()).then(|| services[0].clone());
        let now = self.clock.wall();
        let asked = ask::Range::of(request.from_us, request.to_us)?;
        let to = asked.to.unwrap_or(now);
        let stretch = Stretch { from: asked.from.unwrap_or(to.minus(STRETCH_MAX)), to };
        let (log, shadows) = (self.log.clone(), self.shadows.clone());
        let overrides = plan.shadow.get(&shadow).cloned().unwrap_or_default();
        let message = ask::blocking(move || {
            let since = shadows.since(&shadow)?.unwrap_or(now);
            let stretch = Stretch { from: stretch.from.max(since), ..stretch };
            let current = shadows.real_episodes(&log, only.as_ref(), stretch)?;
            let other = shadows.episodes(&shadow, only.as_ref(), stretch)?;
            let labels = labels::said(&log, only.as_ref(), stretch)?;
            let compared = Compared { current: &current, other: &other, labels: &labels };
            let comparison = compare(compared, stretch, &|_| Some(Stretch { to: now, ..stretch }));
            let comparison = comparing::comparison(&comparison, &plan, &services, &overrides);
            let since_us = since.as_micros();
            Ok::<_, CompareError>(v1::CompareResponse { comparison: Some(comparison), since_us })
        });
        Ok(Response::new(message.await?))
    }
}

impl PoliciesApi {
    /// Answers from what is stored and from what was said.
    #[must_use]
    pub fn new(
        store: Store,
        log: Arc<VerdictLog>,
        shadows: Shadows,
        plans: Arc<Plans>,
        clock: Arc<dyn Clock>,
        stopping: CancellationToken,
    ) -> Self {
        let places = Arc::new(Semaphore::new(BACKTESTS_MAX));
        Self { store, log, shadows, plans, clock, places, stopping }
    }

    fn question(&self, request: &v1::BacktestRequest) -> Result<Question, Status> {
        let plan = self.plans.current().plan.clone();
        let now = self.clock.wall();
        let range = ask::Range::of(request.from_us, request.to_us)?;
        let Some(from) = range.from else {
            return Err(Status::invalid_argument("from_us is missing: say which stretch of time to judge anew"));
        };
        let to = range.to.unwrap_or(now);
        if to > from.plus(STRETCH_MAX) {
            return Err(Status::invalid_argument(format!("from_us to to_us is longer than {STRETCH_MAX}, the most")));
        }
        if from >= now.min(to) {
            return Err(Status::invalid_argument(format!("from_us ({from}) lies in the future")));
        }
        let overrides = read_policy(&request.policy_json, &|_| None, &plan)
            .map_err(|mistakes| Status::invalid_argument(format!("policy_json: {mistakes}")))?;
        let services = services_of(&plan, &request.service)?;
        let service = (!request.service.is_empty()).then(|| services[0].clone());
        Ok(Question { plan, overrides, service, switches: Vec::new(), stretch: Stretch { from, to }, now })
    }

    fn run(&self, mut question: Question, updates: &Updates) -> Result<v1::BacktestUpdate, Status> {
        let since = question.stretch.from.minus(STRETCH_MAX);
        question.switches = switches::done(&self.log, question.service.as_ref(), since).map_err(|e| e.status())?;
        let question = &question;
        let mut watcher = |Progress { measurements, through }: Progress| {
            if updates.is_closed() || self.stopping.is_cancelled() {
                return ControlFlow::Break(());
            }
            let progress = v1::BacktestProgress { measurements, through_us: through.as_micros() };
            let update = v1::backtest_update::Update::Progress(progress);
            // Who does not keep up with the progress hears the next.
            let _ = updates.try_send(Ok(v1::BacktestUpdate { update: Some(update) }));
            ControlFlow::Continue(())
        };
        let outcome = backtest::run(&self.store, question, &mut watcher).map_err(|e| status(&e))?;
        let said = labels::said(&self.log, question.service.as_ref(), question.stretch).map_err(|e| e.status())?;
        let compared = Compared { current: &outcome.current, other: &outcome.other, labels: &said };
        let comparison = compare(compared, question.stretch, &|service| outcome.judged.get(service).copied());
        let services: Vec<ServiceId> = match &question.service {
            Some(service) => vec![service.clone()],
            None => question.plan.services.keys().cloned().collect(),
        };
        let mut message = comparing::comparison(&comparison, &question.plan, &services, &question.overrides);
        (message.measurements, message.damaged_records) = (outcome.measurements, outcome.damaged);
        Ok(v1::BacktestUpdate { update: Some(v1::backtest_update::Update::Comparison(message)) })
    }
}

fn shadow_of(plan: &Plan, name: &str) -> Result<ShadowName, Status> {
    let known = plan.shadow.keys().map(ShadowName::as_str).collect::<Vec<_>>();
    match ShadowName::new(name) {
        Ok(shadow) if plan.shadow.contains_key(&shadow) => Ok(shadow),
        Ok(_) if known.is_empty() => Err(Status::not_found("the plan has no shadow policy: add one under shadow")),
        Ok(shadow) => Err(Status::not_found(format!("no shadow {shadow} in the plan: there are {}", known.join(", ")))),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}

/// The service of that name, or all.
fn services_of(plan: &Plan, name: &str) -> Result<Vec<ServiceId>, Status> {
    if name.is_empty() {
        return Ok(plan.services.keys().cloned().collect());
    }
    let service = ServiceId::new(name).map_err(|e| Status::invalid_argument(e.to_string()))?;
    if plan.services.contains_key(&service) {
        return Ok(vec![service]);
    }
    let known: Vec<&str> = plan.services.keys().map(ServiceId::as_str).collect();
    Err(Status::not_found(format!("no service {service} in the plan: there are {}", known.join(", "))))
}

fn status(error: &BacktestError) -> Status {
    match error {
        BacktestError::TooMany => Status::resource_exhausted(error.to_string()),
        BacktestError::Ended => Status::cancelled(error.to_string()),
        BacktestError::Store(_) => Status::internal(error.to_string()),
    }
}

/// Why two policies cannot be compared.
#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    #[error(transparent)]
    Labels(#[from] LabelsError),
}

impl ask::Failure for LabelsError {
    fn status(&self) -> Status {
        match self {
            Self::Log(error) => error.status(),
            Self::TooMany => Status::resource_exhausted(self.to_string()),
        }
    }
}

impl ask::Failure for CompareError {
    fn status(&self) -> Status {
        match self {
            Self::Labels(error) => error.status(),
            Self::Shadow(ShadowError::Log(error)) => error.status(),
            Self::Shadow(ShadowError::NotOpen) => Status::unavailable(self.to_string()),
            Self::Shadow(ShadowError::TooMany) => Status::resource_exhausted(self.to_string()),
            Self::Shadow(ShadowError::Unreadable { .. }) => Status::data_loss(self.to_string()),
        }
    }
}
