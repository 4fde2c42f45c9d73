//! Where does the log of the shadows stand, and what does it say?
//!
//! It is opened when a plan has shadows, and again when the disk failed; until then there is none, which is no trouble for
//! anybody but the shadows.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use uitwijk_judge::Revision;
use uitwijk_model::{ServiceId, ShadowName, WallTime};

use super::ShadowError;
use super::record::{BEGAN, Began, Shadowed, service_key};
use crate::judging::Published;
use crate::policies::{Judged, Ledger, Stretch};
use crate::verdict_log::{Entry, Filter, LogError, VerdictLog};

/// Episodes that one answer looks at.
pub(super) const EPISODES_MAX: usize = 100_000;
/// Episodes read at a time.
const PAGE: usize = 1000;

/// The place of the log. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    dir: Arc<PathBuf>,
    log: Arc<RwLock<Option<Arc<VerdictLog>>>>,
}

impl Shelf {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir: Arc::new(dir), log: Arc::default() }
    }

    /// The log, opened if need be.
    pub(super) fn open(&self) -> Result<Arc<VerdictLog>, LogError> {
        let mut place = self.log.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = &*place {
            return Ok(log.clone());
        }
        let log = Arc::new(VerdictLog::open(&self.dir)?);
        *place = Some(log.clone());
        Ok(log)
    }

    /// Whether shadows were ever judged by here.
    pub(super) fn exists(&self) -> bool {
        self.dir.exists()
    }

    fn log(&self) -> Result<Arc<VerdictLog>, ShadowError> {
        self.log.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(ShadowError::NotOpen)
    }

    /// Lets go of the log, so that another process can have it.
    pub(super) fn close(&self) {
        *self.log.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn since(&self, shadow: &ShadowName) -> Result<Option<WallTime>, ShadowError> {
        let entry = self.log()?.get(BEGAN, None)?;
        let began = entry.map(|entry| Began::from_entry(&entry)).transpose()?.unwrap_or_default();
        Ok(began.began.get(shadow).map(|since| since.at))
    }

    pub(super) fn episodes(
        &self,
        shadow: &ShadowName,
        service: Option<&ServiceId>,
        stretch: Stretch,
    ) -> Result<Vec<Judged>, ShadowError> {
        let service = service.map(|service| service_key(shadow, service));
        let of_shadow = |entry: &Entry| entry.body.get("shadow").and_then(|s| s.as_str()) == Some(shadow.as_str());
        latest(&*self.log()?, service, stretch, &of_shadow, &|entry| {
            Ok(Shadowed::from_entry(entry)?.map(|shadowed| shadowed.revision))
        })
    }
}

pub(super) fn real_episodes(
    log: &VerdictLog,
    service: Option<&ServiceId>,
    stretch: Stretch,
) -> Result<Vec<Judged>, ShadowError> {
    latest(log, service.map(ToString::to_string), stretch, &|_| true, &|entry| {
        let published = Published::from_entry(entry);
        let unreadable =
            |e: crate::judging::JudgingError| ShadowError::Unreadable { sequence: entry.sequence, why: e.to_string() };
        published.map(|published| Some(published.revision)).map_err(unreadable)
    })
}

/// The latest revision of each episode that touches a stretch.
fn latest(
    log: &VerdictLog,
    service: Option<String>,
    stretch: Stretch,
    wanted: &dyn Fn(&Entry) -> bool,
    read: &dyn Fn(&Entry) -> Result<Option<Revision>, ShadowError>,
) -> Result<Vec<Judged>, ShadowError> {
    let filter = Filter { service, from: Some(stretch.from), to: Some(stretch.to), as_of: None };
    let mut ledger = Ledger::default();
    let mut token = None;
    loop {
        let (page, next) = log.page(&filter, token.as_ref(), PAGE, wanted)?;
        for entry in &page {
            read(entry)?.iter().for_each(|revision| ledger.take(revision));
        }
        if ledger.len() > EPISODES_MAX {
            return Err(ShadowError::TooMany);
        }
        token = next;
        if token.is_none() {
            return Ok(ledger.episodes(stretch));
        }
    }
}
