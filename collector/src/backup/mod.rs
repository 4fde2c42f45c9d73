//! How does what a collector holds outlive the disk it lies on?
//!
//! ```text
//!   running collector --take.rs--> pieces (gRPC) --fetch.rs--> a backup: a directory        layout.rs, records.rs
//!   a backup --restore.rs--> a data directory --catch_up.rs--> what came in since, from the peer --> start
//!   verify.rs looks at either, and asks nobody
//! ```
//!
//! The running collector has the lock of its directories, and only it knows what is true at one moment; so it is asked, over the API that it
//! has anyway. It takes moments of its databases (which cost nothing to take), reads them to a stream of small pieces, and keeps what
//! they need until they are read. Ingest never waits for a backup.
//!
//! A backup holds contents, not files of the database: it reads the same in any later release, its parts never change, and so have
//! one sum each. Its manifest comes last. Without one a backup is unfinished, and neither checked nor restored.
//!
//! The verdict log is taken before the store, so that a restored collector has every measurement that its verdicts rest on.

pub mod catch_up;
pub mod error;
pub mod fetch;
pub mod layout;
mod records;
pub mod restore;
pub mod take;
pub mod verify;

pub use error::BackupError;
