//! How do measurements become columns, and columns measurements?
