//! What may be made of any bytes that stand in a buffer?
//!
//! For `tests/fuzz` alone, which cannot reach what these rest on. Each returns when all is well and panics when not.

use super::ledger::Ledger;
use super::record::{self, Extent};
use super::state::{Head, decode_books, decode_boot, encode_books, encode_boot};

/// Bytes as a record: the head that is read alone is that of the whole, and merging with itself never harms.
///
/// # Panics
/// When they do not agree.
pub fn record(data: &[u8]) {
    let (extent, batch) = (Extent::of(data), record::decode(data));
    if let (Some(extent), Some(batch)) = (extent, &batch) {
        assert_eq!((extent.boot, extent.first, extent.count), (batch.boot, batch.first_sequence, batch.count));
        assert!(extent.end() > extent.first);
    }
    if let Some(batch) = batch {
        let mut next = batch.clone();
        next.first_sequence = batch.first_sequence.wrapping_add(batch.count.into());
        let merged = record::merge(vec![batch.clone(), next]);
        assert!(merged.is_some_and(|merged| merged.first_sequence == batch.first_sequence));
    }
}

/// Bytes as books of a boot and as the file `books`: what is taken can be worked with, and reads back as it was written.
///
/// # Panics
/// When it does not.
pub fn state(data: &[u8]) {
    if let Some(boot) = decode_boot(data) {
        let again = decode_boot(&encode_boot(&boot)).map(|boot| encode_boot(&boot));
        assert_eq!(again, Some(encode_boot(&boot)));
        use_books(Ledger { boots: vec![boot] });
    }
    if let Some((head, ledger)) = decode_books(data) {
        let again = decode_books(&encode_books(&head, &ledger)).map(|(head, ledger)| encode_books(&head, &ledger));
        assert_eq!(again, Some(encode_books(&head, &ledger)));
        use_books(ledger);
    }
    let _ = <Head as prost::Message>::decode(data);
}

/// Everything that a start asks of books that it found.
fn use_books(mut ledger: Ledger) {
    let names: Vec<String> = ledger.boots.iter().flat_map(|boot| boot.accounts.keys().cloned()).collect();
    for name in &names {
        let books = ledger.books(name);
        assert!(books.iter().all(super::Books::balance), "{books:?}");
    }
    ledger.configure(&["col-ie".to_owned(), "col-nl".to_owned()]);
    ledger.lose_everything(super::Loss::Unreadable);
    assert!(ledger.books("col-nl").iter().all(super::Books::balance));
}
