//! How does one observation become a number?
//!
//! The order of the numbers is the order of precedence: of two observations of one slot the lesser one stands.

use uitwijk_model::{Elapsed, Fault, Outcome, ServedBy};

use crate::logarithm::log;
use crate::topology::{RegionIx, Topology};

/// Who answered, as far as the plan knows the place, in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place(u32);

/// A region or zone that the plan does not know.
const ELSEWHERE: u32 = 0xfff;

impl Place {
    /// Nobody told.
    pub const UNTOLD: Self = Self(0);

    /// The place that an answer named.
    #[must_use]
    pub fn of(topology: &Topology, served: &ServedBy) -> Self {
        let number =
            |ix: Option<usize>| ix.and_then(|i| u32::try_from(i + 1).ok()).map_or(ELSEWHERE, |n| n.min(ELSEWHERE));
        let region = topology.region(&served.region);
        let zone = match (region, &served.zone) {
            (Some(r), Some(zone)) => number(topology.zone(r, zone)),
            _ => 0,
        };
        Self(number(region) << 12 | zone)
    }
}

/// One observation, packed. Lower wins: measured before unmeasured, earlier attempts before later ones, then by content.
///
/// ```text
///   bit 63 unmeasured | 62..55 attempt | 54..53 outcome | 52..45 fault | 44..33 region + 1 | 32..21 zone + 1
///   20..16 nothing | 15..0 logarithm of the total + 1, of answers
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell(u64);

/// The bits that counts look at.
const COUNTED: u64 = 1 << 63 | 3 << 53;

impl Cell {
    /// Nothing arrived.
    pub const EMPTY: Self = Self(u64::MAX);

    pub(crate) fn pack(outcome: Outcome, attempt: u8, served: Place, total: Option<Elapsed>) -> Self {
        let (state, fault) = match outcome {
            Outcome::Up => (0, 0),
            Outcome::Slow => (1, 0),
            Outcome::Down(fault) => (2, u64::from(fault.code())),
            Outcome::Unmeasured(reason) => (0, u64::from(reason.code())),
        };
        // An error answer tells who gave it as well as a right one does.
        let place = if outcome.is_measured() { served } else { Place::UNTOLD };
        let unmeasured = u64::from(!outcome.is_measured());
        let length = total.filter(|_| outcome.is_answer()).map_or(0, |t| log(t.as_micros()).unsigned_abs() + 1);
        let what = unmeasured << 63 | u64::from(attempt) << 55 | state << 53 | fault << 45;
        Self(what | u64::from(place.0) << 21 | length.min(0xffff))
    }

    /// The observation as a number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether two observations count alike: both measured or not, both right, slow or failed.
    #[must_use]
    pub const fn counts_like(self, other: Self) -> bool {
        (self.0 ^ other.0) & COUNTED == 0
    }

    /// Something was measured here.
    #[must_use]
    pub const fn is_measured(self) -> bool {
        self.0 >> 63 == 0
    }

    /// Measured, and no complete right answer.
    #[must_use]
    pub const fn is_failed(self) -> bool {
        self.is_measured() && (self.0 >> 53) & 3 == 2
    }

    /// Measured, right, over the objective.
    #[must_use]
    pub const fn is_slow(self) -> bool {
        self.is_measured() && (self.0 >> 53) & 3 == 1
    }

    /// Failed before there was an address.
    #[must_use]
    pub fn is_dns(self) -> bool {
        let fault = u32::try_from((self.0 >> 45) & 0xff).ok().and_then(Fault::from_code);
        self.is_failed()
            && matches!(
                fault,
                Some(Fault::DnsName | Fault::DnsNoAddress | Fault::DnsServer | Fault::DnsTimeout | Fault::DnsAnswer)
            )
    }

    /// The logarithm of how long a right answer took, in microseconds, on the scale of [`crate::logarithm`].
    #[must_use]
    pub fn log_total(self) -> Option<i64> {
        let length = i64::try_from(self.0 & 0xffff).ok().filter(|&l| l > 0)?;
        self.is_measured().then_some(length - 1)
    }

    /// The region and zone that served, as far as the answer told and the plan knows them.
    #[must_use]
    pub fn served(self) -> Option<(RegionIx, Option<usize>)> {
        let region = (self.0 >> 33) & 0xfff;
        if !self.is_measured() || region == 0 || region == u64::from(ELSEWHERE) {
            return None;
        }
        let zone = (self.0 >> 21) & 0xfff;
        let zone = if zone == 0 || zone == u64::from(ELSEWHERE) { None } else { usize::try_from(zone - 1).ok() };
        Some((usize::try_from(region - 1).ok()?, zone))
    }

    /// The same observation with the region and zone numbers of another topology.
    pub(crate) fn renamed(self, old: &Topology, new: &Topology) -> Self {
        let Some((r, z)) = self.served() else { return self };
        let zone = z.and_then(|z| old.zones[r].get(z)).cloned();
        let place = Place::of(new, &ServedBy { region: old.regions[r].clone(), zone });
        Self(self.0 & !(0xff_ffff << 21) | u64::from(place.0) << 21)
    }
}
