//! The command-line tool of operations people; see `uitwijk_collector::ops`.

fn main() -> std::process::ExitCode {
    uitwijk_collector::ops::main(std::env::args_os())
}
