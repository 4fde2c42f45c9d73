//! Do the collectors of a fleet give the same final verdicts?

use std::collections::BTreeMap;

use uitwijk_model::WallTime;
use uitwijk_proto::v1::{Need, Verdict};
use uitwijk_tests::fleet::agreement::{self, is_final, said};

use super::stage::{Stage, until};

/// Every latest verdict of a collector, by episode.
pub(crate) async fn verdicts(stage: &Stage, collector: &str) -> anyhow::Result<BTreeMap<String, Verdict>> {
    agreement::verdicts(stage.fleet.channel(collector, "viewer").await?).await
}

/// Waits until every collector has final verdicts on the same episodes that began before a moment, and they are the same; gives
/// them, at least one. What began later may be going on.
pub(crate) async fn equal_finals(stage: &Stage, before: WallTime) -> anyhow::Result<Vec<Verdict>> {
    until("every collector has the same final verdicts", async || {
        let mut sets = Vec::new();
        for collector in stage.collectors() {
            let set = verdicts(stage, &collector).await?.into_values();
            sets.push(set.filter(|verdict| verdict.from_us < before.as_micros()).collect());
        }
        agreement::equal_finals(&sets).map(Some)
    })
    .await
}

/// Waits until a collector says of every episode that began before a moment what another one says finally; it may have said more.
pub(crate) async fn says_what(
    stage: &Stage,
    collector: &str,
    another: &str,
    before: WallTime,
) -> anyhow::Result<usize> {
    until("one collector says what the other does", async || {
        let mut theirs = verdicts(stage, another).await?;
        theirs.retain(|_, verdict| verdict.from_us < before.as_micros());
        let (ours, wanted) = (said(verdicts(stage, collector).await?.values()), said(theirs.values()));
        if !theirs.is_empty() && theirs.values().all(is_final) && wanted.is_subset(&ours) {
            return Ok(Some(wanted.len()));
        }
        anyhow::bail!("{another} says {wanted:#?}, {collector} {ours:#?}")
    })
    .await
}

/// Whether any of them calls for a switch.
pub(crate) fn calls_for_a_switch(verdicts: &[Verdict]) -> bool {
    verdicts.iter().any(|v| v.need() == Need::Needed)
}
