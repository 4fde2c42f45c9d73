//! Which tasks make an agent, and in which order do they stop?
