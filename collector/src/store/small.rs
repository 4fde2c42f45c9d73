//! Which small state stands beside the records?
//!
//! ```text
//!   l/AGENT/boot   the ledger of a boot
//!   a/AGENT        the frontier of an agent
//!   s              the highest serial given to a record
//!   c/hour         the files of a sealed hour; see cold/manifest.rs
//! ```

use prost::Message as _;
use uitwijk_model::{AgentId, BootId, WallTime};

use super::cold::{Hour, HourState, Manifest, read_hour};
use super::hot::Entry;
use super::ledger::LedgerRow;
use super::{Ledger, StoreError};

const SERIAL: &[u8] = b"s";

/// All of it.
#[derive(Debug, Default)]
pub struct SmallState {
    /// By agent and boot.
    pub ledgers: Vec<(AgentId, BootId, Ledger)>,
    /// Everything that an agent scheduled before is in.
    pub frontiers: Vec<(AgentId, WallTime)>,
    /// Higher ones are free.
    pub serial: u64,
    /// Hours that are sealed.
    pub(super) hours: Vec<(Hour, HourState)>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FrontierRow {
    #[prost(sint64, tag = "1")]
    through_us: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SerialRow {
    #[prost(uint64, tag = "1")]
    serial: u64,
}

/// A change of small state, as the store writes it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// A ledger as it now is; `None` forgets it.
#[must_use]
pub fn ledger(agent: &AgentId, boot: BootId, ledger: Option<&Ledger>) -> Change {
    let mut key = name(b"l/", agent);
    key.push(b'/');
    key.extend_from_slice(&boot.0.to_be_bytes());
    (key, ledger.map(|l| LedgerRow::from(l).encode_to_vec()))
}

/// A frontier as it now is.
#[must_use]
pub fn frontier(agent: &AgentId, through: WallTime) -> Change {
    (name(b"a/", agent), Some(FrontierRow { through_us: through.as_micros() }.encode_to_vec()))
}

/// The highest serial given out.
#[must_use]
pub fn serial(serial: u64) -> Change {
    (SERIAL.to_vec(), Some(SerialRow { serial }.encode_to_vec()))
}

fn name(prefix: &[u8], agent: &AgentId) -> Vec<u8> {
    [prefix, agent.as_str().as_bytes()].concat()
}

pub(super) fn read(entries: &[Entry]) -> Result<SmallState, StoreError> {
    let mut state = SmallState::default();
    for (key, value) in entries {
        let damaged = || StoreError::Damaged(format!("small state {:?}", String::from_utf8_lossy(key)));
        apply(&mut state, key, value).ok_or_else(damaged)?;
    }
    // What an hour has seen was given out, whether the group that it came in reached the disk or not.
    state.serial = state.hours.iter().map(|(_, row)| row.through()).fold(state.serial, u64::max);
    Ok(state)
}

impl SmallState {
    /// The hours that are sealed, for readers.
    pub(super) fn manifest(&self) -> Manifest {
        Manifest { hours: self.hours.iter().cloned().collect() }
    }
}

fn apply(state: &mut SmallState, key: &[u8], value: &[u8]) -> Option<()> {
    let agent = |bytes: &[u8]| AgentId::new(std::str::from_utf8(bytes).ok()?).ok();
    match key {
        [b'l', b'/', rest @ ..] => {
            let (name, boot) = rest.split_at_checked(rest.len().checked_sub(9)?)?;
            let boot = BootId(u64::from_be_bytes(boot.strip_prefix(b"/")?.try_into().ok()?));
            state.ledgers.push((agent(name)?, boot, LedgerRow::decode(value).ok()?.ledger()?));
        }
        [b'a', b'/', rest @ ..] => {
            let through = WallTime::from_micros(FrontierRow::decode(value).ok()?.through_us);
            state.frontiers.push((agent(rest)?, through));
        }
        [b'c', b'/', rest @ ..] => state.hours.push(read_hour(rest, value)?),
        SERIAL => state.serial = SerialRow::decode(value).ok()?.serial,
        _ => return None,
    }
    Some(())
}
