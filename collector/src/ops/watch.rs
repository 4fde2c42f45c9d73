//! What is being judged now?
//!
//! When the collector goes away the watch goes on by itself once it is back; the stream then begins with what is open, of
//! which nothing is shown twice.

use std::time::Duration;

use indexmap::IndexMap;
use uitwijk_proto::v1::{Verdict, WatchVerdictsRequest};

use super::args::Reach;
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone};
use super::{json, words};

/// Episodes of which the last shown revision is kept; the oldest goes first.
const KEPT_MAX: usize = 4096;
/// Waits between attempts to reach the collector again.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(10);

pub(crate) async fn run(
    screen: &mut Screen<'_>,
    reach: &Reach,
    first: Collector,
    service: Option<&str>,
    count: Option<u64>,
) -> Result<Answer, OpsError> {
    let mut shown = Shown::default();
    let mut collector = Some(first);
    let mut wait = WAIT_FIRST;
    loop {
        let connected = match collector.take() {
            Some(collector) => Ok(collector),
            None => Collector::connect(reach, screen.clock()).await,
        };
        let before = shown.count;
        let ended = match connected {
            Ok(collector) => follow(screen, &collector, service, count, &mut shown).await,
            Err(error) => Err(error),
        };
        let lost = match ended {
            Ok(Followed::Enough) => return Ok(Answer::Yes),
            Ok(Followed::Lost(error)) => error,
            Err(error) => error,
        };
        let OpsError::Unreachable(reason) = lost else { return Err(lost) };
        if shown.count > before {
            wait = WAIT_FIRST;
        }
        screen.note(&format!("{reason}; trying again"))?;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

enum Followed {
    /// As many as were asked for.
    Enough,
    /// The stream ended.
    Lost(OpsError),
}

async fn follow(
    screen: &mut Screen<'_>,
    collector: &Collector,
    service: Option<&str>,
    count: Option<u64>,
    shown: &mut Shown,
) -> Result<Followed, OpsError> {
    // No time limit on the message: a watch has no end.
    let message = WatchVerdictsRequest { service: service.unwrap_or_default().to_owned() };
    let mut stream = collector.answer(collector.verdicts().watch(message)).await?;
    loop {
        if count.is_some_and(|count| shown.count >= count) {
            return Ok(Followed::Enough);
        }
        match stream.message().await {
            Ok(Some(verdict)) if shown.is_news(&verdict) => show(screen, &verdict)?,
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Followed::Lost(OpsError::Unreachable("the collector ended the watch".to_owned()))),
            Err(status) => return Ok(Followed::Lost(lost(collector.failed(&status)))),
        }
    }
}

/// A stream that breaks is one whose other end went away, whatever words the library has for it.
fn lost(error: OpsError) -> OpsError {
    match error {
        OpsError::Failed(reason) => OpsError::Unreachable(reason),
        other => other,
    }
}

#[derive(Debug, Default)]
struct Shown {
    latest: IndexMap<String, u32>,
    count: u64,
}

impl Shown {
    fn is_news(&mut self, verdict: &Verdict) -> bool {
        if self.latest.get(&verdict.episode).is_some_and(|&latest| latest >= verdict.revision) {
            return false;
        }
        if self.latest.len() >= KEPT_MAX {
            self.latest.shift_remove_index(0);
        }
        self.latest.insert(verdict.episode.clone(), verdict.revision);
        self.count += 1;
        true
    }
}

fn show(screen: &mut Screen<'_>, verdict: &Verdict) -> Result<(), OpsError> {
    if screen.json {
        screen.object(&json::head(verdict))?;
        return screen.flush();
    }
    let at = screen.moment(verdict.decided_us);
    let kind = words::kind(verdict.kind);
    screen.line(Tone::Title, &format!("{at}  {}  revision {} ({kind})", verdict.episode, verdict.revision))?;
    let mut text = format!("  {}: {}", words::need(verdict.need), words::cause(verdict.cause));
    let execution = words::or_dash(&words::execution(verdict.execution));
    if execution != "-" {
        text.push_str(&format!(", failover {execution}"));
    }
    screen.line(words::need_tone(verdict.need), &text)?;
    screen.flush()
}
