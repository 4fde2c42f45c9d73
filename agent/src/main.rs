//! The probe agent; see the library for what it does.

fn main() -> std::process::ExitCode {
    uitwijk_agent::cli::main(std::env::args_os())
}
