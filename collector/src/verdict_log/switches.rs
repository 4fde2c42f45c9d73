//! When did people move users to another region, as they reported it?
//!
//! Switches are remarks (see `remarks.rs`) whose subject is the switch itself, so the same one stands in the log once, however often
//! it is reported.

use uitwijk_model::WallTime;

use super::{Entry, Filter, LogError, NewRemark, PageToken, Remark, VerdictLog};

/// Switches of one service that stand in the log for the time in which one may be reported.
pub const SWITCHES_PER_SERVICE_MAX: usize = 1000;

impl VerdictLog {
    /// Remembers a switch: when this returns, it is on disk. Answers its entry, and whether it was there before. There are only
    /// so many since a moment.
    ///
    /// # Errors
    /// When its service has as many switches as it may have, or the disk fails.
    pub fn switch(&self, at: WallTime, switch: &NewRemark, since: WallTime) -> Result<(Entry, bool), LogError> {
        let mut head = self.lock();
        let tables = self.tables()?;
        if let Some(&known) = tables.switches.about(&switch.subject)?.first() {
            return Ok((tables.entry(known)?, true));
        }
        if tables.switches.count_since(&switch.service, since)? >= SWITCHES_PER_SERVICE_MAX {
            return Err(LogError::Switches { service: switch.service.clone(), since, max: SWITCHES_PER_SERVICE_MAX });
        }
        let (entry, next) = tables.append_remark(&tables.switches, *head, at, (switch, Vec::new()))?;
        *head = next;
        Ok((entry, false))
    }

    /// Switches that pass the filter, latest first, and where the next page begins.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn switches(
        &self,
        filter: &Filter,
        after: Option<&PageToken>,
        size: usize,
    ) -> Result<(Vec<Remark>, Option<PageToken>), LogError> {
        let tables = self.tables()?;
        tables.remarks(&tables.switches, filter, after, size)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uitwijk_model::Millis;

    use super::*;

    const T0: WallTime = WallTime::from_millis(1_772_438_400_000);

    fn at(second: u64) -> WallTime {
        T0.plus(Millis::from_secs(second))
    }

    fn switch(service: &str, second: u64) -> NewRemark {
        NewRemark {
            subject: format!("switch/{service}/{}/NL/IE", at(second)),
            service: service.to_owned(),
            from: at(second),
            to: Some(at(second + 1)),
            body: json!({ "switch": second }),
        }
    }

    #[test]
    fn the_same_switch_stands_in_the_chain_once_also_after_a_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let log = VerdictLog::open(dir.path()).unwrap();
        let (first, known) = log.switch(at(60), &switch("exchange", 7), T0).unwrap();
        assert!(!known && first.sequence == 1);
        drop(log);
        let log = VerdictLog::open(dir.path()).unwrap();
        assert_eq!(log.switch(at(90), &switch("exchange", 7), T0).unwrap(), (first, true));
        let (second, known) = log.switch(at(90), &switch("exchange", 8), T0).unwrap();
        assert_eq!((known, second.sequence, log.verify().unwrap().entries), (false, 2, 2));
        let (listed, _) = log.switches(&Filter::default(), None, 10).unwrap();
        assert_eq!(listed.iter().map(|r| r.entry.sequence).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(log.labels(&Filter::default(), None, 10).unwrap(), (Vec::new(), None));
    }

    #[test]
    fn a_service_takes_so_many_switches_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let log = VerdictLog::open(dir.path()).unwrap();
        let all = u64::try_from(SWITCHES_PER_SERVICE_MAX).unwrap();
        for second in 0..all {
            log.switch(T0, &switch("exchange", second), T0).unwrap();
        }
        let error = log.switch(T0, &switch("exchange", all), T0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "exchange has 1000 switches since 2026-03-02T08:00:00Z already, which is the most: report only what was done"
        );
        assert!(log.switch(T0, &switch("exchange", 3), T0).unwrap().1, "what is known is known");
        assert!(log.switch(T0, &switch("portal", all), T0).is_ok());
        assert!(log.switch(T0, &switch("exchange", all), at(1)).is_ok(), "what is older does not count");
    }
}
