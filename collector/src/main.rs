//! The collector; see the library for what it does.

fn main() -> std::process::ExitCode {
    uitwijk_collector::cli::main(std::env::args_os())
}
