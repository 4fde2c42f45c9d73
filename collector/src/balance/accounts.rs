//! What became of the numbers of one boot, and does it add up?
//!
//! The agent's books and the collector's ledger are read one after the other, the books first, and the agent works on
//! meanwhile. So the ledger may know more than the books say, and never less than they say was acknowledged.

use uitwijk_proto::v1;

/// One boot of one agent, as one collector is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The agent.
    pub agent: String,
    /// The boot.
    pub boot: u64,
    /// What the agent last said of it; absent when the boot is settled, or the agent was not heard since the collector began.
    pub said: Option<v1::Books>,
    /// What the collector has on disk; all zero when it has nothing.
    pub ledger: v1::Ledger,
}

/// Numbers of one boot or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Given out, as far as anybody said.
    pub given: u64,
    /// Stored.
    pub stored: u64,
    /// Stored already under another number.
    pub duplicate: u64,
    /// Refused by the collector.
    pub refused: u64,
    /// Never to come.
    pub lost: u64,
    /// Not settled.
    pub open: u64,
}

impl Account {
    /// The numbers.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let said = self.said.as_ref().map_or(0, |books| books.started);
        let given = said.max(self.ledger.end_sequence.saturating_sub(1));
        let v1::Ledger { stored, duplicate, refused, lost, settled, .. } = self.ledger;
        Sums { given, stored, duplicate, refused, lost, open: given.saturating_sub(settled) }
    }

    /// What does not add up; nothing when all does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let l = &self.ledger;
        let counted = l.stored + l.duplicate + l.refused + l.lost;
        if counted != l.settled {
            return Some(format!("the collector counts {counted} of {} settled", l.settled));
        }
        let books = self.said.as_ref()?;
        let known = books.delivered + books.buffered + books.expired + lost(books);
        if known != books.started {
            return Some(format!("the agent counts {known} of {} started", books.started));
        }
        let more = books.delivered.saturating_sub(l.settled);
        (more > 0).then(|| format!("{more} were acknowledged and are not known any more"))
    }
}

/// Lost otherwise than by age, by the agent's word.
fn lost(books: &v1::Books) -> u64 {
    books.lost.iter().map(|loss| loss.count).fold(0, u64::saturating_add)
}

impl std::iter::Sum for Sums {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            given: a.given + b.given,
            stored: a.stored + b.stored,
            duplicate: a.duplicate + b.duplicate,
            refused: a.refused + b.refused,
            lost: a.lost + b.lost,
            open: a.open + b.open,
        })
    }
}
