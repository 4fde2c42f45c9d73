//! Which plan is in force, and which were before?
