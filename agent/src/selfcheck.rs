//! How well is the observer itself?
