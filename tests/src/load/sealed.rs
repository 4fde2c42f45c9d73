//! What does a measurement take on disk after its hour was sealed?
//!
//! The hours of a load are not over when it ends, so they are sealed by a clock that is ahead, with the very code that the
//! collector seals with.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use uitwijk_collector::store::{DiskOptions, FILE_ROWS_MAX, Sealing, Store};
use uitwijk_model::{Clock as _, Millis, SystemClock};

use super::cost;

/// Seals everything in the data directory of a collector that has stopped.
pub(super) fn line(data: &Path) -> anyhow::Result<String> {
    let store = Store::open(&data.join("store"), DiskOptions::default(), Arc::new(SystemClock))?;
    let now = SystemClock.wall().plus(Millis::from_secs(2 * 3600));
    let cpu = cost::cpu("self")?;
    for (hour, ..) in store.unsealed(now)? {
        let how = Sealing {
            collector: "load",
            plan_version: "0123456789abcdef",
            now,
            file_rows_max: FILE_ROWS_MAX,
            give_up: &|| false,
        };
        store.seal(hour, &how)?.context("nobody gave up")?;
    }
    let cpu = cost::cpu("self")?.saturating_sub(cpu);
    let hours = store.sealed_hours();
    let rows: u64 = hours.iter().map(|hour| hour.rows).sum();
    let bytes: u64 = hours.iter().map(|hour| hour.bytes).sum();
    let rollups: u64 = hours.iter().map(|hour| hour.rollup_bytes).sum();
    let each = |bytes: u64| bytes as f64 / rows.max(1) as f64;
    Ok(format!(
        "sealed: {:.1} bytes on disk per measurement and {:.1} of rollups, {:.2} CPU s per million, {rows} measurements",
        each(bytes),
        each(rollups),
        cpu.as_secs_f64() * 1e6 / rows.max(1) as f64,
    ))
}
