//! What happens when the disk fails, and how does the buffer come back?
//!
//! ```text
//!   Disk --error--> Full --ballast can be set again, or drained and made anew--> Disk
//!   Disk --damage--> store moved aside, its rows lost as unreadable, new store --> Disk
//!   Memory (no disk at the start) --folder can be opened--> Disk
//! ```
//!
//! In `Full` and `Memory` measurements live in the bounded tail, the store is only read, and uplinks go on draining. Setting
//! the ballast is the test for space: it writes real bytes and syncs them, so it cannot pass by mistake, and
//! the next failure finds it there to give up. Asking the file system how much is free was left: quotas
//! and reserved blocks make the answer wrong just when it matters.

use super::ledger::Loss;
use super::open::{self, Opened};
use super::owner::{Owner, after};
use super::snapshot::Health;
use super::store::{Store, StoreError};

impl Owner {
    /// The store failed: make room, keep what is new in memory, go on.
    pub(super) fn fail(&mut self, error: StoreError) {
        self.retry_at = after(self.now(), self.options.retry_every);
        if let StoreError::Damaged(what) = error {
            return self.abandon(&what);
        }
        tracing::error!(%error, "the buffer cannot write to its disk, measurements stay in memory");
        self.health = Health::Full;
        self.counts.failures += 1;
        self.counts.ballast = false;
        if let Some(directory) = &self.directory {
            directory.drop_ballast();
            directory.drop_asides();
        }
        self.reopen();
    }

    /// Gets a store that can be read again; sled takes nothing more after an error.
    fn reopen(&mut self) {
        let Some(directory) = &self.directory else { return };
        if let Some(store) = self.shelf.store.take()
            && !store.close()
        {
            return self.abandon("the store did not close");
        }
        match Store::open(&directory.store_path(), &self.options.faults) {
            Ok(store) => self.shelf.store = Some(store),
            Err(StoreError::Disk(error)) => tracing::warn!(%error, "the buffer cannot be opened again yet"),
            Err(StoreError::Damaged(what)) => self.abandon(&what),
        }
    }

    /// Moves a damaged store aside and declares what it held lost; what is in memory is kept.
    fn abandon(&mut self, what: &str) {
        self.health = Health::Full;
        let now = self.now();
        if self.abandoned_at.is_some_and(|at| now < after(at, self.options.retry_every)) {
            // Twice in a row is not damage but a store that cannot work: leave it until the next try.
            tracing::error!(error = what, "the buffer fails again at once, measurements stay in memory");
            self.shelf.store.take().map(Store::close);
            return;
        }
        self.abandoned_at = Some(now);
        tracing::error!(error = what, "the buffer cannot be read, it is moved aside and starts afresh");
        self.counts.moved_aside += 1;
        self.shelf.store.take().map(Store::close);
        let Some(directory) = &self.directory else { return };
        if let Err(error) = directory.move_store_aside() {
            tracing::error!(%error, "the damaged store could not be moved aside");
        }
        self.lose_disk();
        self.remake();
    }

    /// Everything that is only on disk is gone.
    fn lose_disk(&mut self) {
        let kept = self.shelf.tail_extents();
        let before: u64 = self.unreadable();
        for boot in &mut self.ledger.boots {
            let mut from = 1;
            let of_boot = kept.iter().filter(|extent| extent.boot() == boot.id);
            let ends = of_boot.map(|extent| (extent.first, extent.end())).chain([(boot.next, boot.next)]);
            for (first, end) in ends.collect::<Vec<_>>() {
                boot.accounts.values_mut().for_each(|account| account.lose(from, first, Loss::Unreadable));
                from = end;
            }
            boot.dirty = true;
        }
        self.counts.lost[Loss::Unreadable as usize - 1] += self.unreadable().saturating_sub(before);
        let tail_key = self.shelf.tail_key();
        self.shelf.head.raw_bytes = 0;
        self.shelf.head.first_key = tail_key;
        self.shelf.head.positions.values_mut().for_each(|position| *position = tail_key.max(*position));
    }

    fn unreadable(&self) -> u64 {
        let most = |collector: &String| self.ledger.books(collector).iter().map(|books| books.unreadable).sum();
        self.options.collectors.iter().map(most).max().unwrap_or(0)
    }

    /// Tries the disk again.
    pub(super) fn retry(&mut self) {
        self.retry_at = after(self.now(), self.options.retry_every);
        match self.health {
            Health::Memory => self.attach(),
            Health::Full => {
                if self.shelf.store.is_none() {
                    self.reopen();
                }
                self.set_ballast();
                if self.counts.ballast && self.shelf.store.is_some() {
                    self.resume();
                }
            }
            Health::Disk if !self.counts.ballast => self.set_ballast(),
            Health::Disk => {}
        }
    }

    pub(super) fn set_ballast(&mut self) {
        let Some(directory) = &self.directory else { return };
        match directory.set_ballast() {
            Ok(()) => self.counts.ballast = true,
            Err(error) => tracing::warn!(%error, "no room for the ballast of the buffer"),
        }
    }

    fn resume(&mut self) {
        tracing::info!("the disk of the buffer takes data again");
        self.health = Health::Disk;
        self.remade = false;
        self.ledger.boots.iter_mut().for_each(|boot| boot.dirty = true);
        self.persist();
    }

    /// Drops the oldest of what is only in memory, down to its bound.
    pub(super) fn bound_memory(&mut self) {
        while self.shelf.tail_bytes() > self.options.memory_bytes_max {
            let Some(extent) = self.shelf.pop_oldest_of_tail() else { return };
            self.lose(extent.first, extent.end(), Loss::Unwritable);
        }
        self.drop_delivered_tail();
    }

    /// Without a disk nobody else removes what everyone has.
    fn drop_delivered_tail(&mut self) {
        if self.health == Health::Disk {
            return;
        }
        let wanted = self.shelf.head.positions.values().min().copied().unwrap_or(0);
        while self.shelf.tail_bytes() > 0 && self.shelf.tail_key() < wanted {
            // The store is read up to the tail, so the tail may only move when the disk has nothing left to give.
            if !self.shelf.is_drained() {
                return;
            }
            self.shelf.pop_oldest_of_tail();
        }
    }

    /// A store whose file grew large, or whose disk is full, is made anew once it holds nothing that is wanted.
    pub(super) fn recreate_if_drained(&mut self) {
        let drained = self.directory.is_some() && self.shelf.is_drained();
        let large = self.health == Health::Disk
            && self.counts.disk_bytes > self.options.recreate_bytes
            && self.shelf.is_empty();
        if drained && (large || (self.health == Health::Full && !self.remade)) {
            self.recreate();
        }
    }

    /// The file `books` carries the books over: a crash in between finds them there.
    fn recreate(&mut self) {
        let tail_key = self.shelf.tail_key();
        self.shelf.head.first_key = tail_key;
        self.shelf.head.raw_bytes = 0;
        if !self.save_books() {
            return;
        }
        self.counts.disk_bytes = 0;
        if let Some(store) = self.shelf.store.take()
            && !store.close()
        {
            return self.abandon("the store did not close");
        }
        let removed = self.directory.as_ref().map(super::directory::Directory::remove_store);
        if let Some(Err(error)) = removed {
            tracing::warn!(%error, "the drained store of the buffer could not be removed");
        }
        self.remake();
    }

    /// A new store with the state that is in memory.
    fn remake(&mut self) {
        self.counts.recreated += 1;
        self.remade = true;
        self.health = Health::Full;
        self.reopen();
        let Some(store) = &self.shelf.store else { return };
        match open::write_all(store, &self.shelf.head, &mut self.ledger, &[]) {
            Ok(()) => {
                self.gone.clear();
                self.set_ballast();
                if self.counts.ballast {
                    self.resume();
                }
            }
            Err(error) => tracing::warn!(%error, "the new store of the buffer cannot be written yet"),
        }
    }

    /// The folder that could not be opened at the start: perhaps now.
    fn attach(&mut self) {
        match open::open(&self.options) {
            Ok(opened) => self.adopt(opened),
            Err(error) => tracing::warn!(%error, "the buffer is still in memory"),
        }
    }

    fn adopt(&mut self, opened: Opened) {
        let Opened { directory, store, mut head, ledger, .. } = opened;
        let Some(mut running) = self.ledger.boots.pop() else { return };
        running.ordinal = head.next_ordinal;
        running.dirty = true;
        head.next_ordinal += 1;
        self.ledger = ledger;
        self.ledger.boots.push(running);
        self.directory = Some(directory);
        self.shelf.attach(store, head);
        for collector in self.options.collectors.clone() {
            self.advance(&collector);
        }
        self.set_ballast();
        self.resume();
        self.shared.start_over();
    }
}
