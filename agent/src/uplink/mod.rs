//! How do buffered measurements reach one collector?
