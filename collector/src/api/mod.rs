//! What can programs ask the collector, and who may?
