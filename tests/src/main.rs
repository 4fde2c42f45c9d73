//! The fleet in one binary: agent, collector, command-line tool, demo. See the library.

fn main() {}
