//! When is which service judged, and what is published?
