//! A stage for one agent: certificates, targets, collectors that do as they are told, and the agent as a process.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of the stage")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a stage that cannot be set up ends the test")]

pub mod agent;
pub mod collector;
pub mod pki;
pub mod plan;
pub mod site;

use std::time::Duration;

use tokio::time::Instant;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds, and says what it was when it never does.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
