//! The collector; see the library for what it does.

/// Quicker than the system's where what one thread allocates is freed by another, as measurements are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    uitwijk_collector::cli::main(std::env::args_os())
}
