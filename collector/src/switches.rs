//! When did somebody move users to another region, and how does the judge hear of it?
//!
//! ```text
//!   uitwijk switch --> API --> verdict log (synced) --> JudgeInput --> judge, shadows      live
//!                                  |
//!                                  +--> judge, shadows at a start; both sides of a backtest
//! ```
//!
//! A report is an entry of the verdict log (see `verdict_log/switches.rs`), so what a verdict rests on is as hard to change as the verdict.
//! The judge believes it at once, and takes it back when the answers tell otherwise.

use serde::{Deserialize, Serialize};
use uitwijk_judge::Switch;
use uitwijk_model::{Millis, Region, ServiceId, WallTime};

use crate::verdict_log::{Filter, LogError, NewRemark, Remark, VerdictLog};

/// How far back a switch may lie that is reported; as far as a backtest reaches.
pub const AGE_MAX: Millis = Millis::from_secs(31 * 86_400);

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchReport {
    /// The service whose users were moved.
    pub service: ServiceId,
    /// The region that was left.
    pub from: Region,
    /// The region that serves since.
    pub to: Region,
    /// When it was done.
    pub at: WallTime,
    /// In their own words; may be empty.
    pub reason: String,
    /// Name in the certificate of who reported it.
    pub author: String,
}

/// The body of an entry that is a switch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    switch: SwitchReport,
}

/// A switch as a judge hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardSwitch {
    /// Of which service.
    pub service: ServiceId,
    /// What was done.
    pub switch: Switch,
    /// When it was reported, collector's clock.
    pub heard: WallTime,
}

impl SwitchReport {
    /// What the log takes. Its subject is all that makes two reports the same.
    #[must_use]
    pub fn remark(&self) -> NewRemark {
        let Self { service, from, to, at, .. } = self;
        let body = serde_json::to_value(Body { switch: self.clone() }).expect("a switch has only texts and numbers");
        NewRemark {
            subject: format!("switch/{service}/{at}/{from}/{to}"),
            service: service.to_string(),
            from: *at,
            // A moment, as the shortest stretch that there is.
            to: Some(WallTime::from_micros(at.as_micros().saturating_add(1))),
            body,
        }
    }

    /// Reads an entry of the log.
    ///
    /// # Errors
    /// When it is no switch that this version writes or reads.
    pub fn of(remark: &Remark) -> Result<Self, LogError> {
        let entry = &remark.entry;
        let read = serde_json::from_value::<Body>(entry.body.clone());
        read.map(|body| body.switch).map_err(|e| LogError::Damaged {
            sequence: entry.sequence,
            why: format!("it holds no switch that can be read: {e}"),
        })
    }

    /// What a judge gets of it.
    #[must_use]
    pub fn heard(self, heard: WallTime) -> HeardSwitch {
        HeardSwitch { service: self.service, switch: Switch { at: self.at, from: self.from, to: self.to }, heard }
    }
}

/// The switches that were done from a moment on, the last first, of one service or of all. The log holds a bounded number of
/// each service.
///
/// # Errors
/// When the log fails.
pub fn done(log: &VerdictLog, service: Option<&ServiceId>, from: WallTime) -> Result<Vec<HeardSwitch>, LogError> {
    let filter = Filter { service: service.map(ToString::to_string), from: Some(from), ..Filter::default() };
    let (remarks, _) = log.switches(&filter, None, usize::MAX)?;
    let heard = |remark: &Remark| {
        let reported = WallTime::from_micros(remark.entry.published_us);
        SwitchReport::of(remark).map(|report| report.heard(reported))
    };
    remarks.iter().map(heard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: WallTime = WallTime::from_millis(1_772_438_400_000);

    fn report(service: &str, second: u64) -> SwitchReport {
        SwitchReport {
            service: ServiceId::new(service).unwrap(),
            from: Region::new("NL").unwrap(),
            to: Region::new("IE").unwrap(),
            at: T0.plus(Millis::from_secs(second)),
            reason: "NL is dark".to_owned(),
            author: "otto".to_owned(),
        }
    }

    #[test]
    fn what_is_reported_is_what_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let log = VerdictLog::open(dir.path()).unwrap();
        let reported = T0.plus(Millis::from_secs(60));
        for (service, second) in [("exchange", 10), ("portal", 20), ("exchange", 30)] {
            log.switch(reported, &report(service, second).remark(), T0).unwrap();
        }
        let seconds = |service: Option<&str>, from: u64| {
            let service = service.map(|name| ServiceId::new(name).unwrap());
            let found = done(&log, service.as_ref(), T0.plus(Millis::from_secs(from))).unwrap();
            assert!(found.iter().all(|s| s.heard == reported));
            found.iter().map(|s| s.switch.at.micros_since(T0) / 1_000_000).collect::<Vec<_>>()
        };
        assert_eq!(seconds(None, 0), [30, 20, 10]);
        assert_eq!(seconds(Some("exchange"), 10), [30, 10]);
        assert_eq!(seconds(None, 21), [30]);
        let (listed, _) = log.switches(&Filter::default(), None, 1).unwrap();
        assert_eq!(SwitchReport::of(&listed[0]).unwrap(), report("exchange", 30));
    }

    #[test]
    fn another_reason_or_author_makes_no_other_switch() {
        let other = SwitchReport { reason: "again".to_owned(), author: "anna".to_owned(), ..report("exchange", 1) };
        assert_eq!(other.remark().subject, report("exchange", 1).remark().subject);
        let back =
            SwitchReport { from: Region::new("IE").unwrap(), to: Region::new("NL").unwrap(), ..report("exchange", 1) };
        let subjects = [back, report("exchange", 2), report("portal", 1)].map(|r| r.remark().subject);
        assert!(subjects.iter().all(|subject| *subject != report("exchange", 1).remark().subject));
    }
}
