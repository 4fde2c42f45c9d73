//! Is nothing lost and nothing doubled, whatever fails?
//!
//! ```text
//!   kill.rs      processes that are killed at random moments, at their first start, and while certificates are changed
//!   network.rs   links that are cut, half open, deaf on one side, slow, torn, led elsewhere; and a backlog of two hours
//!   disk.rs      disks that are full, and disks that take no writes
//!   remount.rs   disks that become read-only while a process works on them
//!   clocks.rs    clocks that are ahead, behind, and that step
//!   peers.rs     peers that misbehave
//!   backup.rs    backups that are killed, collectors whose disk is gone and that are made of a backup and a peer
//! ```
//!
//! Each test runs real processes, breaks something, and ends with the check that `uitwijk ledger --started` makes, at every
//! collector: what the agents recorded as started is what the stores hold, row by row. Where luck is involved the seed is
//! printed; `FAULT_SEED=n` plays it again, `FAULT_ROUNDS=n` makes the test of kills longer or shorter; `FAULT_KEEP=1` leaves the directory of
//! each fleet, with the logs, to be looked at.

mod backup;
mod clocks;
mod disk;
mod kill;
mod network;
mod peers;
mod remount;
mod stage;
mod verdicts;
