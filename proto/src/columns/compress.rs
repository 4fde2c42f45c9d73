//! How do columns become bytes, and how are bytes from outside kept from blowing up?
//!
//! A frame of zstd may promise gigabytes in a hundred bytes. So it is unpacked into a buffer whose capacity is the limit:
//! what does not fit ends in an error, before any memory beyond the limit is asked for.

use std::cell::RefCell;

use bytes::Bytes;
use prost::Message as _;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

use super::decode::MalformedBatch;
use crate::v1;

/// Fast and good enough: the columns are already small numbers.
const ZSTD_LEVEL: i32 = 1;

thread_local! {
    // Contexts are large; one per thread serves all batches.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::default());
}

/// Writes columns as [`v1::Batch::columns`] has them.
///
/// # Panics
/// When zstd cannot compress, which it only does out of memory.
#[must_use]
pub fn to_bytes(columns: &v1::Columns, how: v1::Compression) -> Bytes {
    let plain = columns.encode_to_vec();
    match how {
        v1::Compression::None => plain.into(),
        v1::Compression::Zstd => COMPRESSOR.with_borrow_mut(|slot| {
            let compressor =
                slot.get_or_insert_with(|| Compressor::new(ZSTD_LEVEL).expect("the level is one that zstd has"));
            compressor.compress(&plain).expect("a buffer of the size that zstd asks for is large enough").into()
        }),
    }
}

/// The bytes of an encoded `Columns`, unpacked to at most `bytes_max`.
pub(super) fn unpack(bytes: &Bytes, how: i32, bytes_max: usize) -> Result<Bytes, MalformedBatch> {
    match v1::Compression::try_from(how) {
        Ok(v1::Compression::None) if bytes.len() > bytes_max => Err(MalformedBatch::Unpacked { max: bytes_max }),
        Ok(v1::Compression::None) => Ok(bytes.clone()),
        Ok(v1::Compression::Zstd) => unzstd(bytes, bytes_max),
        Err(_) => Err(MalformedBatch::Compression { found: how }),
    }
}

fn unzstd(bytes: &[u8], bytes_max: usize) -> Result<Bytes, MalformedBatch> {
    let declared = zstd_safe::get_frame_content_size(bytes).map_err(|_| MalformedBatch::Zstd("not a frame".into()))?;
    let capacity = match declared {
        Some(size) if size > bytes_max as u64 => return Err(MalformedBatch::Unpacked { max: bytes_max }),
        Some(size) => usize::try_from(size).unwrap_or(bytes_max),
        None => bytes_max,
    };
    let mut plain = Vec::with_capacity(capacity);
    DECOMPRESSOR
        .with_borrow_mut(|d| d.decompress_to_buffer(bytes, &mut plain))
        .map_err(|e| MalformedBatch::Zstd(e.to_string()))?;
    Ok(plain.into())
}
