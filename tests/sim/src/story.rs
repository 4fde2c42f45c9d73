//! What do two collectors make of an hour in which a region is gone, agents, collector and all?
//!
//! ```text
//!              20 min          60 min                      after
//!   NL  ------------|  no power: agents and collector  |----------
//!                   |  dead, services do not answer    |
//!   IE  -----------------------------------------------------------  three agents, one collector, which is alone
//! ```
//!
//! The region that served loses its power. Its processes are dead, so its agents measure nothing in that hour and nothing of it
//! ever comes; what its agents had on disk is delivered after the hour. Nobody answers at its addresses, so connections to
//! its collector are neither taken nor refused. Nobody moves the users, so a failover was needed and missed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use uitwijk_judge::{Need, Revision, RevisionKind};
use uitwijk_model::{Millis, WallTime};
use uitwijk_scenario::read_text;

use super::collector::Collector;
use super::fleet::Fleet;
use super::oracle::stored;
use super::trouble::{Trouble, What};
use super::world::World;
use super::{Report, on_paused_clock};

const SCENARIO: &str = r#"{"id":"region-gone","title":"The power of the active region fails for an hour","source":"simulation",
"duration_s":7200,"active_region":"NL","maintenance":[],"actual_failovers":[],
"faults":[{"from_s":1203,"to_s":4803,"scope":{"target_region":"NL"},"effect":{"kind":"down"}}],
"expect":[{"from_s":1203,"to_s":4803,"tolerance_s":300,"need":"NEEDED","cause":"region_down","executed":"missed"}],
"why":"All that is left sees the public name and NL fail, and IE answers."}"#;

const GONE: Millis = Millis::from_secs(1203);
const BACK: Millis = Millis::from_secs(4803);
/// How often, and for how long, it is looked whether the collectors agree again.
const LOOK_EVERY: Millis = Millis::from_secs(10);
const LOOK_FOR: Millis = Millis::from_secs(400);

/// What came of it.
#[derive(Debug)]
pub struct RegionGone {
    /// When the region was gone.
    pub gone: WallTime,
    /// When it was back.
    pub back: WallTime,
    /// From the loss to the publication, by the collector that was left, that a failover was needed.
    pub needed_after: Option<Millis>,
    /// Revisions of the collector that was gone, when it was back.
    pub published_gone: usize,
    /// From the return until both held the same of all that was due before it.
    pub same_set_after: Option<Millis>,
    /// From the return until the latest revisions of both were final and the same.
    pub same_verdict_after: Option<Millis>,
    /// The one of them that says that a failover was needed.
    pub verdict: Option<Revision>,
    /// Whether the promises were kept, at the end.
    pub report: Report,
}

impl fmt::Display for RegionGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |found: Option<Millis>| found.map_or("never".to_owned(), |ms| format!("after {} s", ms.0 / 1000));
        write!(
            f,
            "needed, said alone {}; the same measurements {} of the return, the same final verdict {}; {}",
            after(self.needed_after),
            after(self.same_set_after),
            after(self.same_verdict_after),
            self.report
        )
    }
}

/// Plays the hour, with the noise of a seed.
///
/// # Errors
/// When this machine cannot do it: no directory, no space.
pub fn region_gone(seed: u64) -> anyhow::Result<RegionGone> {
    on_paused_clock(async |dir| play(seed, dir).await)
}

async fn play(seed: u64, dir: &Path) -> anyhow::Result<RegionGone> {
    let scenario = read_text(&SCENARIO.replace('\n', ""))?.pop().context("a scenario")?;
    let world = World::playing(&scenario, Millis(0), seed);
    let (gone, back, end) = (scenario.at(GONE), scenario.at(BACK), world.end);
    // Collectors stand in the regions in the order of the plan.
    let collector_in = |name: &str| world.plan.regions.keys().position(|region| region.as_str() == name);
    let (nl, ie) = (collector_in("NL").context("NL")?, collector_in("IE").context("IE")?);
    let mut troubles = vec![Trouble { from: gone, to: back, what: What::RegionGone(nl) }];
    let left = world.watches.iter().enumerate().filter(|(_, watch)| watch.vantage.region.as_str() == "IE");
    troubles.extend(left.map(|(i, _)| Trouble { from: gone, to: back, what: What::HalfOpen(i, nl) }));
    let mut fleet = Fleet::start(seed, world, troubles, dir).await?;

    fleet.play_until(WallTime::from_micros(back.as_micros() - 1)).await?;
    let alone = fleet.collectors[ie].published()?;
    let needed = alone.iter().map(|p| &p.revision).find(|r| r.need == Need::Needed && r.decided >= gone);
    let needed_after = needed.map(|r| since(r.decided, gone));

    fleet.play_until(back).await?;
    let published_gone = fleet.collectors[nl].published()?.len();
    let (mut same_set_after, mut agreed) = (None, None);
    let mut moment = back;
    while moment < back.plus(LOOK_FOR) && (same_set_after.is_none() || agreed.is_none()) {
        moment = moment.plus(LOOK_EVERY);
        fleet.play_until(moment).await?;
        if same_set_after.is_none() && same_set(&fleet, back)? {
            same_set_after = Some(since(moment, back));
        }
        agreed = agreed.or(same_final(&fleet.collectors)?.map(|revision| (since(moment, back), revision)));
    }
    fleet.play_until(end).await?;
    let broken = fleet.peace().await?;
    let (same_verdict_after, verdict) = agreed.unzip();
    Ok(RegionGone {
        gone,
        back,
        needed_after,
        published_gone,
        same_set_after,
        same_verdict_after,
        verdict,
        report: fleet.report(seed, broken).await?,
    })
}

fn since(later: WallTime, earlier: WallTime) -> Millis {
    Millis(u64::try_from(later.micros_since(earlier)).unwrap_or(0) / 1000)
}

/// Whether both hold the same of all that was due before a moment, and all of it that agents began which were never killed.
fn same_set(fleet: &Fleet, before: WallTime) -> anyhow::Result<bool> {
    let mut sets = Vec::new();
    for collector in &fleet.collectors {
        let rows = stored(collector, &mut Vec::new())?.rows;
        let all = rows.into_iter().map(|(key, (measurement, _))| (key, measurement));
        sets.push(all.filter(|(_, m)| m.scheduled < before).collect::<BTreeMap<_, _>>());
    }
    let unharmed = fleet.agents.iter().filter(|agent| agent.kills.is_empty());
    let mut due = unharmed.flat_map(|agent| {
        let due = agent.started.iter().filter(|s| s.measurement.scheduled < before);
        due.map(|s| (agent.name.clone(), s.boot, s.sequence))
    });
    Ok(sets.iter().all(|set| *set == sets[0]) && due.all(|key| sets[0].contains_key(&key)))
}

/// The verdict that a failover was needed, when the latest revisions of all episodes are final, and of both collectors the same
/// but for who decided when, and over which revisions before.
fn same_final(collectors: &[Collector]) -> anyhow::Result<Option<Revision>> {
    let mut all = Vec::new();
    for collector in collectors {
        let latest = collector.published()?.into_iter().map(|p| (p.revision.episode.clone(), p.revision));
        let mut latest: BTreeMap<_, _> = latest.collect();
        for revision in latest.values_mut() {
            (revision.revision, revision.decided, revision.since) = (0, WallTime::from_micros(0), None);
        }
        all.push(latest);
    }
    let is_final = |r: &Revision| r.kind != RevisionKind::Provisional && r.complete && r.to.is_some();
    let same = all.iter().all(|latest| *latest == all[0] && latest.values().all(is_final));
    Ok(all.swap_remove(0).into_values().find(|r| same && r.need == Need::Needed))
}
