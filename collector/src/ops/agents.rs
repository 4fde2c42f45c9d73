//! Who measures, and can they be relied on?

use uitwijk_proto::v1::{AgentState, Books, Ledger, ListAgentsRequest};

use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone, bytes, length};
use super::table::{Fit, Table};
use super::{json, words};

pub(crate) async fn run(
    screen: &mut Screen<'_>,
    collector: &Collector,
    name: Option<&str>,
) -> Result<Answer, OpsError> {
    let request = collector.request(ListAgentsRequest {});
    let answer = collector.answer(collector.fleet().list_agents(request)).await?;
    let known = answer.agents.len();
    let chosen: Vec<AgentState> =
        answer.agents.into_iter().filter(|agent| name.is_none_or(|name| agent.agent == name)).collect();
    if let (Some(name), true) = (name, chosen.is_empty()) {
        return Err(OpsError::NotFound(format!(
            "no agent {name:?} among the {known} that collector {} knows; `uitwijk agents` lists them",
            answer.collector
        )));
    }
    if screen.json {
        chosen.iter().try_for_each(|agent| screen.object(&json::agent(agent)))?;
    } else if name.is_some() {
        chosen.iter().try_for_each(|agent| one(screen, agent))?;
    } else {
        all(screen, &chosen)?;
    }
    Ok(Answer::Yes)
}

fn all(screen: &mut Screen<'_>, agents: &[AgentState]) -> Result<(), OpsError> {
    if agents.is_empty() {
        return screen.note("no agent is in the plan, and none was ever seen");
    }
    let mut table = Table::new(&[
        ("AGENT", Fit::Middle(10)),
        ("PLACE", Fit::End(6)),
        ("STATE", Fit::Whole),
        ("CONTACT", Fit::Number),
        ("CLOCK", Fit::Number),
        ("BACKLOG", Fit::Number),
        ("BUFFER", Fit::Number),
        ("BOOKS", Fit::Whole),
    ]);
    let now = screen.now().as_micros();
    for agent in agents {
        let contact = agent.last_contact_us.map(|at| length(now.saturating_sub(at).max(0).unsigned_abs()));
        table.row([
            (Tone::Plain, agent.agent.clone()),
            (Tone::Plain, format!("{}/{}", agent.region, agent.zone)),
            state(agent),
            (Tone::Plain, contact.unwrap_or_else(|| "never".to_owned())),
            clock(agent.clock_offset_us),
            (Tone::Plain, agent.backlog.to_string()),
            (Tone::Plain, bytes(agent.buffer_bytes)),
            balance(&agent.books),
        ]);
    }
    screen.table(&table)
}

fn state(agent: &AgentState) -> (Tone, String) {
    let (tone, word) = match (agent.enrolled, agent.connected, agent.last_contact_us) {
        (true, true, _) => (Tone::Good, "connected"),
        (true, false, Some(_)) => (Tone::Bad, "away"),
        (true, false, None) => (Tone::Bad, "never seen"),
        (false, _, _) => (Tone::Warning, "not in plan"),
    };
    (tone, word.to_owned())
}

/// An offset of more than two seconds is one that the judge has to correct.
fn clock(offset_us: Option<i64>) -> (Tone, String) {
    let Some(us) = offset_us else { return (Tone::Quiet, "-".to_owned()) };
    let tone = if us.unsigned_abs() > 2_000_000 { Tone::Warning } else { Tone::Plain };
    (tone, format!("{:+.1}ms", micros(us) / 1000.0))
}

#[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a millisecond")]
fn micros(us: i64) -> f64 {
    us as f64
}

fn lost(books: &Books) -> u64 {
    books.lost.iter().map(|loss| loss.count).sum()
}

/// How far `started` is from `delivered + buffered + expired + lost`.
fn gap(books: &Books) -> u64 {
    let known = [books.delivered, books.buffered, books.expired, lost(books)];
    books.started.abs_diff(known.into_iter().fold(0, u64::saturating_add))
}

fn balance(books: &[Books]) -> (Tone, String) {
    let gap: u64 = books.iter().map(gap).sum();
    let gone: u64 = books.iter().map(|books| books.expired.saturating_add(lost(books))).sum();
    match (books.is_empty(), gap, gone) {
        (true, ..) => (Tone::Quiet, "-".to_owned()),
        (_, 0, 0) => (Tone::Good, "balanced".to_owned()),
        (_, 0, gone) => (Tone::Warning, format!("{gone} lost")),
        (_, gap, _) => (Tone::Bad, format!("off by {gap}")),
    }
}

fn one(screen: &mut Screen<'_>, agent: &AgentState) -> Result<(), OpsError> {
    let (tone, word) = state(agent);
    screen.line(Tone::Title, &format!("{} in {}/{}", agent.agent, agent.region, agent.zone))?;
    screen.line(tone, &format!("  {word}"))?;
    if let Some(at) = agent.last_contact_us {
        let at = screen.moment(at);
        screen.line(Tone::Plain, &format!("  last contact  {at}"))?;
    }
    screen.line(Tone::Plain, &format!("  clock         {}", clock(agent.clock_offset_us).1))?;
    screen.line(Tone::Plain, &format!("  software      {}", words::or_dash(&agent.software)))?;
    screen.line(Tone::Plain, &format!("  plan          {}", words::or_dash(&agent.plan_version)))?;
    screen.line(
        Tone::Plain,
        &format!("  buffer        {} records waiting, {} bytes", agent.backlog, bytes(agent.buffer_bytes)),
    )?;
    told(screen, &agent.books)?;
    held(screen, &agent.ledgers)
}

fn told(screen: &mut Screen<'_>, all: &[Books]) -> Result<(), OpsError> {
    if all.is_empty() {
        return Ok(());
    }
    screen.line(Tone::Plain, "")?;
    screen.line(Tone::Title, "What the agent says, per start:")?;
    let mut table = Table::new(&[
        ("BOOT", Fit::Whole),
        ("STARTED", Fit::Number),
        ("DELIVERED", Fit::Number),
        ("BUFFERED", Fit::Number),
        ("EXPIRED", Fit::Number),
        ("LOST", Fit::Number),
        ("BALANCE", Fit::Whole),
    ]);
    for books in all {
        table.row([
            (Tone::Plain, json::boot(books.boot)),
            (Tone::Plain, books.started.to_string()),
            (Tone::Plain, books.delivered.to_string()),
            (Tone::Plain, books.buffered.to_string()),
            (Tone::Plain, books.expired.to_string()),
            (Tone::Plain, lost(books).to_string()),
            balance(std::slice::from_ref(books)),
        ]);
    }
    screen.table(&table)
}

fn held(screen: &mut Screen<'_>, all: &[Ledger]) -> Result<(), OpsError> {
    if all.is_empty() {
        return Ok(());
    }
    screen.line(Tone::Plain, "")?;
    screen.line(Tone::Title, "What the collector holds of them:")?;
    let mut table = Table::new(&[
        ("BOOT", Fit::Whole),
        ("SETTLED", Fit::Number),
        ("STORED", Fit::Number),
        ("DUPLICATE", Fit::Number),
        ("REFUSED", Fit::Number),
        ("LOST", Fit::Number),
    ]);
    for ledger in all {
        table.row([
            (Tone::Plain, json::boot(ledger.boot)),
            (Tone::Plain, ledger.next_sequence.saturating_sub(1).to_string()),
            (Tone::Plain, ledger.stored.to_string()),
            (Tone::Plain, ledger.duplicate.to_string()),
            (Tone::Plain, ledger.refused.to_string()),
            (Tone::Plain, ledger.lost.to_string()),
        ]);
    }
    screen.table(&table)
}
