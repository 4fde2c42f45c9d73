//! Do the collectors of a fleet give the same final verdicts?

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_model::WallTime;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;
use uitwijk_proto::v1::{ListVerdictsRequest, Need, RevisionKind, Verdict};

use super::stage::{Stage, until};

/// Every latest verdict of a collector, by episode.
pub(crate) async fn verdicts(stage: &Stage, collector: &str) -> anyhow::Result<BTreeMap<String, Verdict>> {
    let mut client = VerdictsClient::new(stage.fleet.channel(collector, "viewer").await?);
    let mut all = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListVerdictsRequest { page_token, ..ListVerdictsRequest::default() };
        let page = client.list(request).await?.into_inner();
        all.extend(page.verdicts.into_iter().map(|verdict| (verdict.episode.clone(), verdict)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// What two collectors must agree on. The name of an episode says where its first revision began, by what was in then; that may differ.
type Said = (String, i64, Option<i64>, i32, i32, i32, String);

fn said(set: &BTreeMap<String, Verdict>) -> BTreeSet<Said> {
    let one = |v: &Verdict| {
        let evidence = v.evidence_hash.clone();
        (v.service.clone(), v.from_us, v.to_us, v.need, v.cause, v.execution, evidence)
    };
    set.values().map(one).collect()
}

fn is_final(v: &Verdict) -> bool {
    v.to_us.is_some() && matches!(v.kind(), RevisionKind::Final | RevisionKind::Revised)
}

/// Waits until every collector has final verdicts on the same episodes that began before a moment, and they are the same; gives
/// them, at least one. What began later may be going on.
pub(crate) async fn equal_finals(stage: &Stage, before: WallTime) -> anyhow::Result<Vec<Verdict>> {
    until("every collector has the same final verdicts", async || {
        let mut sets = Vec::new();
        for collector in stage.collectors() {
            let mut set = verdicts(stage, &collector).await?;
            set.retain(|_, verdict| verdict.from_us < before.as_micros());
            sets.push(set);
        }
        let all_final = sets.iter().all(|set| !set.is_empty() && set.values().all(is_final));
        let same = sets.windows(2).all(|pair| said(&pair[0]) == said(&pair[1]));
        if all_final && same {
            return Ok(sets.into_iter().next().map(|set| set.into_values().collect()));
        }
        anyhow::bail!("they say {:#?}", sets.iter().map(said).collect::<Vec<_>>())
    })
    .await
}

/// Whether any of them calls for a switch.
pub(crate) fn calls_for_a_switch(verdicts: &[Verdict]) -> bool {
    verdicts.iter().any(|v| v.need() == Need::Needed)
}
