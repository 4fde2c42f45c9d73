//! What did somebody say of an episode afterwards, and when was a drill?
//!
//! A label says what the need was, as people found out; a drill says that users were moved on purpose. Neither changes a
//! verdict. They are what policies are held against. Who said it, and when, stands in it for good: a label is an entry of the
//! verdict log (see `verdict_log/labels.rs`), and a later one on the same subject stands beside it and counts in its place.

use serde::{Deserialize, Serialize};
use uitwijk_judge::{Cause, Execution, Need};
use uitwijk_model::{ServiceId, WallTime};

use crate::policies::{Said, Stretch};
use crate::verdict_log::{Filter, LogError, NewRemark, Remark, VerdictLog};

/// Labels that one comparison looks at; more are an error, not a cut.
const LABELS_READ_MAX: usize = 100_000;
/// Labels read at a time.
const PAGE: usize = 1000;

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The service of the episode or drill.
    pub service: ServiceId,
    /// Start of the stretch that is labelled.
    pub from: WallTime,
    /// Its end; absent when the episode was open.
    pub to: Option<WallTime>,
    /// What the need was; absent for a drill.
    pub need: Option<Need>,
    /// Why, where the author knew.
    pub cause: Option<Cause>,
    /// Whether it was done, where the author said so.
    pub execution: Option<Execution>,
    /// In their own words; may be empty.
    pub note: String,
    /// Name in the certificate of who said it.
    pub author: String,
}

/// The body of an entry that is a label.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    label: Label,
}

impl Label {
    /// Whether users were moved on purpose.
    #[must_use]
    pub const fn is_drill(&self) -> bool {
        self.need.is_none()
    }

    /// The name under which labels on the same drill stand together.
    #[must_use]
    pub fn drill_name(service: &ServiceId, from: WallTime) -> String {
        format!("drill/{service}/{from}")
    }

    /// What the log takes.
    #[must_use]
    pub fn about(&self, subject: String) -> NewRemark {
        let body =
            serde_json::to_value(Body { label: self.clone() }).expect("a label has only texts and whole numbers");
        NewRemark { subject, service: self.service.to_string(), from: self.from, to: self.to, body }
    }

    /// Reads an entry of the log.
    ///
    /// # Errors
    /// When it is no label that this version writes or reads.
    pub fn of(labelled: &Remark) -> Result<Self, LogError> {
        let entry = &labelled.entry;
        let read = serde_json::from_value::<Body>(entry.body.clone());
        read.map(|body| body.label).map_err(|e| LogError::Damaged {
            sequence: entry.sequence,
            why: format!("it holds no label that can be read: {e}"),
        })
    }
}

/// Why labels cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The peer must act.
    #[error("more than {LABELS_READ_MAX} labels touch that stretch of time: ask for a shorter one, or for one service")]
    TooMany,
}

/// What the labels that count say of a stretch of time, of one service or of all.
///
/// # Errors
/// When the log fails, or there are too many.
pub fn said(log: &VerdictLog, service: Option<&ServiceId>, stretch: Stretch) -> Result<Vec<Said>, LabelsError> {
    let service = service.map(ToString::to_string);
    let filter = Filter { service, from: Some(stretch.from), to: Some(stretch.to), as_of: None };
    let mut said = Vec::new();
    let (mut token, mut read) = (None, 0);
    loop {
        let (page, next) = log.labels(&filter, token.as_ref(), PAGE)?;
        read += page.len();
        if read > LABELS_READ_MAX {
            return Err(LabelsError::TooMany);
        }
        for labelled in page.iter().filter(|labelled| labelled.latest) {
            let Label { service, from, to, need, .. } = Label::of(labelled)?;
            said.push(Said { service, from, to, need });
        }
        token = next;
        if token.is_none() {
            return Ok(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use uitwijk_model::Millis;

    use super::*;

    const T0: WallTime = WallTime::from_millis(1_772_438_400_000);

    fn at(minute: u64) -> WallTime {
        T0.plus(Millis::from_secs(minute * 60))
    }

    fn label(service: &str, from: u64, to: u64, need: Option<Need>) -> Label {
        Label {
            service: ServiceId::new(service).unwrap(),
            from: at(from),
            to: Some(at(to)),
            need,
            cause: None,
            execution: None,
            note: "found a broken switch".to_owned(),
            author: "otto".to_owned(),
        }
    }

    #[test]
    fn the_latest_label_on_a_subject_is_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let log = VerdictLog::open(dir.path()).unwrap();
        let exchange = ServiceId::new("exchange").unwrap();
        for need in [Need::Needed, Need::Futile] {
            log.label(at(60), &label("exchange", 0, 10, Some(need)).about("exchange/a".to_owned())).unwrap();
        }
        let drill = label("exchange", 20, 30, None);
        assert!(drill.is_drill());
        log.label(at(61), &drill.about(Label::drill_name(&exchange, drill.from))).unwrap();
        log.label(at(62), &label("portal", 0, 10, Some(Need::NotNeeded)).about("portal/a".to_owned())).unwrap();
        let needs = |service: Option<&ServiceId>, from, to| {
            let found = said(&log, service, Stretch { from: at(from), to: at(to) }).unwrap();
            found.iter().map(|said| said.need).collect::<Vec<_>>()
        };
        assert_eq!(needs(Some(&exchange), 0, 60), [None, Some(Need::Futile)]);
        assert_eq!(needs(None, 0, 15), [Some(Need::Futile), Some(Need::NotNeeded)]);
        assert_eq!(needs(None, 10, 20), []);
        let (all, _) = log.labels(&Filter::default(), None, 1).unwrap();
        assert_eq!(Label::of(&all[0]).unwrap(), drill);
    }
}
