//! What is left from earlier boots, and can it be trusted?
//!
//! The store knows best: its head, its boots, and records that were written after both. When it cannot be
//! read it is moved aside, and the file `books` still knows which boots there were, so that their
//! measurements are declared lost instead of missed in silence. Nothing here can make the agent crash twice.

use std::path::PathBuf;

use uitwijk_model::BootId;

use super::directory::Directory;
use super::ledger::{Boot, Ledger, Loss};
use super::options::{BufferOptions, OpenError};
use super::record::Extent;
use super::state::{Head, decode_books, decode_boot, encode_books, encode_boot};
use super::store::{Store, StoreError};

/// Boots that are remembered; of an agent that starts over and over while nobody listens the oldest are forgotten.
const BOOTS_MAX: usize = 512;

pub(super) const HEAD_KEY: &[u8] = b"head";

/// The key of a boot in the tree `meta`.
pub(super) fn boot_key(ordinal: u64) -> Vec<u8> {
    [b"boot/".as_slice(), &ordinal.to_be_bytes()].concat()
}

/// A folder with everything that is in it.
pub(super) struct Opened {
    pub(super) directory: Directory,
    pub(super) store: Store,
    pub(super) head: Head,
    pub(super) ledger: Ledger,
    pub(super) moved_aside: Option<(PathBuf, String)>,
    pub(super) forgotten: Vec<String>,
}

/// Opens the folder, mends what can be mended.
pub(super) fn open(options: &BufferOptions) -> Result<Opened, OpenError> {
    if options.collectors.is_empty() {
        return Err(OpenError::NoCollectors);
    }
    let directory = Directory::open(options)?;
    let path = directory.store_path();
    let opened = match open_store(options, &directory) {
        Err(StoreError::Disk(_)) => {
            // The ballast may be all that is missing for an orderly start on a full disk.
            directory.drop_ballast();
            open_store(options, &directory)
        }
        other => other,
    };
    let mut moved_aside = None;
    let (store, mut head, mut ledger) = match opened {
        Ok(found) => found,
        Err(StoreError::Disk(e)) => return Err(OpenError::io(path, e)),
        Err(StoreError::Damaged(what)) => {
            let aside = directory.move_store_aside().map_err(|e| OpenError::io(&path, e))?;
            tracing::error!(error = what, moved_to = %aside.display(), "the buffer cannot be read, it starts afresh");
            moved_aside = Some((aside, what));
            open_store(options, &directory).map_err(|e| as_open_error(path, e))?
        }
    };
    let (forgotten, _) = ledger.configure(&options.collectors);
    for collector in &forgotten {
        tracing::warn!(collector, "collector is no longer configured, the buffer forgets it");
    }
    head.positions.retain(|name, _| options.collectors.contains(name));
    for collector in &options.collectors {
        head.positions.entry(collector.clone()).or_insert(head.first_key);
    }
    Ok(Opened { directory, store, head, ledger, moved_aside, forgotten })
}

fn as_open_error(path: PathBuf, error: StoreError) -> OpenError {
    match error {
        StoreError::Disk(e) => OpenError::io(path, e),
        StoreError::Damaged(what) => OpenError::io(path, std::io::Error::other(what)),
    }
}

type Found = (Store, Head, Ledger);

fn open_store(options: &BufferOptions, directory: &Directory) -> Result<Found, StoreError> {
    let store = Store::open(&directory.store_path(), &options.faults)?;
    let read = read_meta(&store).and_then(|meta| match meta {
        Some((head, ledger)) => catch_up(&store, head, ledger, &options.collectors),
        None => Ok(start_afresh(directory, &options.collectors)),
    });
    match read {
        Ok((head, ledger)) => Ok((store, head, ledger)),
        Err(error) => {
            store.close();
            Err(error)
        }
    }
}

/// The head and the boots; `None` in a store that is new.
fn read_meta(store: &Store) -> Result<Option<(Head, Ledger)>, StoreError> {
    let mut head = None;
    let mut ledger = Ledger::default();
    for (key, value) in store.all_meta()? {
        if &key[..] == HEAD_KEY {
            head = prost::Message::decode(&value[..]).ok();
        } else if key.starts_with(b"boot/") {
            let boot = decode_boot(&value).ok_or_else(|| StoreError::Damaged(format!("books under {key:?}")))?;
            ledger.boots.push(boot);
        }
    }
    // The head is written last, so a store with boots and no head is one whose making was cut short.
    let is_new = head.is_none() && store.at_or_after(0)?.is_none();
    match head {
        Some(head) => Ok(Some((head, ledger))),
        None if is_new => Ok(None),
        None => Err(StoreError::Damaged("the store has no head".into())),
    }
}

/// A new store: what the file `books` says is not settled was lost with the old one.
fn start_afresh(directory: &Directory, collectors: &[String]) -> (Head, Ledger) {
    let (known, mut ledger) = directory.read("books").and_then(|bytes| decode_books(&bytes)).unwrap_or_default();
    ledger.lose_everything(Loss::Unreadable);
    let next_key = known.next_key.max(1);
    let positions = collectors.iter().map(|name| (name.clone(), next_key)).collect();
    let head = Head { first_key: next_key, next_key, raw_bytes: 0, next_ordinal: known.next_ordinal, positions };
    (head, ledger)
}

/// Counts the records that were written after the head, removes those that were to be removed.
fn catch_up(
    store: &Store,
    mut head: Head,
    mut ledger: Ledger,
    collectors: &[String],
) -> Result<(Head, Ledger), StoreError> {
    while let Some((key, record)) = store.at_or_after(head.next_key)? {
        head.next_key = key + 1;
        head.raw_bytes += record.len() as u64;
        if let Some(extent) = Extent::of(&record) {
            if ledger.boot(extent.boot()).is_none() {
                ledger.boots.push(Boot::new(head.next_ordinal, extent.boot(), collectors));
                head.next_ordinal += 1;
            }
            if let Some(boot) = ledger.boot_mut(extent.boot()) {
                boot.next = boot.next.max(extent.end());
                boot.dirty = true;
            }
        }
    }
    let mut first = None;
    while let Some((key, _)) = store.at_or_after(0)? {
        if key >= head.first_key {
            first = Some(key);
            break;
        }
        store.remove(key)?;
    }
    if first.is_none() {
        head.raw_bytes = 0;
    }
    Ok((head, ledger))
}

/// Begins a boot: it gets an ordinal, and the oldest boots go when there are too many.
pub(super) fn begin_boot(head: &mut Head, ledger: &mut Ledger, id: BootId, collectors: &[String]) -> Vec<u64> {
    let surplus = (ledger.boots.len() + 1).saturating_sub(BOOTS_MAX);
    let gone: Vec<u64> = ledger.boots.drain(..surplus).map(|boot| boot.ordinal).collect();
    if surplus > 0 {
        tracing::error!(boots = surplus, "too many boots wait for a collector, the oldest are forgotten");
    }
    ledger.boots.push(Boot::new(head.next_ordinal, id, collectors));
    head.next_ordinal += 1;
    gone
}

/// Puts the whole state into a store that does not have it yet.
pub(super) fn write_all(store: &Store, head: &Head, ledger: &mut Ledger, gone: &[u64]) -> Result<(), StoreError> {
    for ordinal in gone {
        store.remove_meta(&boot_key(*ordinal))?;
    }
    for boot in &mut ledger.boots {
        store.put_meta(&boot_key(boot.ordinal), &encode_boot(boot))?;
        boot.dirty = false;
    }
    store.put_meta(HEAD_KEY, &prost::Message::encode_to_vec(head))?;
    store.sync()
}

/// Writes the file `books`; false when the disk did not take it.
pub(super) fn save_books(directory: &Directory, head: &Head, ledger: &Ledger) -> bool {
    let written = directory.write("books", &encode_books(head, ledger));
    if let Err(error) = &written {
        tracing::warn!(%error, "the books of the buffer could not be written beside the store");
    }
    written.is_ok()
}
