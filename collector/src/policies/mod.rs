//! What would another policy have said of the same measurements?
//!
//! ```text
//!   store ----> backtest.rs   judged anew under the policy in force and under another one --+
//!   labels ---------------------------------------------------------------------------------+--> comparison.rs --> API, CLI
//!   verdict log, shadow log   what was said live, by the real policy and by a shadow -------+    totals, differences, confusion
//! ```
//!
//! Episodes of the two policies are held against each other and against what people said of them afterwards. All of that is
//! plain arithmetic over lists of episodes; only the backtest reads a disk.

pub mod backtest;
mod comparison;
mod confusion;
mod judged;
mod totals;

pub use comparison::{Changed, Compared, Comparison, DIFFERENCES_MAX, Difference, compare};
pub use confusion::{Confusion, Row, Said};
pub use judged::{Judged, Ledger, Stretch};
pub use totals::{Amount, Totals};
