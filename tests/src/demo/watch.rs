//! What do the collectors publish while a story is played?

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;
use uitwijk_proto::v1::{Need, RevisionKind, Verdict, WatchVerdictsRequest};

use super::screen::{Screen, Tone};
use super::story::Story;

/// Revisions that may wait to be shown.
const QUEUE_MAX: usize = 1024;

/// The latest revision of each episode, by collector.
pub struct Newsroom {
    published: mpsc::Receiver<(String, Verdict)>,
    latest: BTreeMap<(String, String), Verdict>,
    _stop: DropGuard,
}

impl Newsroom {
    /// Watches every collector, each over its own connection.
    ///
    /// # Errors
    /// When one cannot be asked.
    pub async fn open(collectors: BTreeMap<String, Channel>) -> anyhow::Result<Self> {
        let (sender, published) = mpsc::channel(QUEUE_MAX);
        let stop = CancellationToken::new();
        for (name, channel) in collectors {
            let mut client = VerdictsClient::new(channel);
            let request = WatchVerdictsRequest { service: String::new() };
            let mut stream = client.watch(request).await.context("watch verdicts")?.into_inner();
            let sender = sender.clone();
            tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                while let Ok(Some(verdict)) = stream.message().await {
                    if sender.send((name.clone(), verdict)).await.is_err() {
                        return;
                    }
                }
            }));
        }
        Ok(Self { published, latest: BTreeMap::new(), _stop: stop.drop_guard() })
    }

    /// Shows what is published, for so long or until `done` says so of what is known.
    pub async fn show(&mut self, screen: &Screen, span: Duration, done: impl Fn(&Self) -> bool) {
        let end = tokio::time::Instant::now() + span;
        while !done(self) {
            match tokio::time::timeout_at(end, self.published.recv()).await {
                Ok(Some((collector, verdict))) => self.take(screen, &collector, verdict),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// The latest revision on the episode of a service that covers a moment, as each collector has it.
    pub fn covering(&self, service: &str, at_us: i64) -> BTreeMap<&str, &Verdict> {
        let covers = |v: &Verdict| v.from_us <= at_us && v.to_us.is_none_or(|to| to > at_us);
        let found = self.latest.iter().filter(|(_, v)| v.service == service && covers(v));
        found.map(|((collector, _), v)| (collector.as_str(), v)).collect()
    }

    /// The first verdict on any service that calls for a switch, whoever said it.
    pub fn calls_for_a_switch(&self) -> Option<(&str, &Verdict)> {
        let needed = |v: &Verdict| v.need() == Need::Needed;
        self.latest.iter().find(|(_, v)| needed(v)).map(|((collector, _), v)| (collector.as_str(), v))
    }

    fn take(&mut self, screen: &Screen, collector: &str, verdict: Verdict) {
        let key = (collector.to_owned(), verdict.episode.clone());
        let said = |v: &Verdict| (v.kind, v.need, v.cause, v.execution, v.to_us.is_some());
        let known = self.latest.get(&key).is_some_and(|before| said(before) == said(&verdict));
        if !known {
            screen.event("verdict", Tone::Strong, &headline(collector, &verdict));
        }
        self.latest.insert(key, verdict);
    }
}

/// Whether a verdict is the one of the story.
pub fn is_of(story: &Story, verdict: &Verdict) -> bool {
    verdict.need() == story.need && verdict.cause() == story.cause && verdict.execution() == story.execution
}

/// Whether nothing more is expected to change in it.
pub fn is_settled(verdict: &Verdict) -> bool {
    matches!(verdict.kind(), RevisionKind::Final | RevisionKind::Revised)
}

fn headline(collector: &str, v: &Verdict) -> String {
    let kind = word(v.kind().as_str_name(), "REVISION_KIND_");
    let need = word(v.need().as_str_name(), "NEED_");
    let cause = word(v.cause().as_str_name(), "CAUSE_");
    let execution = match v.execution() {
        uitwijk_proto::v1::Execution::None => String::new(),
        other => format!(", {}", word(other.as_str_name(), "EXECUTION_")),
    };
    let state = if v.to_us.is_some() { "over" } else { "open" };
    format!("{collector}: {service} {need}, {cause}{execution} ({kind}, {state})", service = v.service)
}

/// `NEED_NOT_NEEDED` as `not_needed`.
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}
