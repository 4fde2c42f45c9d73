//! Where are measurements kept, each exactly once?
