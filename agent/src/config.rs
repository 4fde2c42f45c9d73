//! What may an operator set?
