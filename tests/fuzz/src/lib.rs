//! Can what comes from outside, or from a disk, be any bytes at all without harm?
//!
//! ```text
//!   tests/corpus/TARGET/   kept inputs, and what a fuzzer found of new ways with them
//!   tests/inputs.rs        every kept input, and changes of them by chance: in each run of the tests
//!   fuzz/                  the same functions for `cargo fuzz`, which steers by coverage and needs a nightly compiler
//! ```
//!
//! A target is a function of bytes. It returns when all is well, whatever that means for these bytes, and panics when something is
//! said that cannot be: a value that does not survive its own way back, a measurement that no collector would take.

#![expect(clippy::unwrap_used, reason = "a target fails by panicking")]

mod answers;
mod buffer;
pub mod chance;
mod store;
mod texts;
mod wire;

/// What is done with any bytes.
pub type Target = fn(&[u8]);

/// What can be fuzzed, by name, which is also that of its folder of kept inputs.
pub const TARGETS: [(&str, Target); 13] = [
    ("batch", wire::batch),
    ("buffer_record", buffer::record),
    ("buffer_state", buffer::state),
    ("certificate", answers::certificate),
    ("dns", answers::dns),
    ("grpc", answers::grpc),
    ("http1", answers::http1),
    ("http2", answers::http2),
    ("plan", texts::plan),
    ("sealed", store::sealed),
    ("stored", store::stored),
    ("stream", texts::stream),
    ("tcp", answers::tcp),
];

/// Plays an input to a target by name.
///
/// # Panics
/// When there is no such target, and when the target finds something that must not be.
pub fn play(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("a target of this name").1(data);
}
