//! The command-line tool of operations people; see `uitwijk_collector::ops`.

/// The same as in the collector.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    uitwijk_collector::ops::main(std::env::args_os())
}
