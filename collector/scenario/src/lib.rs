//! What happened to a fleet, and what would an expert have said about it?
