//! How does what was stored become a stream that can be replayed anywhere?
//!
//! ```text
//!   pages, by scheduled time --> waiting, by arrival --> stream, by arrival
//!                                 (goes out once nothing earlier can come)
//! ```
//!
//! A record's arrival is the moment at which the collector had it on disk, by its own clock, which is what the collector's
//! judge goes by too. The collector answers in order of scheduled time. No record of a later page can have arrived before
//! it was scheduled, unless its agent's clock was ahead; [`AHEAD`] allows for as much as the judge corrects. So only
//! what was delivered late waits in memory. What was not measured has no word in the stream: it is left out, and counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use uitwijk_model::{AgentId, Millis, Record as Stored, TargetId, Vantage, WallTime};
use uitwijk_proto::columns::from_message;
use uitwijk_replay::{Record, Watched, Watcher};

use super::args::{Filter, ToFile};
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::measurements::{PAGE, ask};
use super::plan::count;
use super::screen::Screen;
use super::stream_out::StreamOut;

/// How far an agent's clock may be ahead.
const AHEAD: Millis = Millis::from_secs(3600);

/// Writes everything that was stored, all pages of it.
pub(crate) async fn run(
    screen: &mut Screen<'_>,
    collector: &Collector,
    filter: &Filter,
    to: &ToFile,
) -> Result<Answer, OpsError> {
    let span = filter.range.span(screen.now(), None)?;
    let mut out = StreamOut::open(screen, to)?;
    let mut sorter = Sorter::default();
    let (mut token, mut damaged) = (String::new(), 0);
    loop {
        let request = collector.request(ask(filter, span, PAGE, token));
        let page = collector.answer(collector.measurements().query(request)).await?;
        damaged += page.damaged_records;
        for message in &page.measurements {
            let (stored, arrived) = from_message(message)
                .map_err(|error| OpsError::Failed(format!("the collector answered what cannot be used: {error}")))?;
            for record in sorter.take(&stored, arrived) {
                out.record(&record)?;
            }
        }
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let unmeasured = sorter.unmeasured;
    for record in sorter.rest() {
        out.record(&record)?;
    }
    out.finish()?;
    if unmeasured > 0 {
        let n = count(unmeasured, "record");
        screen.note(&format!("{n} of attempts that were not measured left out: they never vote, and have no word"))?;
    }
    if damaged > 0 {
        screen.note(&format!(
            "{damaged} stored batches could not be read for damage; their measurements are missing here"
        ))?;
    }
    Ok(Answer::Yes)
}

/// Who a record is from, in which life.
type Life = (AgentId, Vantage, u64);

/// Puts records that come by scheduled time in order of arrival.
#[derive(Debug, Default)]
struct Sorter {
    waiting: BinaryHeap<Reverse<Waiting>>,
    watchers: BTreeMap<Life, Arc<Watcher>>,
    watched: BTreeMap<TargetId, Arc<Watched>>,
    unmeasured: usize,
}

/// A record that waits for its turn.
#[derive(Debug)]
struct Waiting(Record);

impl Waiting {
    fn key(&self) -> (WallTime, &AgentId, Option<u64>, u64, u8) {
        let r = &self.0;
        (r.arrived, &r.watcher.agent, r.watcher.boot, r.sequence, r.attempt)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Sorter {
    /// Takes a record, and gives those whose turn it is.
    fn take(&mut self, stored: &Stored, arrived: WallTime) -> Vec<Record> {
        let life = (stored.agent.clone(), stored.vantage.clone(), stored.boot.0);
        let watcher = self.watchers.entry(life).or_insert_with_key(|(agent, vantage, boot)| {
            Arc::new(Watcher { agent: agent.clone(), vantage: Some(vantage.clone()), boot: Some(*boot) })
        });
        let target = &stored.measurement.target;
        let watched = self.watched.entry(target.clone()).or_insert_with(|| Arc::new(Watched::of_target(target)));
        match Record::of(watcher, watched, stored.sequence, &stored.measurement, arrived) {
            Some(record) => self.waiting.push(Reverse(Waiting(record))),
            None => self.unmeasured += 1,
        }
        self.before(stored.measurement.scheduled.minus(AHEAD))
    }

    fn before(&mut self, moment: WallTime) -> Vec<Record> {
        let mut due = Vec::new();
        while self.waiting.peek().is_some_and(|Reverse(next)| next.0.arrived < moment) {
            due.extend(self.waiting.pop().map(|Reverse(Waiting(record))| record));
        }
        due
    }

    fn rest(mut self) -> Vec<Record> {
        let mut rest = Vec::new();
        while let Some(Reverse(Waiting(record))) = self.waiting.pop() {
            rest.push(record);
        }
        rest
    }
}
