//! How is one attempt made, and what does it find?
