//! Do the numbers of every start of every agent add up, at every collector?

use std::fs::File;
use std::io::BufReader;

use uitwijk_proto::v1;

use super::args::{LedgerArgs, Reach};
use super::connect::{Collector, no_collector};
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone};
use super::table::{Fit, Table};
use super::{json, words};
use crate::balance::ask::{self, Holdings, Rows};
use crate::balance::{Account, Begun, Bounds, Comparison, Listed, Sums, compare};

pub(crate) async fn run(screen: &mut Screen<'_>, reach: &Reach, args: &LedgerArgs) -> Result<Answer, OpsError> {
    if reach.collector.is_empty() {
        return Err(no_collector());
    }
    let begun = if args.started.is_empty() { None } else { Some(read(args)?) };
    let mut good = true;
    for reach in reach.each() {
        let collector = Collector::connect(&reach, screen.clock()).await?;
        good &= one(screen, &collector, args, begun.as_ref()).await?;
    }
    Ok(if good { Answer::Yes } else { Answer::No })
}

fn read(args: &LedgerArgs) -> Result<Begun, OpsError> {
    let mut begun = Begun::default();
    for path in &args.started {
        let cannot = |error: String| OpsError::Usage(format!("--started {}: cannot be read: {error}", path.display()));
        let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
        begun.read(BufReader::new(file)).map_err(|error| cannot(error.to_string()))?;
    }
    if let Some(agent) = &args.agent {
        begun.boots.retain(|(name, _), _| name.as_str() == agent);
        begun.lines = begun.boots.values().map(|lines| lines.len() as u64).sum();
    }
    Ok(begun)
}

/// Shows one collector; whether all is right there.
async fn one(
    screen: &mut Screen<'_>,
    collector: &Collector,
    args: &LedgerArgs,
    begun: Option<&Begun>,
) -> Result<bool, OpsError> {
    let (agent, within) = (args.agent.as_deref().unwrap_or(""), collector.timeout());
    let failed = |status| collector.failed(&status);
    let held = ask::holdings(&mut collector.fleet(), agent, within).await.map_err(failed)?;
    if held.accounts.is_empty() && !agent.is_empty() {
        return Err(OpsError::NotFound(format!("collector {} never heard of an agent {agent:?}", held.collector)));
    }
    let mut good = held.accounts.iter().all(|account| account.trouble().is_none());
    if screen.json {
        held.accounts.iter().try_for_each(|account| screen.object(&account_json(&held.collector, account)))?;
    } else {
        accounts(screen, &held)?;
    }
    if let Some(begun) = begun {
        let rows = ask::rows(&mut collector.measurements(), agent, within).await.map_err(failed)?;
        good &= compared(screen, &held, begun, rows, args)?;
    }
    Ok(good)
}

fn accounts(screen: &mut Screen<'_>, held: &Holdings) -> Result<(), OpsError> {
    screen.line(Tone::Title, &format!("What became of the numbers given out, at {}:", held.collector))?;
    if held.accounts.is_empty() {
        return screen.note("no agent was ever heard");
    }
    let mut table = Table::new(&[
        ("AGENT", Fit::Middle(6)),
        ("BOOT", Fit::Middle(9)),
        ("GIVEN", Fit::Number),
        ("STORED", Fit::Number),
        ("TWICE", Fit::Number),
        ("REFUSED", Fit::Number),
        ("LOST", Fit::Number),
        ("OPEN", Fit::Number),
        ("BALANCE", Fit::Whole),
    ]);
    for account in &held.accounts {
        let boot = json::boot(account.boot);
        row(&mut table, &account.agent, boot, account.sums(), account.trouble().is_some());
    }
    let all = held.accounts.iter().map(Account::sums).sum();
    row(&mut table, "all", String::new(), all, held.accounts.iter().any(|a| a.trouble().is_some()));
    screen.table(&table)?;
    for account in &held.accounts {
        if let Some(trouble) = account.trouble() {
            let (agent, boot) = (&account.agent, json::boot(account.boot));
            screen.sentence("  ", &format!("{agent} {boot}: {trouble}"))?;
        }
    }
    Ok(())
}

fn row(table: &mut Table, agent: &str, boot: String, sums: Sums, wrong: bool) {
    let Sums { given, stored, duplicate, refused, lost, open } = sums;
    let balance = if wrong { (Tone::Bad, "off") } else { (Tone::Good, "balanced") };
    let number = |n: u64| (Tone::Plain, n.to_string());
    let [given, stored, duplicate, refused, lost, open] = [given, stored, duplicate, refused, lost, open].map(number);
    let (agent, boot) = ((Tone::Plain, agent.to_owned()), (Tone::Plain, boot));
    table.row([agent, boot, given, stored, duplicate, refused, lost, open, (balance.0, balance.1.to_owned())]);
}

/// Shows what the rows say; whether they are right.
fn compared(
    screen: &mut Screen<'_>,
    held: &Holdings,
    begun: &Begun,
    rows: Rows,
    args: &LedgerArgs,
) -> Result<bool, OpsError> {
    let damaged = rows.damaged;
    let found = compare(begun, &held.accounts, rows.places, Bounds { unsynced: args.unsynced });
    if screen.json {
        screen.object(&comparison_json(&held.collector, &found, damaged))?;
    } else {
        show(screen, &held.collector, &found)?;
    }
    if damaged > 0 {
        screen.note(&format!("{damaged} stored batches could not be read for damage; their rows count as missing"))?;
    }
    Ok(found.balances() && damaged == 0)
}

fn show(screen: &mut Screen<'_>, collector: &str, c: &Comparison) -> Result<(), OpsError> {
    screen.line(Tone::Plain, "")?;
    screen.line(Tone::Title, &format!("What was recorded as started, beside the store of {collector}:"))?;
    let lines = format!("{} lines of {} agents and {} starts, {} unreadable", c.lines, c.agents, c.boots, c.unreadable);
    screen.line(Tone::Plain, &format!("  recorded        {lines}"))?;
    let twice = format!("  in the store    {}, and {} that were measured twice", c.stored, c.duplicate);
    screen.line(Tone::Plain, &twice)?;
    screen.line(Tone::Plain, &format!("  refused, lost   {}", c.gone))?;
    screen.line(Tone::Plain, &format!("  still buffered  {}", c.buffered))?;
    screen.line(Tone::Plain, &format!("  never synced    {}", c.unsynced))?;
    if c.unwatched > 0 {
        screen.line(Tone::Warning, &format!("  not recorded    {} rows of agents without a record", c.unwatched))?;
    }
    wrong(screen, "missing", &c.missing)?;
    wrong(screen, "stored twice", &c.twice)?;
    wrong(screen, "never started", &c.never_started)?;
    let miscounts = c.miscounted.first.iter().map(miscount);
    wrong(screen, "miscounted", &Listed { count: c.miscounted.count, first: miscounts.collect() })?;
    wrong(screen, "without line", &Listed::<String> { count: c.unrecorded, first: Vec::new() })?;
    wrong(screen, "two lines", &Listed::<String> { count: c.again, first: Vec::new() })
}

fn miscount(m: &crate::balance::Miscount) -> String {
    format!("{} {}: the ledger counts {} rows, the store has {}", m.agent, m.boot, m.counted, m.found)
}

fn wrong<T: std::fmt::Display>(screen: &mut Screen<'_>, what: &str, listed: &Listed<T>) -> Result<(), OpsError> {
    let tone = if listed.count == 0 { Tone::Good } else { Tone::Bad };
    screen.line(tone, &format!("  {what:<14}  {}", listed.count))?;
    listed.first.iter().try_for_each(|thing| screen.sentence("    ", &thing.to_string()))?;
    let more = listed.count.saturating_sub(listed.first.len() as u64);
    if more > 0 && !listed.first.is_empty() {
        screen.line(Tone::Plain, &format!("    and {more} more"))?;
    }
    Ok(())
}

fn account_json(collector: &str, account: &Account) -> serde_json::Value {
    let Sums { given, stored, duplicate, refused, lost, open } = account.sums();
    let said = |books: &v1::Books| {
        let lost = books.lost.iter().map(|loss| (words::loss(loss.reason), loss.count.into()));
        let lost: serde_json::Map<String, serde_json::Value> = lost.collect();
        serde_json::json!({
            "started": books.started, "delivered": books.delivered, "buffered": books.buffered,
            "expired": books.expired, "lost": lost,
        })
    };
    serde_json::json!({
        "collector": collector,
        "agent": account.agent,
        "boot": json::boot(account.boot),
        "given": given,
        "stored": stored,
        "duplicate": duplicate,
        "refused": refused,
        "lost": lost,
        "open": open,
        "agent_says": account.said.as_ref().map(said),
        "balanced": account.trouble().is_none(),
        "trouble": account.trouble(),
    })
}

fn comparison_json(collector: &str, c: &Comparison, damaged: u64) -> serde_json::Value {
    fn listed<T: std::fmt::Display>(l: &Listed<T>) -> serde_json::Value {
        serde_json::json!({ "count": l.count, "first": l.first.iter().map(ToString::to_string).collect::<Vec<_>>() })
    }
    let miscounted = Listed { count: c.miscounted.count, first: c.miscounted.first.iter().map(miscount).collect() };
    serde_json::json!({
        "collector": collector,
        "recorded": {
            "lines": c.lines, "unreadable": c.unreadable, "agents": c.agents, "starts": c.boots,
            "numbers_with_two_lines": c.again, "numbers_without_line": c.unrecorded,
        },
        "stored": c.stored,
        "measured_twice": c.duplicate,
        "refused_or_lost": c.gone,
        "buffered": c.buffered,
        "unsynced": c.unsynced,
        "rows_not_recorded": c.unwatched,
        "damaged_batches": damaged,
        "missing": listed(&c.missing),
        "stored_twice": listed(&c.twice),
        "never_started": listed(&c.never_started),
        "miscounted": listed(&miscounted),
        "balanced": c.balances() && damaged == 0,
    })
}
