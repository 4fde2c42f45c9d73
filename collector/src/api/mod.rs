//! What can programs ask the collector, and who may?

mod access;
mod ask;
mod backups;
mod comparing;
mod convert;
mod fleet;
mod gate;
mod labels;
mod measurements;
mod past;
mod policies;
mod server;
mod switches;
mod verdicts;
mod watching;

pub use access::AccessLayer;
pub use backups::BackupsApi;
pub use fleet::{FleetApi, LEDGER_READERS_MAX};
pub use gate::Gate;
pub use labels::LabelsApi;
pub use measurements::MeasurementsApi;
pub use policies::PoliciesApi;
pub use server::{GrpcHealth, serve, with_standard_services};
pub use switches::SwitchesApi;
pub use verdicts::VerdictsApi;
pub use watching::Watching;
