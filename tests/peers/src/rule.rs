//! What must a rule be able to do?
//!
//! One state per target: it takes results as they become known, and says every ten seconds whether the target is down.
//! A rule that looks at one vantage, or compares vantages, finds the number of the vantage in the result.

/// Microseconds, as in `WallTime`.
pub(crate) type Micros = i64;

/// So many seconds.
pub(crate) const fn secs(n: i64) -> Micros {
    n * 1_000_000
}

/// One result of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When it was scheduled, by the agent's clock.
    pub(crate) at: Micros,
    /// Who saw it.
    pub(crate) vantage: usize,
    /// Anything but a complete right answer.
    pub(crate) failed: bool,
    /// It failed, and what failed was the secure connection.
    pub(crate) tls: bool,
    /// How long it took.
    pub(crate) total: Micros,
}

/// The state of a rule for one target.
pub(crate) trait Rule {
    /// A result became known.
    fn take(&mut self, seen: &Seen);

    /// Is the target down? Asked once per step, at times that only go up.
    fn is_down(&mut self, now: Micros) -> bool;
}

/// Something for each vantage, made when it is first heard of.
#[derive(Debug, Clone, Default)]
pub(crate) struct PerVantage<T>(Vec<Option<T>>);

impl<T: Default> PerVantage<T> {
    pub(crate) fn of(&mut self, vantage: usize) -> &mut T {
        if self.0.len() <= vantage {
            self.0.resize_with(vantage + 1, || None);
        }
        self.0[vantage].get_or_insert_with(T::default)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

/// The newest result of one vantage. One that comes after a newer one says nothing about now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Newest(Option<(Micros, bool)>);

impl Newest {
    /// Takes a result; false when a newer one is known.
    pub(crate) fn take(&mut self, seen: &Seen) -> bool {
        let newer = self.0.is_none_or(|(at, _)| seen.at > at);
        if newer {
            self.0 = Some((seen.at, seen.failed));
        }
        newer
    }

    /// Whether it failed; nothing when it is older than that.
    pub(crate) fn fresh(self, now: Micros, age_max: Micros) -> Option<bool> {
        self.0.filter(|(at, _)| now - at <= age_max).map(|(_, failed)| failed)
    }
}

/// `(failed, all)` of the newest results that are no older than that.
pub(crate) fn count<'a>(all: impl Iterator<Item = &'a Newest>, now: Micros, age_max: Micros) -> (usize, usize) {
    let fresh = all.filter_map(|newest| newest.fresh(now, age_max));
    fresh.fold((0, 0), |(failed, n), bad| (failed + usize::from(bad), n + 1))
}

/// Since when every result of one vantage failed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FailingSince {
    newest: Newest,
    since: Option<Micros>,
}

impl FailingSince {
    pub(crate) fn take(&mut self, seen: &Seen) {
        if !self.newest.take(seen) {
            return;
        }
        self.since = if seen.failed { self.since.or(Some(seen.at)) } else { None };
    }

    /// Whether it failed for so long without a break, and its newest result is no older than that.
    pub(crate) fn lasts(&self, now: Micros, span: Micros, age_max: Micros) -> bool {
        self.newest.fresh(now, age_max).is_some() && self.since.is_some_and(|since| now - since >= span)
    }

    pub(crate) fn newest(&self) -> &Newest {
        &self.newest
    }
}
