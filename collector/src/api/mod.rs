//! What can programs ask the collector, and who may?

mod access;

pub use access::AccessLayer;
