//! Which trace does a probe belong to, as the target may see it?

use uitwijk_telemetry::context::current_traceparent;

/// The W3C trace context of the current span; a fresh one, marked as not recorded, when nothing is traced. A target that
/// logs it can then still be searched for the attempt's id.
pub(crate) fn of_attempt() -> String {
    current_traceparent().unwrap_or_else(fresh)
}

fn fresh() -> String {
    // Ids of only zeros are not valid, so one bit is always set.
    let trace = rand::random::<u128>() | 1;
    let span = rand::random::<u64>() | 1;
    format!("00-{trace:032x}-{span:016x}-00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_context_is_valid_and_new_each_time() {
        let one = fresh();
        let parts: Vec<&str> = one.split('-').collect();
        assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert_ne!(one, fresh());
    }
}
