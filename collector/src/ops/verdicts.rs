//! Which episodes were there?

use uitwijk_proto::v1::{ListVerdictsRequest, Verdict};

use super::args::List;
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone, length};
use super::table::{Fit, Table};
use super::{json, paging, words};

pub(crate) async fn list(screen: &mut Screen<'_>, collector: &Collector, list: &List) -> Result<Answer, OpsError> {
    let span = list.range.span(screen.now(), None)?;
    let as_of_us = list.known.as_of_us()?;
    let fetch = async |page_size, page_token| {
        let request = collector.request(ListVerdictsRequest {
            service: list.service.clone().unwrap_or_default(),
            from_us: span.from_us,
            to_us: span.to_us,
            page_size,
            page_token,
            all: list.all,
            as_of_us,
        });
        let page = collector.answer(collector.verdicts().list(request)).await?;
        Ok((page.verdicts, page.next_page_token))
    };
    let (found, token) = paging::collect(&list.page, fetch).await?;
    show(screen, &found)?;
    paging::more(screen, &token)?;
    Ok(Answer::Yes)
}

fn show(screen: &mut Screen<'_>, verdicts: &[Verdict]) -> Result<(), OpsError> {
    if screen.json {
        return verdicts.iter().try_for_each(|verdict| screen.object(&json::head(verdict)));
    }
    if verdicts.is_empty() {
        return screen.note("no episodes");
    }
    screen.table(&table(verdicts, screen.now().as_micros()))
}

fn table(verdicts: &[Verdict], now: i64) -> Table {
    let mut table = Table::new(&[
        ("EPISODE", Fit::Last(20)),
        ("REV", Fit::Number),
        ("NEED", Fit::Whole),
        ("CAUSE", Fit::End(11)),
        ("DONE", Fit::End(8)),
        ("LASTED", Fit::Number),
    ]);
    for verdict in verdicts {
        table.row([
            (Tone::Plain, verdict.episode.clone()),
            (Tone::Plain, revision(verdict)),
            (words::need_tone(verdict.need), words::need(verdict.need)),
            (Tone::Plain, words::cause(verdict.cause)),
            (words::execution_tone(verdict.execution), words::or_dash(&words::execution(verdict.execution))),
            (Tone::Plain, lasted(verdict, now)),
        ]);
    }
    table
}

/// Number and kind of a revision: `1p` provisional, `2f` final, `3r` revised.
fn revision(verdict: &Verdict) -> String {
    format!("{}{}", verdict.revision, words::kind(verdict.kind).chars().next().unwrap_or('?'))
}

/// An open episode lasts until now, and says so by a plus sign.
pub(crate) fn lasted(verdict: &Verdict, now: i64) -> String {
    let until = |end: i64| length(end.saturating_sub(verdict.from_us).max(0).unsigned_abs());
    match verdict.to_us {
        Some(end) => until(end),
        None => format!("{}+", until(now)),
    }
}
