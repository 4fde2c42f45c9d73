//! (in progress)
pub mod link;
pub mod process;
