//! How do entries and their indexes stand in the database?

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use uitwijk_model::WallTime;

use super::chain::{self, Entry, Hash, Verified};
use super::index::{self, EpisodeIndex, Filter, PageToken};
use super::remarks::Shelf;
use super::{Head, LogError, Publication};
use crate::store::{journal, open_whole};

/// The version of the layout; written once, checked at each open.
const VERSION: u32 = 1;

/// How many of the last entries are checked at each open; all of them by `verify`.
const CHECKED_AT_OPEN: u64 = 1000;

/// The open database.
pub(super) struct Tables {
    pub(super) db: Database,
    pub(super) entries: Keyspace,
    pub(super) episodes: Keyspace,
    pub(super) newest: Keyspace,
    pub(super) labels: Shelf,
    pub(super) switches: Shelf,
}

/// Why a log does not open: its directory cannot be made, or what is in it is no log.
enum Trouble {
    Directory(std::io::Error),
    Log(LogError),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Directory(error)
    }
}

impl Tables {
    /// Opens a directory, and finds where the next entry goes.
    pub(super) fn open(dir: &Path) -> Result<(Self, Head), LogError> {
        open_whole(dir, |place| Self::in_place(place).map_err(Trouble::Log)).map_err(|trouble| match trouble {
            Trouble::Log(error) => error,
            Trouble::Directory(error) => LogError::open(dir, error.into()),
        })
    }

    fn in_place(dir: &Path) -> Result<(Self, Head), LogError> {
        let db = open_database(dir)?;
        let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default).map_err(|e| LogError::open(dir, e));
        check_version(dir, &db, &keyspace("meta")?)?;
        let (entries, episodes, newest) = (keyspace("entries")?, keyspace("episodes")?, keyspace("newest")?);
        let labels = Shelf::new(keyspace("labels")?, keyspace("labelled")?);
        let switches = Shelf::new(keyspace("switches")?, keyspace("switched")?);
        let last = last_sequence(&entries)?;
        let tables = Self { db, entries, episodes, newest, labels, switches };
        let verified = tables.verify_from((last + 1).saturating_sub(CHECKED_AT_OPEN).max(1))?;
        Ok((tables, Head { next: last + 1, hash: verified.head }))
    }

    /// Writes and syncs; answers the entries and where the next one goes.
    pub(super) fn append(
        &self,
        head: Head,
        published: WallTime,
        publications: &[Publication],
    ) -> Result<(Vec<Entry>, Head), LogError> {
        let mut next = head;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        let mut entries = Vec::with_capacity(publications.len());
        let mut indexes: Vec<(String, EpisodeIndex)> = Vec::new();
        for publication in publications {
            let index = self.extend_index(&mut indexes, publication, next.next)?;
            let key = index.order_key(&publication.episode);
            let entry = Entry::new(next.next, next.hash, published, publication);
            let bytes = entry.to_bytes();
            next = Head { next: next.next + 1, hash: Hash::of(&bytes) };
            batch.insert(&self.entries, entry.sequence.to_be_bytes(), bytes);
            batch.insert(&self.newest, key, publication.service.as_bytes());
            entries.push(entry);
        }
        for (episode, index) in &indexes {
            batch.insert(&self.episodes, episode.as_bytes(), index.to_bytes());
        }
        batch.commit()?;
        Ok((entries, next))
    }

    /// Adds a publication to the index of its episode, which may have been extended by the same call before.
    fn extend_index<'a>(
        &self,
        indexes: &'a mut Vec<(String, EpisodeIndex)>,
        publication: &Publication,
        sequence: u64,
    ) -> Result<&'a EpisodeIndex, LogError> {
        let place = match indexes.iter().position(|(episode, _)| *episode == publication.episode) {
            Some(place) => place,
            None => {
                let index = self.index(&publication.episode)?.unwrap_or_else(|| EpisodeIndex::begin(publication));
                indexes.push((publication.episode.clone(), index));
                indexes.len() - 1
            }
        };
        let index = &mut indexes[place].1;
        index.extend(publication, sequence)?;
        Ok(index)
    }

    fn index(&self, episode: &str) -> Result<Option<EpisodeIndex>, LogError> {
        self.episodes.get(episode)?.map(|bytes| EpisodeIndex::from_bytes(episode, &bytes)).transpose()
    }

    pub(super) fn get(&self, episode: &str, revision: Option<u32>) -> Result<Option<Entry>, LogError> {
        let Some(index) = self.index(episode)? else { return Ok(None) };
        match index.sequence_of(revision) {
            Some(sequence) => self.entry(sequence).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn revisions(&self, episode: &str) -> Result<Vec<Entry>, LogError> {
        let Some(index) = self.index(episode)? else { return Ok(Vec::new()) };
        index.sequences.iter().map(|&sequence| self.entry(sequence)).collect()
    }

    pub(super) fn page(
        &self,
        filter: &Filter,
        after: Option<&PageToken>,
        size: usize,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Result<(Vec<Entry>, Option<PageToken>), LogError> {
        let mut page = Vec::new();
        for item in self.newest.range(filter.begin(after)..) {
            let (key, service) = item.into_inner()?;
            if !filter.passes_service(&service) {
                continue;
            }
            let Some(entry) = self.latest_in(filter, index::episode_of(&key))? else { continue };
            if !wanted(&entry) {
                continue;
            }
            if page.len() == size {
                return Ok((page, Some(PageToken::before(&key))));
            }
            page.push(entry);
        }
        Ok((page, None))
    }

    fn latest_in(&self, filter: &Filter, episode: &str) -> Result<Option<Entry>, LogError> {
        let Some(index) = self.index(episode)? else { return Ok(None) };
        match filter.as_of {
            None if filter.passes_span(index.span()) => self.entry(index.latest()).map(Some),
            None => Ok(None),
            Some(moment) => Ok(self.known_at(&index, moment)?.filter(|entry| filter.passes_span(entry.span()))),
        }
    }

    /// The latest revision of an episode that was decided up to a moment.
    fn known_at(&self, index: &EpisodeIndex, moment: WallTime) -> Result<Option<Entry>, LogError> {
        for &sequence in index.sequences.iter().rev() {
            let entry = self.entry(sequence)?;
            if entry.decided() <= moment {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The latest revision of each episode of a service that was decided up to a moment, in order of first start.
    pub(super) fn as_of(&self, filter: &Filter) -> Result<Vec<Entry>, LogError> {
        let (mut all, _) = self.page(filter, None, usize::MAX, &|_| true)?;
        all.reverse();
        Ok(all)
    }

    pub(super) fn since(&self, from: WallTime) -> Result<Vec<Entry>, LogError> {
        let filter = Filter { from: Some(from), ..Filter::default() };
        let mut sequences = Vec::new();
        for item in self.episodes.iter() {
            let (episode, bytes) = item.into_inner()?;
            let index = EpisodeIndex::from_bytes(&String::from_utf8_lossy(&episode), &bytes)?;
            if filter.passes_span(index.span()) {
                sequences.extend(index.sequences);
            }
        }
        sequences.sort_unstable();
        sequences.into_iter().map(|sequence| self.entry(sequence)).collect()
    }

    pub(super) fn entry(&self, sequence: u64) -> Result<Entry, LogError> {
        match self.entries.get(sequence.to_be_bytes())? {
            Some(bytes) => Entry::from_bytes(sequence, &bytes),
            None => Err(LogError::Damaged { sequence, why: "it is missing".to_owned() }),
        }
    }

    pub(super) fn verify_from(&self, first: u64) -> Result<Verified, LogError> {
        let mut check = chain::Check::from(first);
        for item in self.entries.range(first.to_be_bytes()..) {
            let (key, bytes) = item.into_inner()?;
            check.next(&key, &bytes)?;
        }
        Ok(check.end())
    }
}

/// Opens the database in a directory.
pub(super) fn open_database(dir: &Path) -> Result<Database, LogError> {
    journal::mend(dir).map_err(|e| LogError::open(dir, e.into()))?;
    Database::builder(dir).worker_threads(1).cache_size(4 << 20).open().map_err(|e| LogError::open(dir, e))
}

fn last_sequence(entries: &Keyspace) -> Result<u64, LogError> {
    let Some(last) = entries.last_key_value() else { return Ok(0) };
    chain::sequence_of(&last.key()?)
}

pub(super) fn check_version(dir: &Path, db: &Database, meta: &Keyspace) -> Result<(), LogError> {
    let Some(found) = meta.get("version")? else {
        meta.insert("version", VERSION.to_string())?;
        return Ok(db.persist(PersistMode::SyncAll)?);
    };
    let found = String::from_utf8_lossy(&found).into_owned();
    match found.parse::<u32>() {
        Ok(VERSION) => Ok(()),
        _ => Err(LogError::Version { dir: dir.to_owned(), found, known: VERSION }),
    }
}
