//! What can people ask and do from a terminal? (`uitwijk`)

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `uitwijk` as its binary does; `args` starts with the name of the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args.into_iter().count();
    ExitCode::FAILURE
}
