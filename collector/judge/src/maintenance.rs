//! Was it announced, early enough, and for this?
//!
//! A window excuses only inside its time and inside its scope. A window for one zone of three excuses what losing one zone
//! of three can explain, and a margin; not a whole region. A window for some endpoints excuses nothing while others fail by more
//! than that margin: what users suffer is then not what was announced.

use crate::share::{share, threshold};
use crate::topology::{Announced, EndpointIx, RegionIx, Topology};
use crate::verdict::Cause;

/// The share that fails of some endpoints.
pub(crate) type Failing<'a> = dyn Fn(&[EndpointIx]) -> u64 + 'a;

/// What fails while it is asked whether that was announced.
pub(crate) struct Failed<'a> {
    /// In the active region, asked directly.
    pub(crate) direct: &'a Failing<'a>,
    /// There, or as users see it, whichever is more.
    pub(crate) at_all: &'a Failing<'a>,
}

/// Whether something of this cause, in this slot, with so much failing, was announced.
pub(crate) fn excuses(topology: &Topology, slot: i64, cause: Cause, active: RegionIx, failed: &Failed<'_>) -> bool {
    let open = |w: &&Announced| w.excuses && w.from <= slot && slot < w.to;
    topology.windows.iter().filter(open).any(|w| covers(topology, w, cause, active, failed))
}

/// Whether the active region is inside an announced window, trouble or not.
pub(crate) fn quiet(topology: &Topology, slot: i64, active: RegionIx) -> bool {
    let here = |w: &Announced| w.regions.is_empty() || w.regions.contains(&active);
    let whole = |w: &Announced| w.zones.is_empty() && w.partners.is_empty() && w.beside.is_empty();
    topology.windows.iter().any(|w| w.excuses && w.from <= slot && slot < w.to && here(w) && whole(w))
}

fn covers(topology: &Topology, w: &Announced, cause: Cause, active: RegionIx, failed: &Failed<'_>) -> bool {
    let whole = w.regions.is_empty() && w.zones.is_empty();
    if !w.beside.is_empty() && (failed.at_all)(&w.beside) > threshold(topology.policy.maintenance_margin) {
        return false;
    }
    match cause {
        Cause::ChainPartner => whole && w.beside.is_empty(),
        _ if !w.partners.is_empty() => false,
        Cause::RegionDown | Cause::RegionDegraded | Cause::RegionSlow | Cause::Transient | Cause::PathFault => {
            let here = w.regions.is_empty() || w.regions.contains(&active);
            here && (w.zones.is_empty() || (failed.direct)(&w.endpoints) <= excused_share(topology, w, active))
        }
        Cause::GlobalFault => whole || topology.deployed.iter().all(|r| w.regions.contains(r) && w.zones.is_empty()),
        Cause::FrontDoor | Cause::DnsGlobal => whole,
        _ => false,
    }
}

/// The share of failures that a window can explain.
fn excused_share(topology: &Topology, w: &Announced, active: RegionIx) -> u64 {
    let zones = &topology.zones[active];
    let named = zones.iter().filter(|z| w.zones.contains(*z)).count() as u64;
    share(named, zones.len() as u64) + threshold(topology.policy.maintenance_margin)
}
