//! Which questions are well put?

use tonic::{Code, Status};
use uitwijk_model::WallTime;

use crate::verdict_log::LogError;

/// A page size with its limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize {
    pub(super) default: u32,
    pub(super) max: u32,
}

impl PageSize {
    /// The size asked for, 0 meaning the default.
    pub(super) fn of(self, asked: u32) -> Result<usize, Status> {
        let size = if asked == 0 { self.default } else { asked };
        if size > self.max {
            return Err(Status::invalid_argument(format!("page_size {asked} is out of range: 1 to {}", self.max)));
        }
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }
}

/// A stretch of event time; absent ends are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Option<WallTime>,
    pub(super) to: Option<WallTime>,
}

impl Range {
    /// From two fields of a request, 0 meaning open.
    pub(super) fn of(from_us: i64, to_us: i64) -> Result<Self, Status> {
        let open = |us: i64| (us != 0).then_some(WallTime::from_micros(us));
        let range = Self { from: open(from_us), to: open(to_us) };
        match range {
            Self { from: Some(from), to: Some(to) } if from >= to => {
                Err(Status::invalid_argument(format!("from_us ({from}) is not before to_us ({to})")))
            }
            _ => Ok(range),
        }
    }
}

/// A moment of a request, 0 meaning now.
pub(super) fn moment(us: i64) -> Option<WallTime> {
    (us != 0).then_some(WallTime::from_micros(us))
}

/// Characters of what people say in their own words.
const WORDS_MAX: usize = 1000;

/// What people say in their own words; what is wrong with it otherwise.
pub(super) fn words(field: &str, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > WORDS_MAX {
        return Err(format!("{field} has {length} characters, allowed are {WORDS_MAX}"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{field} has a control character, which is not allowed"));
    }
    Ok(())
}

/// The page token is not one of ours.
pub(super) fn bad_token(text: &str) -> Status {
    let text: String = text.chars().take(80).collect();
    Status::invalid_argument(format!("page_token {text:?} is not one that a response carried"))
}

/// How a failure is told to whoever asked.
pub(super) trait Failure {
    /// Its status and text.
    fn status(&self) -> Status;
}

impl Failure for LogError {
    fn status(&self) -> Status {
        match self {
            Self::Damaged { .. } => Status::data_loss(self.to_string()),
            Self::Labels { .. } | Self::Switches { .. } => Status::resource_exhausted(self.to_string()),
            _ => Status::internal(self.to_string()),
        }
    }
}

/// Runs what may wait for the disk away from the network's threads.
pub(super) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Status>
where
    T: Send + 'static,
    E: Failure + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => {
            let status = failure.status();
            if status.code() != Code::InvalidArgument {
                tracing::error!(reason = status.message(), "a question could not be answered");
            }
            Err(status)
        }
        Err(_) => Err(Status::internal("the answer ended by a panic")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_out_of_range_say_what_is_allowed() {
        let page = PageSize { default: 100, max: 1000 };
        assert_eq!([page.of(0).unwrap(), page.of(1).unwrap(), page.of(1000).unwrap()], [100, 1, 1000]);
        assert_eq!(page.of(1001).unwrap_err().message(), "page_size 1001 is out of range: 1 to 1000");
        assert!(Range::of(5, 0).is_ok() && Range::of(0, 5).is_ok() && Range::of(4, 5).is_ok());
        assert_eq!(
            Range::of(2_000_000, 1_000_000).unwrap_err().message(),
            "from_us (1970-01-01T00:00:02Z) is not before to_us (1970-01-01T00:00:01Z)"
        );
    }
}
