//! What was published, when, and in which order?
