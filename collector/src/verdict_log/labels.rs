//! What did people say of an episode afterwards, and when was a test announced?
//!
//! Labels are remarks (see `remarks.rs`) whose subject is an episode or the name of a drill. Several may be about one subject.

use uitwijk_model::WallTime;

use super::{Entry, Filter, LogError, NewRemark, PageToken, Remark, VerdictLog};

/// Labels on one subject; who needs more does not want a label but a discussion.
pub const LABELS_PER_SUBJECT_MAX: usize = 1000;

impl VerdictLog {
    /// Remembers what somebody said of an episode: when this returns, it is on disk.
    ///
    /// # Errors
    /// When its subject has as many labels as it may have, or the disk fails.
    pub fn label(&self, at: WallTime, label: &NewRemark) -> Result<Entry, LogError> {
        let mut head = self.lock();
        let tables = self.tables()?;
        let about = tables.labels.about(&label.subject)?;
        if about.len() >= LABELS_PER_SUBJECT_MAX {
            return Err(LogError::Labels { subject: label.subject.clone(), max: LABELS_PER_SUBJECT_MAX });
        }
        let (entry, next) = tables.append_remark(&tables.labels, *head, at, (label, about))?;
        *head = next;
        Ok(entry)
    }

    /// Labels on stretches that pass the filter, latest start first, and where the next page begins.
    ///
    /// # Errors
    /// When the disk fails or holds something unreadable.
    pub fn labels(
        &self,
        filter: &Filter,
        after: Option<&PageToken>,
        size: usize,
    ) -> Result<(Vec<Remark>, Option<PageToken>), LogError> {
        let tables = self.tables()?;
        tables.remarks(&tables.labels, filter, after, size)
    }
}

#[cfg(test)]
mod tests;
