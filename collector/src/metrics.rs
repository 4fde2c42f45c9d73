//! What does the collector count?
