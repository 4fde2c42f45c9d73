//! How is a name that stands in millions of lines kept once?
//!
//! A table of everything that was read, keyed by content. It is bounded: a stream with more different names than any
//! fleet has gets its names unshared, which costs memory of that stream and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use uitwijk_model::{Region, ServedBy, Zone};

use crate::record::{Watched, Watcher};

/// Different values that are kept of each sort.
const NAMES_MAX: usize = 65_536;

/// Names that were read so far.
#[derive(Debug, Default)]
pub struct Names {
    watchers: Shared<Watcher>,
    watched: Shared<Watched>,
    served: Vec<Arc<ServedBy>>,
    regions: BTreeMap<Box<str>, Region>,
    zones: BTreeMap<Box<str>, Zone>,
}

#[derive(Debug)]
struct Shared<T>(BTreeMap<Box<str>, Arc<T>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Shared<T> {
    fn get<E>(&mut self, key: &str, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(known) = self.0.get(key) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(make()?);
        if self.0.len() < NAMES_MAX {
            self.0.insert(key.into(), Arc::clone(&made));
        }
        Ok(made)
    }
}

impl Names {
    pub(crate) fn watcher<E>(
        &mut self,
        key: &str,
        make: impl FnOnce() -> Result<Watcher, E>,
    ) -> Result<Arc<Watcher>, E> {
        self.watchers.get(key, make)
    }

    pub(crate) fn watched<E>(
        &mut self,
        key: &str,
        make: impl FnOnce() -> Result<Watched, E>,
    ) -> Result<Arc<Watched>, E> {
        self.watched.get(key, make)
    }

    /// A place that answered, shared.
    pub fn served(&mut self, place: ServedBy) -> Arc<ServedBy> {
        if let Some(known) = self.served.iter().find(|s| ***s == place) {
            return Arc::clone(known);
        }
        let made = Arc::new(place);
        // Few places serve; a longer table would be slower to search than it saves.
        if self.served.len() < 256 {
            self.served.push(Arc::clone(&made));
        }
        made
    }

    pub(crate) fn region(&mut self, text: &str) -> Result<Region, uitwijk_model::IdError> {
        if let Some(known) = self.regions.get(text) {
            return Ok(known.clone());
        }
        let made = Region::new(text)?;
        if self.regions.len() < NAMES_MAX {
            self.regions.insert(text.into(), made.clone());
        }
        Ok(made)
    }

    pub(crate) fn zone(&mut self, text: &str) -> Result<Zone, uitwijk_model::IdError> {
        if let Some(known) = self.zones.get(text) {
            return Ok(known.clone());
        }
        let made = Zone::new(text)?;
        if self.zones.len() < NAMES_MAX {
            self.zones.insert(text.into(), made.clone());
        }
        Ok(made)
    }
}
