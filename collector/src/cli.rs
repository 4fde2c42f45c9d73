//! How is the collector started from a command line?

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the collector as its binary does; `args` starts with the name of the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args.into_iter().count();
    ExitCode::FAILURE
}
