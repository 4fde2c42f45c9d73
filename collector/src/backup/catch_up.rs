//! How does a collector get what it missed, when its agents have dropped it long ago?
//!
//! ```text
//!   peer: ledgers         how much it has of each boot
//!   peer: measurements    page by page, from before the backup until now --> adopt.rs: check, compare, write, ledgers
//!   ledgers beside ours   a boot that still lacks rows: what is older is asked for too
//! ```
//!
//! It is done on the directory of a collector that is stopped. When it starts, everything is there: the first word of an agent finds
//! nothing to write off, and the judge begins with all that happened. A running collector would have to do with
//! half of it, and would publish verdicts on the other half as if nobody had been watching.
//!
//! It may be done again, after a kill too: what is there changes nothing.

use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Request, Status};
use uitwijk_model::{AgentId, BootId, Clock, Millis, WallTime};
use uitwijk_proto::columns;
use uitwijk_proto::v1;
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;

use super::BackupError;
use super::layout::Origin;
use crate::ingest::{Adopted, Adopting};
use crate::store::StoreError;

/// Rows of a page, the most that a collector gives.
const PAGE: u32 = 10_000;
/// Rows that are taken in in one go: the more, the longer the batches that they are stored in.
const TOGETHER: usize = 65_536;
/// How long the peer may look for a page.
const PAGE_WITHIN: Duration = Duration::from_secs(120);
const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// A try that fails is made again so often: a page is a question and may be asked twice.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Why a collector did not catch up.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The peer.
    #[error("the peer does not answer as it should: {0}")]
    Peer(String),
    /// The same collector.
    #[error("{0} is this collector itself: name the other one")]
    Oneself(String),
    /// Nothing says since when.
    #[error("this data directory was not restored from a backup: say with --since what it lacks, as in --since 30d")]
    Since,
    /// Our store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the directory says of itself.
    #[error(transparent)]
    Directory(#[from] BackupError),
}

impl From<Status> for CatchUpError {
    fn from(status: Status) -> Self {
        Self::Peer(status.message().to_owned())
    }
}

/// How to catch up.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The name of this collector.
    pub name: &'a str,
    /// Since when something may be missing; absent means since the backup, and as long before as records may be late.
    pub since: Option<WallTime>,
    /// How late records may be before a verdict no longer waits for them.
    pub late_max: Millis,
    /// Nothing older is kept.
    pub retention: Millis,
    /// Where the directory came from.
    pub origin: Option<Origin>,
}

/// What a catch-up did.
#[derive(Debug)]
pub struct CaughtUp {
    /// The peer's name.
    pub peer: String,
    /// From when on it was asked.
    pub since: WallTime,
    /// What came of the rows.
    pub adopted: Adopted,
    /// Batches that the peer could not read.
    pub damaged: u64,
    /// Boots of which the peer counted more rows than are here now, and how many.
    pub lacking: Vec<(AgentId, BootId, u64)>,
    /// What the directory says of itself from now on.
    pub origin: Origin,
}

/// Takes in what the peer has.
///
/// # Errors
/// When the peer or the store fails; what was taken in before stays.
pub async fn catch_up(
    peer: Channel,
    mut adopting: Adopting,
    asked: &Asked<'_>,
    clock: &dyn Clock,
) -> Result<CaughtUp, CatchUpError> {
    let now = clock.wall();
    let floor = now.minus(asked.retention);
    let from_backup = asked.origin.as_ref().map(|origin| WallTime::from_micros(origin.taken_us).minus(asked.late_max));
    let mut since = asked.since.or(from_backup).ok_or(CatchUpError::Since)?.max(floor);
    let mut fleet = FleetClient::new(peer.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let name = fleet.list_agents(v1::ListAgentsRequest {}).await?.into_inner().collector;
    if name == asked.name {
        return Err(CatchUpError::Oneself(name));
    }
    // Before the rows, so that every row that is counted is among them.
    let counted = ledgers(&mut fleet).await?;
    let mut reading =
        Reading { client: MeasurementsClient::new(peer).max_decoding_message_size(MESSAGE_BYTES_MAX), damaged: 0 };
    // Clocks may be ahead, and what they are ahead with was stored.
    reading.all(since, WallTime::from_micros(i64::MAX), &mut adopting).await?;
    if asked.since.is_none() && !lacking(&counted, &adopting).is_empty() && floor < since {
        tracing::info!(%since, %floor, "the peer has more that came in late: what is older is asked for too");
        reading.all(floor, since, &mut adopting).await?;
        since = floor;
    }
    let lacking = lacking(&counted, &adopting);
    let taken = asked
        .origin
        .as_ref()
        .map_or(since, |origin| WallTime::from_micros(origin.taken_us).min(since.plus(asked.late_max)));
    let collector = asked.origin.as_ref().map_or_else(|| asked.name.to_owned(), |origin| origin.collector.clone());
    let caught_up_us = Some(clock.wall().as_micros());
    let origin = Origin { collector, taken: taken.to_string(), taken_us: taken.as_micros(), caught_up_us };
    Ok(CaughtUp { peer: name, since, adopted: adopting.finish(), damaged: reading.damaged, lacking, origin })
}

/// What a collector has of every boot.
async fn ledgers(fleet: &mut FleetClient<Channel>) -> Result<Vec<(AgentId, v1::Ledger)>, CatchUpError> {
    let mut stream = fleet.list_ledgers(v1::ListLedgersRequest::default()).await?.into_inner();
    let mut all = Vec::new();
    while let Some(v1::BootLedger { agent, ledger, .. }) = stream.message().await? {
        let agent = AgentId::new(&agent).map_err(|e| CatchUpError::Peer(e.to_string()))?;
        all.push((agent, ledger.ok_or_else(|| CatchUpError::Peer("a ledger without numbers".to_owned()))?));
    }
    Ok(all)
}

/// Boots of which the peer counts more rows than are settled with one here.
fn lacking(counted: &[(AgentId, v1::Ledger)], adopting: &Adopting) -> Vec<(AgentId, BootId, u64)> {
    let one = |(agent, theirs): &(AgentId, v1::Ledger)| {
        let boot = BootId(theirs.boot);
        // What only we have as a duplicate, or refused, has a row there, and is no loss.
        let here = adopting.ledger(agent, boot).map_or(0, |ours| {
            let duplicate = ours.duplicate.saturating_sub(theirs.duplicate);
            ours.stored + duplicate + ours.refused.saturating_sub(theirs.refused)
        });
        let lacks = theirs.stored.saturating_sub(here);
        (lacks > 0).then(|| (agent.clone(), boot, lacks))
    };
    counted.iter().filter_map(one).collect()
}

/// The peer's measurements, page by page.
struct Reading {
    client: MeasurementsClient<Channel>,
    damaged: u64,
}

impl Reading {
    async fn all(&mut self, from: WallTime, to: WallTime, adopting: &mut Adopting) -> Result<(), CatchUpError> {
        let (mut page_token, mut waiting) = (String::new(), Vec::new());
        loop {
            let page = self.page(from, to, &page_token).await?;
            for row in &page.measurements {
                waiting.push(columns::from_message(row).map_err(|e| CatchUpError::Peer(e.to_string()))?.0);
            }
            self.damaged += page.damaged_records;
            page_token = page.next_page_token;
            if waiting.len() >= TOGETHER || page_token.is_empty() {
                let through = waiting.last().map(|record| record.measurement.scheduled);
                // The connection goes on meanwhile.
                tokio::task::block_in_place(|| adopting.take(std::mem::take(&mut waiting)))?;
                let done = adopting.done();
                if let Some(through) = through {
                    tracing::info!(%through, rows = done.rows, stored = done.stored, "taken in");
                }
            }
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    async fn page(
        &mut self,
        from: WallTime,
        to: WallTime,
        page_token: &str,
    ) -> Result<v1::QueryResponse, CatchUpError> {
        let query = v1::QueryRequest {
            from_us: from.as_micros(),
            to_us: to.as_micros(),
            page_size: PAGE,
            page_token: page_token.to_owned(),
            ..v1::QueryRequest::default()
        };
        let mut tries = 1;
        loop {
            let mut request = Request::new(query.clone());
            request.set_timeout(PAGE_WITHIN);
            match self.client.query(request).await {
                Ok(page) => return Ok(page.into_inner()),
                Err(status) if tries < TRIES && status.code() == tonic::Code::Unavailable => {
                    tracing::warn!(reason = status.message(), tries, "the peer did not answer, asking again");
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }
}
