//! Which tasks make a collector, and in which order do they stop?
