//! What does one row group of an hour say?
//!
//! First only which measurements it holds; the rest of its columns is read when somebody wants one of them. What comes out is
//! what went into the hot store, to the last field.

use std::collections::BTreeMap;
use std::sync::Arc;

use uitwijk_model::{
    AgentId, BootId, Elapsed, Fault, Measurement, Observer, Outcome, Phases, Record, Region, Sequence, ServedBy, Slot,
    TargetId, Unmeasured, Vantage, WallTime, Zone,
};

use super::super::{AcceptedRows, Filter, Places, Sample, Samples, StoreError, StoredRecord, Targets};
use super::read::{ColdFile, Decoded, KEYS, NONE, Numbers, Words};
use super::schema::{COLUMNS, hops_of, place};

/// Which measurement a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey<'a> {
    /// Who measured.
    pub agent: &'a str,
    /// What was probed.
    pub target: &'a str,
    /// The turn of the schedule.
    pub slot: Slot,
    /// 0 for the first attempt in the slot.
    pub attempt: u8,
    /// When it was due.
    pub scheduled: WallTime,
}

/// A row group, of which rows that were scheduled in a stretch of time are wanted.
#[derive(Debug, Clone)]
pub struct ColdRows {
    pub(super) file: Arc<ColdFile>,
    pub(super) group: usize,
    pub(super) from: WallTime,
    pub(super) to: WallTime,
    pub(super) mark: WallTime,
}

/// What all rows of a batch have in common.
type BatchKey = (WallTime, AgentId, BootId, Vantage);

/// The keys of a row group.
#[derive(Debug)]
pub(in crate::store) struct Keys {
    columns: Vec<Option<Decoded>>,
    /// Rows whose time is wanted.
    rows: Vec<u32>,
}

impl Keys {
    /// The numbers of the rows that were scheduled in the wanted time.
    pub(in crate::store) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows.iter().map(|&row| row as usize)
    }

    /// Which measurement a row is.
    pub(in crate::store) fn get(&self, row: usize) -> Option<RowKey<'_>> {
        Some(RowKey {
            agent: text(&self.columns, AGENT, row)?,
            target: text(&self.columns, TARGET, row)?,
            slot: Slot(number(&self.columns, SLOT, row)?),
            attempt: u8::try_from(number(&self.columns, ATTEMPT, row)?).ok()?,
            scheduled: WallTime::from_micros(number(&self.columns, SCHEDULED, row)?),
        })
    }

    fn place(&self, row: usize) -> Option<(&str, &str)> {
        Some((text(&self.columns, REGION, row)?, text(&self.columns, ZONE, row)?))
    }
}

const TARGET: usize = place("target");
const AGENT: usize = place("agent");
const REGION: usize = place("vantage_region");
const ZONE: usize = place("vantage_zone");
const SLOT: usize = place("slot");
const ATTEMPT: usize = place("attempt");
const SCHEDULED: usize = place("scheduled_us");
const BOOT: usize = place("boot");
const SEQUENCE: usize = place("sequence");
const STORED: usize = place("stored_us");
const STARTED: usize = place("started_after_us");
const OUTCOME: usize = place("outcome");
const REASON: usize = place("reason");
const TOTAL: usize = place("total_us");
const OFFSET: usize = place("clock_offset_us");
const SERVED_REGION: usize = place("served_region");
const SERVED_ZONE: usize = place("served_zone");

/// The columns that the judge looks at.
const SAMPLED: [usize; 15] = [
    TARGET,
    AGENT,
    SLOT,
    ATTEMPT,
    SCHEDULED,
    BOOT,
    SEQUENCE,
    STORED,
    STARTED,
    OUTCOME,
    REASON,
    TOTAL,
    OFFSET,
    SERVED_REGION,
    SERVED_ZONE,
];

impl ColdRows {
    /// Nothing that a walk over the store gives after this was scheduled earlier.
    pub(in crate::store) const fn mark(&self) -> WallTime {
        self.mark
    }

    /// Reads which measurements it holds.
    pub(in crate::store) fn keys(&self) -> Result<Keys, StoreError> {
        let columns = self.file.read(self.group, &KEYS)?;
        let all = 0..u32::try_from(self.file.rows(self.group)).unwrap_or(u32::MAX);
        let wanted = |row: &u32| {
            let scheduled = number(&columns, SCHEDULED, *row as usize).map(WallTime::from_micros);
            scheduled.is_some_and(|at| self.from <= at && at < self.to)
        };
        Ok(Keys { rows: all.filter(wanted).collect(), columns })
    }

    /// Whether any row can be wanted, as far as the footer tells.
    pub(super) fn may_hold(&self, filter: &Filter) -> bool {
        let may = |column: usize, text: Option<&str>| text.is_none_or(|t| self.file.may_hold(self.group, column, t));
        may(place("service"), filter.service.as_ref().map(uitwijk_model::ServiceId::as_str))
            && may(TARGET, filter.target.as_deref())
            && may(AGENT, filter.agent.as_ref().map(AgentId::as_str))
            && may(REGION, filter.vantage_region.as_ref().map(Region::as_str))
            && may(ZONE, filter.vantage_zone.as_ref().map(Zone::as_str))
    }

    /// Whether a row was measured where it is wanted from.
    pub(in crate::store) fn takes_place(keys: &Keys, row: usize, filter: &Filter) -> bool {
        let Some((region, zone)) = keys.place(row) else { return false };
        filter.vantage_region.as_ref().is_none_or(|wanted| wanted.as_str() == region)
            && filter.vantage_zone.as_ref().is_none_or(|wanted| wanted.as_str() == zone)
    }

    /// Some of its rows in full.
    pub(in crate::store) fn records(&self, rows: &[usize]) -> Result<Vec<StoredRecord>, StoreError> {
        let full = self.full()?;
        let one = |&row: &usize| full.record(row).ok_or_else(|| self.damage(row));
        rows.iter().map(one).collect()
    }

    /// Its rows as the judge gets them: by the batch that they came in, in order of arrival.
    pub(in crate::store) fn accepted(&self) -> Result<Vec<AcceptedRows>, StoreError> {
        let full = self.full()?;
        let mut batches: BTreeMap<BatchKey, Vec<(Sequence, Measurement)>> = BTreeMap::new();
        for row in 0..self.file.rows(self.group) {
            let found = full.record(row).ok_or_else(|| self.damage(row))?;
            let Record { agent, vantage, boot, sequence, measurement } = found.record;
            if self.from <= measurement.scheduled && measurement.scheduled < self.to {
                batches.entry((found.stored, agent, boot, vantage)).or_default().push((sequence, measurement));
            }
        }
        let one = |((arrived, agent, boot, vantage), mut rows): (BatchKey, Vec<_>)| {
            rows.sort_by_key(|(sequence, _): &(Sequence, Measurement)| *sequence);
            let (sequences, rows) = rows.into_iter().unzip();
            AcceptedRows { agent, vantage, arrived, boot, rows, sequences }
        };
        Ok(batches.into_iter().map(one).collect())
    }

    /// What the judge takes of its rows, by agent and start. Rows of a file are in order of target, so a batch that came in
    /// has few in each row group, and to put batches together again would be most of the work.
    pub(in crate::store) fn samples(&self) -> Result<Vec<Samples>, StoreError> {
        let full = Full::of(self.file.read(self.group, &SAMPLED)?);
        let mut places = Places::default();
        let mut starts: BTreeMap<(usize, i64), Vec<Sample>> = BTreeMap::new();
        for row in 0..self.file.rows(self.group) {
            let found = full.agent(row).zip(full.sample(row, &mut places));
            let (agent, (boot, sample)) = found.ok_or_else(|| self.damage(row))?;
            if self.from <= sample.scheduled && sample.scheduled < self.to {
                starts.entry((agent, boot)).or_default().push(sample);
            }
        }
        let targets = words(&full.columns, TARGET).map(|words| words.words.clone()).unwrap_or_default();
        let names = places.names(Targets::Named(targets));
        let one = |((agent, boot), rows): ((usize, i64), _)| {
            let (agent, boot) = (full.agents[agent].clone()?, BootId(boot.cast_unsigned()));
            Some(Samples { agent, boot, names: names.clone(), rows })
        };
        Ok(starts.into_iter().filter_map(one).collect())
    }

    fn full(&self) -> Result<Full, StoreError> {
        let all: Vec<usize> = (0..COLUMNS.len()).collect();
        Ok(Full::of(self.file.read(self.group, &all)?))
    }

    fn damage(&self, row: usize) -> StoreError {
        let (path, group) = (self.file.path(), self.group);
        StoreError::Damaged(format!("hour's file {path}: row {row} of row group {group} is no measurement"))
    }
}

/// All columns of a row group, and names that were made of their words once.
struct Full {
    columns: Vec<Option<Decoded>>,
    targets: Vec<Option<TargetId>>,
    agents: Vec<Option<AgentId>>,
    regions: Vec<Option<Region>>,
    zones: Vec<Option<Zone>>,
    served_regions: Vec<Option<Region>>,
    served_zones: Vec<Option<Zone>>,
}

impl Full {
    fn of(columns: Vec<Option<Decoded>>) -> Self {
        Self {
            targets: made(&columns, TARGET, |t| Some(TargetId::from_wire(t))),
            agents: made(&columns, AGENT, |t| AgentId::new(t).ok()),
            regions: made(&columns, REGION, |t| Region::new(t).ok()),
            zones: made(&columns, ZONE, |t| Zone::new(t).ok()),
            served_regions: made(&columns, SERVED_REGION, |t| Region::new(t).ok()),
            served_zones: made(&columns, SERVED_ZONE, |t| Zone::new(t).ok()),
            columns,
        }
    }

    /// Nothing when a value is not one that can have been written.
    fn record(&self, row: usize) -> Option<StoredRecord> {
        let region = self.name(&self.regions, REGION, row)??;
        let zone = self.name(&self.zones, ZONE, row)??;
        let record = Record {
            agent: self.name(&self.agents, AGENT, row)??,
            vantage: Vantage { region, zone },
            boot: BootId(self.number(BOOT, row)?.cast_unsigned()),
            sequence: self.number(SEQUENCE, row)?.cast_unsigned(),
            measurement: self.measurement(row)?,
        };
        Some(StoredRecord { record, stored: WallTime::from_micros(self.number(STORED, row)?) })
    }

    /// The number of the agent of a row.
    fn agent(&self, row: usize) -> Option<usize> {
        let word = *words(&self.columns, AGENT)?.index.get(row)? as usize;
        self.agents.get(word)?.as_ref().map(|_| word)
    }

    /// What the judge takes of a row, and the start of the agent that it belongs to.
    fn sample(&self, row: usize, places: &mut Places) -> Option<(i64, Sample)> {
        let word = |column: usize| words(&self.columns, column).and_then(|words| words.index.get(row).copied());
        let place = |column: usize| word(column).filter(|word| *word != NONE).map_or(usize::MAX, |word| word as usize);
        let served = (place(SERVED_REGION), place(SERVED_ZONE));
        let served = match served {
            (usize::MAX, usize::MAX) => None,
            served => Some(places.number(served, || self.served(row).flatten())?),
        };
        let scheduled = self.number(SCHEDULED, row)?;
        let sample = Sample {
            sequence: self.number(SEQUENCE, row)?.cast_unsigned(),
            arrived: WallTime::from_micros(self.number(STORED, row)?),
            target: word(TARGET).filter(|word| *word != NONE)?,
            served,
            slot: Slot(self.number(SLOT, row)?),
            attempt: u8::try_from(self.number(ATTEMPT, row)?).ok()?,
            scheduled: WallTime::from_micros(scheduled),
            started: WallTime::from_micros(scheduled.wrapping_add(self.number(STARTED, row)?)),
            outcome: outcome(text(&self.columns, OUTCOME, row)?, text(&self.columns, REASON, row))?,
            total: self.number(TOTAL, row).map(|us| Elapsed::from_micros(us.cast_unsigned())),
            clock_offset_us: self.number(OFFSET, row),
        };
        Some((self.number(BOOT, row)?, sample))
    }

    fn measurement(&self, row: usize) -> Option<Measurement> {
        let length = |name: usize| self.number(name, row).map(|us| Elapsed::from_micros(us.cast_unsigned()));
        let short = |name: usize| self.number(name, row).map(u16::try_from).transpose().ok();
        let scheduled = self.number(SCHEDULED, row)?;
        Some(Measurement {
            target: self.name(&self.targets, TARGET, row)??,
            slot: Slot(self.number(SLOT, row)?),
            attempt: u8::try_from(self.number(ATTEMPT, row)?).ok()?,
            scheduled: WallTime::from_micros(scheduled),
            started: WallTime::from_micros(scheduled.wrapping_add(self.number(STARTED, row)?)),
            outcome: outcome(text(&self.columns, OUTCOME, row)?, text(&self.columns, REASON, row))?,
            total: length(TOTAL),
            phases: Phases {
                dns: length(const { place("dns_us") }),
                connect: length(const { place("connect_us") }),
                tls: length(const { place("tls_us") }),
                send: length(const { place("send_us") }),
                wait: length(const { place("wait_us") }),
                transfer: length(const { place("transfer_us") }),
            },
            http_status: short(const { place("http_status") })?,
            served: self.served(row)?,
            hops: text(&self.columns, const { place("hops") }, row).map_or(Some(Vec::new()), hops_of)?,
            certificate_expires: self.number(const { place("certificate_expires_us") }, row).map(WallTime::from_micros),
            observer: Observer {
                clock_offset_us: self.number(OFFSET, row),
                loop_lag: length(const { place("loop_lag_us") })?,
                controls_failed: short(const { place("controls_failed") })??,
                controls_seen: short(const { place("controls_seen") })??,
            },
        })
    }

    #[expect(clippy::option_option, reason = "the outer absence says damaged, the inner one says absent")]
    fn served(&self, row: usize) -> Option<Option<ServedBy>> {
        let region = self.name(&self.served_regions, SERVED_REGION, row)?;
        let zone = self.name(&self.served_zones, SERVED_ZONE, row)?;
        match (region, zone) {
            (None, None) => Some(None),
            (Some(region), zone) => Some(Some(ServedBy { region, zone })),
            (None, Some(_)) => None,
        }
    }

    fn number(&self, column: usize, row: usize) -> Option<i64> {
        number(&self.columns, column, row)
    }

    /// The name of a row: outer absence says that its text is no name, inner absence that there is no text.
    #[expect(clippy::option_option, reason = "the outer absence says damaged, the inner one says absent")]
    fn name<T: Clone>(&self, names: &[Option<T>], column: usize, row: usize) -> Option<Option<T>> {
        match words(&self.columns, column).and_then(|words| words.index.get(row)) {
            None | Some(&NONE) => Some(None),
            Some(&word) => Some(Some(names.get(word as usize)?.clone()?)),
        }
    }
}

fn made<T>(columns: &[Option<Decoded>], column: usize, make: impl Fn(&str) -> Option<T>) -> Vec<Option<T>> {
    words(columns, column).map(|words| words.words.iter().map(|word| make(word)).collect()).unwrap_or_default()
}

fn words(columns: &[Option<Decoded>], column: usize) -> Option<&Words> {
    match columns.get(column)?.as_ref()? {
        Decoded::Text(words) => Some(words),
        Decoded::Number(_) => None,
    }
}

fn numbers(columns: &[Option<Decoded>], column: usize) -> Option<&Numbers> {
    match columns.get(column)?.as_ref()? {
        Decoded::Number(numbers) => Some(numbers),
        Decoded::Text(_) => None,
    }
}

fn text(columns: &[Option<Decoded>], column: usize, row: usize) -> Option<&str> {
    words(columns, column)?.get(row)
}

fn number(columns: &[Option<Decoded>], column: usize, row: usize) -> Option<i64> {
    numbers(columns, column)?.get(row)
}

fn outcome(outcome: &str, reason: Option<&str>) -> Option<Outcome> {
    match (outcome, reason) {
        ("up", None) => Some(Outcome::Up),
        ("slow", None) => Some(Outcome::Slow),
        ("down", Some(reason)) => Fault::ALL.iter().find(|f| f.label() == reason).map(|f| Outcome::Down(*f)),
        ("unmeasured", Some(reason)) => {
            Unmeasured::ALL.iter().find(|u| u.label() == reason).map(|u| Outcome::Unmeasured(*u))
        }
        _ => None,
    }
}
