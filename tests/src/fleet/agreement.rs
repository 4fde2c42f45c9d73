//! Do the collectors of a fleet hold what its agents recorded, all of them the same, and do they say the same of it?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{bail, ensure};
use tonic::transport::Channel;
use uitwijk_collector::balance::ask::{self, Holdings, Rows};
use uitwijk_collector::balance::{Begun, Bounds, Comparison, Place, compare};
use uitwijk_proto::v1::fleet_client::FleetClient;
use uitwijk_proto::v1::measurements_client::MeasurementsClient;
use uitwijk_proto::v1::verdicts_client::VerdictsClient;
use uitwijk_proto::v1::{ListVerdictsRequest, RevisionKind, Verdict};

/// How long a collector may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What a collector says that it got from each start of each agent.
///
/// # Errors
/// When it does not answer.
pub async fn holdings(channel: Channel) -> anyhow::Result<Holdings> {
    Ok(ask::holdings(&mut FleetClient::new(channel), "", ANSWER_WITHIN).await?)
}

/// Every row of a collector.
///
/// # Errors
/// When it does not answer.
pub async fn rows(channel: Channel) -> anyhow::Result<Rows> {
    Ok(ask::rows(&mut MeasurementsClient::new(channel), "", ANSWER_WITHIN).await?)
}

/// Compares what a collector holds with what stopped agents recorded: nothing is missing, doubled, invented, or still under way.
///
/// # Errors
/// When it is not so.
pub async fn settled(
    name: &str,
    channel: Channel,
    begun: &Begun,
    bounds: Bounds,
) -> anyhow::Result<(Comparison, BTreeSet<Place>)> {
    let held = holdings(channel.clone()).await?;
    for account in &held.accounts {
        if let Some(trouble) = account.trouble() {
            bail!("{name}: {} {:016x}: {trouble}", account.agent, account.boot);
        }
    }
    let rows = rows(channel).await?;
    ensure!(rows.damaged == 0, "{name}: {} damaged batches", rows.damaged);
    let found = compare(begun, &held.accounts, rows.places.iter().cloned(), bounds);
    println!("{name}: {}", told(&found));
    ensure!(found.balances() && found.buffered == 0, "{name}: {found:#?}");
    ensure!(found.stored > 0 && found.unwatched == 0, "{name}: nothing to compare: {found:#?}");
    Ok((found, rows.places.into_iter().collect()))
}

fn told(c: &Comparison) -> String {
    format!(
        "{} lines of {} starts; {} stored, {} measured twice, {} gone, {} unsynced, {} torn lines",
        c.lines, c.boots, c.stored, c.duplicate, c.gone, c.unsynced, c.unreadable
    )
}

/// Sets of several collectors, which must be one.
///
/// # Errors
/// When two differ; it names the first rows of the difference.
pub fn equal(sets: &BTreeMap<String, BTreeSet<Place>>) -> anyhow::Result<()> {
    let Some((name, first)) = sets.iter().next() else { return Ok(()) };
    for (other, set) in sets.iter().skip(1) {
        let here: Vec<_> = first.difference(set).take(5).map(ToString::to_string).collect();
        let there: Vec<_> = set.difference(first).take(5).map(ToString::to_string).collect();
        ensure!(first == set, "the sets differ: {name} alone has {here:#?}, {other} alone has {there:#?}");
    }
    Ok(())
}

/// Every latest verdict of a collector, by episode.
///
/// # Errors
/// When it does not answer.
pub async fn verdicts(channel: Channel) -> anyhow::Result<BTreeMap<String, Verdict>> {
    let mut client = VerdictsClient::new(channel);
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
pub type Said = (String, i64, Option<i64>, i32, i32, i32, String);

/// What verdicts say.
pub fn said<'a>(set: impl IntoIterator<Item = &'a Verdict>) -> BTreeSet<Said> {
    let one = |v: &Verdict| {
        let evidence = v.evidence_hash.clone();
        (v.service.clone(), v.from_us, v.to_us, v.need, v.cause, v.execution, evidence)
    };
    set.into_iter().map(one).collect()
}

/// Whether nothing more is expected of a verdict.
#[must_use]
pub fn is_final(v: &Verdict) -> bool {
    v.to_us.is_some() && matches!(v.kind(), RevisionKind::Final | RevisionKind::Revised)
}

/// The verdicts of all collectors when they are final, at least one, and the same.
///
/// # Errors
/// When they are not; it tells what each says.
pub fn equal_finals(sets: &[Vec<Verdict>]) -> anyhow::Result<Vec<Verdict>> {
    let all_final = sets.iter().all(|set| !set.is_empty() && set.iter().all(is_final));
    let same = sets.windows(2).all(|pair| said(&pair[0]) == said(&pair[1]));
    match sets.first() {
        Some(first) if all_final && same => Ok(first.clone()),
        _ => bail!("they say {:#?}", sets.iter().map(said).collect::<Vec<_>>()),
    }
}
