//! What can programs ask the collector, and who may?

mod access;
mod ask;
mod convert;
mod fleet;
mod gate;
mod measurements;
mod server;
mod verdicts;
mod watching;

pub use access::AccessLayer;
pub use fleet::FleetApi;
pub use gate::Gate;
pub use measurements::MeasurementsApi;
pub use server::{GrpcHealth, serve, with_standard_services};
pub use verdicts::VerdictsApi;
pub use watching::Watching;
