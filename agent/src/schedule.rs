//! When is which target probed?
