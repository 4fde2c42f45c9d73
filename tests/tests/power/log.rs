//! The verdict log of a collector.
//!
//! A child publishes revisions and says how many. After a cut the chain is whole, each entry is what was published, and none
//! that was said to be published is missing.

use anyhow::{Context as _, ensure};
use serde_json::json;
use uitwijk_collector::verdict_log::{Publication, VerdictLog};
use uitwijk_model::{Millis, WallTime};

use super::cuts::{Cut, Story};
use super::recorder::child_dir;
use super::trace::say;

const T0: WallTime = WallTime::from_millis(1_772_438_400_000);

/// What the entry with this number says: two revisions of each episode.
fn publication(entry: u64) -> Publication {
    let episode = (entry - 1) / 2;
    Publication {
        episode: format!("exchange/{episode}"),
        service: "exchange".to_owned(),
        revision: u32::try_from((entry - 1) % 2 + 1).unwrap_or(1),
        from: T0.plus(Millis::from_secs(episode * 600)),
        to: None,
        body: json!({"entry": entry}),
    }
}

/// Not a test: the child.
#[test]
fn child() -> anyhow::Result<()> {
    let Some(dir) = child_dir() else { return Ok(()) };
    for _ in 0..2 {
        let log = VerdictLog::open(&dir.join("verdicts"))?;
        for turn in 0..20 {
            let next = log.head().0 + 1;
            let publications: Vec<Publication> = (next..=next + turn % 3).map(publication).collect();
            log.append(T0, &publications)?;
            say(&format!("published {}", log.head().0));
        }
    }
    Ok(())
}

fn check(cut: &Cut<'_>) -> anyhow::Result<()> {
    let last = cut.said.iter().rev().find_map(|line| line.strip_prefix("published "));
    let promised = last.map_or(Ok(0), str::parse::<u64>)?;
    let log = VerdictLog::open(&cut.dir.join("verdicts")).context("open")?;
    let entries = log.since(T0)?;
    let verified = log.verify()?;
    ensure!(verified.entries >= promised, "{} entries are there, {promised} were promised", verified.entries);
    ensure!(entries.len() as u64 == verified.entries, "{} of {} are found", entries.len(), verified.entries);
    for (number, entry) in (1..).zip(&entries) {
        let expected = publication(number);
        let same = (entry.sequence, &entry.episode, entry.revision, &entry.body)
            == (number, &expected.episode, expected.revision, &expected.body);
        ensure!(same, "entry {number} is not what was published: {entry:?}");
    }
    log.append(T0, &[publication(verified.entries + 1)]).context("publish again")?;
    Ok(())
}

#[test]
fn what_was_published_outlives_the_power() -> anyhow::Result<()> {
    let story = Story { name: "verdict log", child: "log::child", lives: 2, share: 1.0, kind: "", every: 1 };
    story.play(check)
}
