//! Which measurements answer a question, a page at a time?
//!
//! Pages are in order of (scheduled time, agent, target, attempt). Records overlap in time, so the rows of a page come from
//! several of them: the best rows so far stand in a heap as large as the page, and the search ends when the next record
//! begins after the worst of them. Memory is a page and one batch, however much there is.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use uitwijk_model::{AgentId, Record, Region, ServiceId, TargetId, WallTime, Zone};

use super::cold::{ColdRows, Keys};
use super::records::{Part, Records};
use super::{Store, StoreError, StoredBatch};

/// The largest page.
pub const PAGE_SIZE_MAX: usize = 10_000;

/// Which rows are wanted; absent means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Targets of this service.
    pub service: Option<ServiceId>,
    /// This target.
    pub target: Option<String>,
    /// Measured from this region.
    pub vantage_region: Option<Region>,
    /// Measured from this zone of any region.
    pub vantage_zone: Option<Zone>,
    /// Measured by this agent.
    pub agent: Option<AgentId>,
}

impl Filter {
    fn takes_batch(&self, batch: &StoredBatch) -> bool {
        let vantage = &batch.vantage;
        self.vantage_region.as_ref().is_none_or(|region| *region == vantage.region)
            && self.vantage_zone.as_ref().is_none_or(|zone| *zone == vantage.zone)
    }

    fn takes_target(&self, target: &str) -> bool {
        // The name of a target of a service begins with the service and a slash; see `TargetKind::id`.
        let of_service =
            |service: &ServiceId| target.strip_prefix(service.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.target.as_ref().is_none_or(|wanted| wanted == target) && self.service.as_ref().is_none_or(of_service)
    }
}

/// A question that cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Not a token of ours. The peer must act.
    #[error("page_token {found:?} is not one that this collector gave out: leave it empty for the first page")]
    Token {
        /// What came, cut to 80 characters.
        found: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A measurement in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// What was measured, by whom.
    pub record: Record,
    /// When it came in, collector's clock.
    pub stored: WallTime,
}

/// Part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub rows: Vec<StoredRecord>,
    /// Asks for the next page; absent on the last one.
    pub next_page_token: Option<String>,
    /// Records that could not be read for damage. Their rows are missing in the answer.
    pub damaged: u64,
}

/// Where a row stands in the order of answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    scheduled: WallTime,
    agent: AgentId,
    target: TargetId,
    attempt: u8,
}

/// The same, borrowed, to compare without making one.
type PositionRef<'a> = (WallTime, &'a str, &'a str, u8);

impl Position {
    fn borrow(&self) -> PositionRef<'_> {
        (self.scheduled, self.agent.as_str(), self.target.as_str(), self.attempt)
    }

    fn to_token(&self) -> String {
        format!("{}~{}~{}~{}", self.scheduled.as_micros(), self.attempt, self.agent, self.target)
    }

    fn from_token(token: &str) -> Result<Self, QueryError> {
        let parse = || {
            let mut parts = token.splitn(4, '~');
            let scheduled = WallTime::from_micros(parts.next()?.parse().ok()?);
            let attempt = parts.next()?.parse().ok()?;
            let agent = AgentId::new(parts.next()?).ok()?;
            Some(Self { scheduled, agent, target: TargetId::from_wire(parts.next()?), attempt })
        };
        parse().ok_or_else(|| QueryError::Token { found: token.chars().take(80).collect() })
    }
}

struct Found {
    position: Position,
    row: StoredRecord,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}
impl Eq for Found {}
impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Found {
    fn cmp(&self, other: &Self) -> Ordering {
        self.position.cmp(&other.position)
    }
}

/// A search for one page.
struct Search<'a> {
    filter: &'a Filter,
    from: WallTime,
    to: WallTime,
    /// The last row of the page before.
    after: Option<Position>,
    /// Rows of a page and one more, which tells that there is a next page.
    keep: usize,
    /// The best so far, the worst of them on top.
    best: BinaryHeap<Found>,
}

impl Search<'_> {
    /// Nothing that is scheduled later than this can be on the page.
    fn horizon(&self) -> Option<WallTime> {
        self.best.peek().filter(|_| self.best.len() >= self.keep).map(|worst| worst.position.scheduled)
    }

    fn look_into(&mut self, part: &Part) -> Result<(), StoreError> {
        match part {
            Part::Batch(batch) => self.look_into_batch(batch),
            Part::Cold(rows) => self.look_into_rows(rows),
        }
    }

    /// First which rows can be on the page, and only when there are some, what they say.
    fn look_into_rows(&mut self, rows: &ColdRows) -> Result<(), StoreError> {
        let keys = rows.keys()?;
        let mut wanted: Vec<usize> = keys.rows().filter(|&row| self.wants_key(&keys, row)).collect();
        let position = |row: &usize| keys.get(*row).map(|key| (key.scheduled, key.agent, key.target, key.attempt));
        wanted.sort_unstable_by_key(position);
        wanted.truncate(self.keep);
        if !wanted.is_empty() {
            rows.records(&wanted)?.into_iter().for_each(|row| self.keep(row));
        }
        Ok(())
    }

    fn wants_key(&self, keys: &Keys, row: usize) -> bool {
        let Some(key) = keys.get(row) else { return false };
        self.filter.agent.as_ref().is_none_or(|agent| agent.as_str() == key.agent)
            && ColdRows::takes_place(keys, row, self.filter)
            && self.wants((key.scheduled, key.agent, key.target, key.attempt))
    }

    fn look_into_batch(&mut self, batch: &StoredBatch) -> Result<(), StoreError> {
        if !self.filter.takes_batch(batch) {
            return Ok(());
        }
        let rows = batch.rows()?;
        for i in batch.mask.ones(rows.len()) {
            let Ok(row) = rows.row(i) else { continue };
            if self.wants((row.scheduled, batch.key.agent.as_str(), row.target, row.attempt)) {
                let record = batch.record(rows.sequence(i), row.to_measurement());
                self.keep(StoredRecord { record, stored: batch.arrived });
            }
        }
        Ok(())
    }

    fn wants(&self, position: PositionRef<'_>) -> bool {
        let (scheduled, _, target, _) = position;
        let full = self.best.len() >= self.keep;
        self.from <= scheduled
            && scheduled < self.to
            && self.filter.takes_target(target)
            && self.after.as_ref().is_none_or(|after| after.borrow() < position)
            && self.best.peek().is_none_or(|worst| !full || position < worst.position.borrow())
    }

    fn keep(&mut self, row: StoredRecord) {
        let m = &row.record.measurement;
        let (agent, target) = (row.record.agent.clone(), m.target.clone());
        self.best.push(Found { position: Position { scheduled: m.scheduled, agent, target, attempt: m.attempt }, row });
        if self.best.len() > self.keep {
            self.best.pop();
        }
    }

    fn into_page(self, damaged: u64) -> Page {
        let keep = self.keep;
        let mut found = self.best.into_sorted_vec();
        let more = found.len() == keep;
        found.truncate(keep - 1);
        let next_page_token = found.last().filter(|_| more).map(|last| last.position.to_token());
        Page { rows: found.into_iter().map(|f| f.row).collect(), next_page_token, damaged }
    }
}

impl Store {
    /// One page of the measurements scheduled from `from` (included) to `to` (excluded), in order of (scheduled time,
    /// agent, target, attempt). Reads the disk: call it where blocking is allowed.
    ///
    /// # Errors
    /// When the token is not ours, or the store fails.
    pub fn query(
        &self,
        filter: &Filter,
        from: WallTime,
        to: WallTime,
        page_token: &str,
        page_size: usize,
    ) -> Result<Page, QueryError> {
        let after = if page_token.is_empty() { None } else { Some(Position::from_token(page_token)?) };
        let from = after.as_ref().map_or(from, |after| from.max(after.scheduled));
        let keep = page_size.clamp(1, PAGE_SIZE_MAX) + 1;
        let mut search = Search { filter, from, to, after, keep, best: BinaryHeap::new() };
        let mut damaged = 0;
        for part in Records::new(self, from, to, filter) {
            match part {
                Ok(part) if search.horizon().is_some_and(|horizon| part.mark() > horizon) => break,
                Ok(part) => match search.look_into(&part) {
                    Ok(()) => {}
                    Err(error) => damaged += self.note_damage(&error)?,
                },
                Err(error) => damaged += self.note_damage(&error)?,
            }
        }
        Ok(search.into_page(damaged))
    }
}
