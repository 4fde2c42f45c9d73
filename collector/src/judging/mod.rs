//! When is which service judged, and what is published?

mod input;

pub use input::{AcceptedRows, JudgeInput};
