//! What did the agents start, as their own records say?

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use uitwijk_model::{AgentId, BootId, Sequence, Slot, TargetId};
use uitwijk_proto::started::{LINE_BYTES_MAX, Started};

use super::Key;

/// Lines that are held; a comparison needs all of them in memory.
pub(super) const LINES_MAX: usize = 50_000_000;

/// Why records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BegunError {
    /// The file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Too many lines.
    #[error("the records have more than {LINES_MAX} lines: compare fewer agents at a time")]
    TooMany,
}

/// One measurement that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// By what the store would know it.
    pub key: Key,
    /// When the line was written, agent's clock, microseconds.
    pub recorded_us: i64,
}

/// Everything that was started.
#[derive(Debug, Clone, Default)]
pub struct Begun {
    /// By agent, boot and number.
    pub boots: BTreeMap<(AgentId, BootId), BTreeMap<Sequence, Line>>,
    /// Lines read.
    pub lines: u64,
    /// Lines that say nothing: torn by a kill, or no lines of a record.
    pub unreadable: u64,
    /// Lines whose number has another line already.
    pub again: u64,
    targets: BTreeSet<TargetId>,
}

impl Begun {
    /// Takes every line of a record.
    ///
    /// # Errors
    /// When it cannot be read, or is too long.
    pub fn read(&mut self, mut from: impl BufRead) -> Result<(), BegunError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if io::Read::take(&mut from, 2 * LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if self.lines >= LINES_MAX as u64 {
                return Err(BegunError::TooMany);
            }
            match std::str::from_utf8(&line).ok().and_then(Started::from_line) {
                Some(started) => self.take(&started),
                None => self.unreadable += 1,
            }
        }
    }

    /// Takes one line.
    pub fn take(&mut self, started: &Started) {
        let Ok(agent) = AgentId::new(&started.agent) else {
            self.unreadable += 1;
            return;
        };
        self.lines += 1;
        let target = self.target(&started.target);
        let boot = (agent.clone(), BootId(started.boot));
        let key = Key { agent, target, slot: Slot(started.slot), attempt: started.attempt };
        let line = Line { key, recorded_us: started.recorded_us };
        if self.boots.entry(boot).or_default().insert(started.sequence, line).is_some() {
            self.again += 1;
        }
    }

    /// Whether there is a record of this agent.
    #[must_use]
    pub fn knows(&self, agent: &AgentId) -> bool {
        let first = (agent.clone(), BootId(0));
        self.boots.range(first..).next().is_some_and(|((found, _), _)| found == agent)
    }

    /// Agents that have a record.
    #[must_use]
    pub fn agents(&self) -> BTreeSet<&AgentId> {
        self.boots.keys().map(|(agent, _)| agent).collect()
    }

    /// One copy of each name is kept.
    fn target(&mut self, name: &str) -> TargetId {
        let target = TargetId::from_wire(name);
        if let Some(known) = self.targets.get(&target) {
            return known.clone();
        }
        self.targets.insert(target.clone());
        target
    }
}
