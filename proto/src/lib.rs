//! How do agents, collectors and programs talk?
//!
//! ```text
//!   uitwijk/v1/*.proto --cargo bindings--> gen/        the schema is the document
//!   Measurement (model) <--columns.rs--> Columns       many rows, column by column
//! ```
//!
//! The bindings are kept in the tree, so a build needs no protoc and no code generator; the test `bindings` keeps them
//! fresh. Generated types stop at the conversions in this crate: beyond them there are only values of `uitwijk-model`.

pub mod columns;
pub mod started;

/// Bindings of the schema; see the `.proto` files, whose comments they carry.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::wildcard_imports,
    clippy::semicolon_if_nothing_returned,
    clippy::needless_pass_by_value,
    unreachable_pub,
    missing_docs,
    reason = "generated from the schema"
)]
#[rustfmt::skip]
pub mod v1 {
    include!("gen/uitwijk.v1.rs");
}

/// The schema as an encoded `FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

/// The version of the ingest protocol that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;
