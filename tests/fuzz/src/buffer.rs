//! What stands in the buffer of an agent.

/// A record: what is read of it is what is sent.
pub(crate) fn record(data: &[u8]) {
    uitwijk_agent::buffer::fuzzing::record(data);
}

/// What the buffer wrote down about itself.
pub(crate) fn state(data: &[u8]) {
    uitwijk_agent::buffer::fuzzing::state(data);
}
