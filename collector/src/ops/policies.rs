//! What would another policy have said?

use std::path::Path;

use uitwijk_model::Plan;
use uitwijk_model::plan::read::{PLAN_BYTES_MAX, read_policy};
use uitwijk_proto::v1;
use uitwijk_proto::v1::backtest_update::Update;

use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::policy_args::{Backtest, Compare};
use super::screen::Screen;
use super::{comparison, plan};

pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Has the stored measurements judged by a policy of a file, and shows where it differs from the one in force.
pub(crate) async fn backtest(
    screen: &mut Screen<'_>,
    collector: &Collector,
    asked: &Backtest,
    env: Env<'_>,
) -> Result<Answer, OpsError> {
    let span = asked.range.span(screen.now(), None)?;
    if span.from_us == 0 {
        return Err(OpsError::Usage("which stretch of time: give --from, or --since".to_owned()));
    }
    let in_force: Plan = plan::current(collector).await?;
    let overrides = match read_policy(&text_of(&asked.policy)?, env, &in_force) {
        Ok(overrides) => overrides,
        Err(mistakes) => return plan::tell(screen, &asked.policy, &mistakes),
    };
    let policy_json = serde_json::to_string(&overrides)
        .map_err(|error| OpsError::Failed(format!("the policy cannot be sent: {error}")))?;
    let service = asked.service.clone().unwrap_or_default();
    // No limit of time: it takes as long as there is to judge, and ends when we do.
    let request =
        tonic::Request::new(v1::BacktestRequest { from_us: span.from_us, to_us: span.to_us, service, policy_json });
    let mut updates = collector.answer(collector.policies().backtest(request)).await?;
    while let Some(update) = updates.message().await.map_err(|status| collector.failed(&status))? {
        if let Some(Update::Comparison(found)) = update.update {
            comparison::show(screen, &found, "new")?;
            return Ok(Answer::Yes);
        }
    }
    Err(OpsError::Failed("the collector's answer ended before it was complete".to_owned()))
}

pub(super) fn text_of(file: &Path) -> Result<String, OpsError> {
    let cannot = |reason: String| OpsError::Usage(format!("{}: {reason}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| cannot(error.to_string()))?.len();
    if size > PLAN_BYTES_MAX as u64 {
        return Err(cannot(format!("{size} bytes, a policy has at most {PLAN_BYTES_MAX}")));
    }
    std::fs::read_to_string(file).map_err(|error| cannot(error.to_string()))
}

/// Shows where a shadow policy differs from what was published.
pub(crate) async fn compare(
    screen: &mut Screen<'_>,
    collector: &Collector,
    asked: &Compare,
) -> Result<Answer, OpsError> {
    let span = asked.range.span(screen.now(), None)?;
    let request = collector.request(v1::CompareRequest {
        shadow: asked.shadow.clone(),
        service: asked.service.clone().unwrap_or_default(),
        from_us: span.from_us,
        to_us: span.to_us,
    });
    let answer = collector.answer(collector.policies().compare(request)).await?;
    let found =
        answer.comparison.ok_or_else(|| OpsError::Failed("the collector's answer has no comparison".to_owned()))?;
    comparison::show(screen, &found, &asked.shadow)?;
    if span.from_us != 0 && span.from_us < answer.since_us {
        let since = screen.moment(answer.since_us);
        screen.note(&format!("{} is judged by since {since}; what lies before is not compared", asked.shadow))?;
    }
    Ok(Answer::Yes)
}
