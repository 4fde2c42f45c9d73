//! What is the verdict on one episode, and what does it rest on?

use uitwijk_proto::v1::{Finding, GetVerdictRequest, GetVerdictResponse, Verdict};

use super::args::Known;
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone};
use super::table::{Fit, Table};
use super::{between, json, verdicts, words};

/// Asks for one episode.
pub(crate) async fn get(
    collector: &Collector,
    episode: &str,
    revision: Option<u32>,
    as_of_us: i64,
) -> Result<(Verdict, Vec<Verdict>), OpsError> {
    let message = GetVerdictRequest { episode: episode.to_owned(), revision: revision.unwrap_or(0), as_of_us };
    let request = collector.request(message);
    let answer = collector.answer(collector.verdicts().get(request)).await.map_err(|error| match error {
        OpsError::NotFound(said) => {
            let said = if revision.is_none() && as_of_us == 0 { format!("no episode {episode:?}") } else { said };
            OpsError::NotFound(format!("{said}; `uitwijk verdicts list --all` shows those there are"))
        }
        other => other,
    })?;
    let GetVerdictResponse { verdict, revisions } = answer;
    verdict
        .map(|verdict| (verdict, revisions))
        .ok_or_else(|| OpsError::Failed("the collector's answer has no verdict in it".to_owned()))
}

pub(crate) async fn show(
    screen: &mut Screen<'_>,
    collector: &Collector,
    episode: &str,
    revision: Option<u32>,
    known: &Known,
) -> Result<Answer, OpsError> {
    let (verdict, revisions) = get(collector, episode, revision, known.as_of_us()?).await?;
    if screen.json {
        let mut value = json::verdict(&verdict);
        value["revisions"] = revisions.iter().map(json::head).collect();
        screen.object(&value)?;
    } else {
        head(screen, &verdict)?;
        findings(screen, &verdict.findings)?;
        put_aside(screen, &verdict)?;
        if let Some(since) = &verdict.since {
            between::show(screen, since)?;
        }
        history(screen, &revisions)?;
    }
    Ok(Answer::Yes)
}

fn head(screen: &mut Screen<'_>, verdict: &Verdict) -> Result<(), OpsError> {
    let kind = words::kind(verdict.kind);
    screen.line(Tone::Title, &format!("{}  revision {} ({kind})", verdict.episode, verdict.revision))?;
    let need = format!("  {}: {}", words::need(verdict.need), words::cause(verdict.cause));
    screen.line(words::need_tone(verdict.need), &need)?;
    let now = screen.now().as_micros();
    let (from, decided) = (screen.moment(verdict.from_us), screen.moment(verdict.decided_us));
    let to = verdict.to_us.map_or_else(|| "still open".to_owned(), |us| screen.moment(us));
    let complete = if verdict.complete { "every record was in" } else { "records may be missing" };
    for (name, value) in [
        ("failover", words::execution(verdict.execution)),
        (
            "regions",
            format!("{} served, {} could take over", verdict.active_region, words::or_dash(&verdict.other_region)),
        ),
        ("from", from),
        ("to", format!("{to} ({})", verdicts::lasted(verdict, now))),
        ("decided", format!("{decided} by {}, {complete}", verdict.collector)),
        ("plan", format!("{} policy {}", verdict.plan_version, verdict.policy_version)),
        ("evidence", verdict.evidence_hash.clone()),
    ] {
        screen.sentence(&format!("  {name:<10}"), &value)?;
    }
    Ok(())
}

fn findings(screen: &mut Screen<'_>, findings: &[Finding]) -> Result<(), OpsError> {
    for finding in findings {
        screen.line(Tone::Plain, "")?;
        screen.line(Tone::Title, &finding.code)?;
        screen.sentence("  ", &finding.text)?;
        let mut table = Table::new(&[
            ("  SEEN BY", Fit::Middle(10)),
            ("TARGET", Fit::Middle(16)),
            ("SLOTS", Fit::Whole),
            ("MEASURED", Fit::Number),
            ("FAILED", Fit::Number),
            ("SLOW", Fit::Number),
        ]);
        for seen in &finding.observations {
            let agent = if seen.agent.is_empty() { "all agents" } else { &seen.agent };
            let failed = if seen.failed > 0 { Tone::Bad } else { Tone::Plain };
            table.row([
                (Tone::Plain, format!("  {agent}")),
                (Tone::Plain, seen.target.clone()),
                (Tone::Plain, format!("{}+{}", seen.from_slot, seen.to_slot.saturating_sub(seen.from_slot))),
                (Tone::Plain, seen.measured.to_string()),
                (failed, seen.failed.to_string()),
                (Tone::Plain, seen.slow.to_string()),
            ]);
        }
        if !table.is_empty() {
            screen.table(&table)?;
        }
    }
    Ok(())
}

fn put_aside(screen: &mut Screen<'_>, verdict: &Verdict) -> Result<(), OpsError> {
    if !verdict.rejected.is_empty() {
        screen.line(Tone::Plain, "")?;
        screen.line(Tone::Title, "Weighed and put aside:")?;
        for other in &verdict.rejected {
            let by = if other.finding_code.is_empty() { String::new() } else { format!(" ({})", other.finding_code) };
            screen.sentence("  - ", &format!("{}: {}{by}", words::cause(other.cause), other.reason))?;
        }
    }
    if !verdict.would_change.is_empty() {
        screen.line(Tone::Plain, "")?;
        screen.line(Tone::Title, "Would have changed the answer:")?;
        for change in &verdict.would_change {
            screen.sentence("  - ", change)?;
        }
    }
    Ok(())
}

fn history(screen: &mut Screen<'_>, revisions: &[Verdict]) -> Result<(), OpsError> {
    if revisions.len() < 2 {
        return Ok(());
    }
    screen.line(Tone::Plain, "")?;
    let mut table = Table::new(&[
        ("REVISION", Fit::Number),
        ("KIND", Fit::Whole),
        ("DECIDED", Fit::Whole),
        ("NEED", Fit::Whole),
        ("CAUSE", Fit::End(11)),
        ("DONE", Fit::End(8)),
    ]);
    for verdict in revisions {
        table.row([
            (Tone::Plain, verdict.revision.to_string()),
            (Tone::Plain, words::kind(verdict.kind)),
            (Tone::Plain, screen.moment(verdict.decided_us)),
            (words::need_tone(verdict.need), words::need(verdict.need)),
            (Tone::Plain, words::cause(verdict.cause)),
            (words::execution_tone(verdict.execution), words::or_dash(&words::execution(verdict.execution))),
        ]);
    }
    screen.table(&table)
}
