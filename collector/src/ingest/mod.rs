//! How do batches come in, and when are they acknowledged?
