//! Where do measurements wait until every collector has them?
