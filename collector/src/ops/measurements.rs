//! What was measured, attempt by attempt?
//!
//! Pages are shown as they arrive, each as a table of its own, so that a million rows need no more memory than a thousand.

use uitwijk_model::Millis;
use uitwijk_proto::v1::{Measurement, Outcome, QueryRequest};

use super::args::{Filter, Query};
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::range::Span;
use super::screen::{Screen, Tone};
use super::table::{Fit, Table};
use super::{json, paging, words};

/// Rows asked for at a time.
pub(crate) const PAGE: u32 = 1000;
/// What is shown to who does not say.
const DEFAULT: Millis = Millis::from_secs(3600);

pub(crate) async fn run(screen: &mut Screen<'_>, collector: &Collector, query: &Query) -> Result<Answer, OpsError> {
    let span = query.filter.range.span(screen.now(), Some(DEFAULT))?;
    let mut left = query.page.limit;
    let mut token = query.page.page_token.clone().unwrap_or_default();
    let mut seen = false;
    let mut damaged = 0;
    while left > 0 {
        let asked = ask(&query.filter, span, left.min(PAGE), std::mem::take(&mut token));
        let request = collector.request(asked);
        let page = collector.answer(collector.measurements().query(request)).await?;
        left = left.saturating_sub(u32::try_from(page.measurements.len()).unwrap_or(u32::MAX));
        seen |= !page.measurements.is_empty();
        show(screen, &page.measurements)?;
        damaged += page.damaged_records;
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    if damaged > 0 {
        screen.note(&format!(
            "{damaged} stored batches could not be read for damage; their measurements are missing here"
        ))?;
    }
    if token.is_empty() && !seen && !screen.json {
        screen.note("nothing was measured there and then")?;
    }
    paging::more(screen, &token)?;
    Ok(Answer::Yes)
}

/// The question for a page.
pub(crate) fn ask(filter: &Filter, span: Span, page_size: u32, page_token: String) -> QueryRequest {
    let text = |given: &Option<String>| given.clone().unwrap_or_default();
    QueryRequest {
        from_us: span.from_us,
        to_us: span.to_us,
        service: text(&filter.service),
        target: text(&filter.target),
        vantage_region: text(&filter.region),
        vantage_zone: text(&filter.zone),
        agent: text(&filter.agent),
        page_size,
        page_token,
    }
}

fn show(screen: &mut Screen<'_>, measurements: &[Measurement]) -> Result<(), OpsError> {
    if screen.json {
        return measurements.iter().try_for_each(|measurement| screen.object(&json::measurement(measurement)));
    }
    if measurements.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("SCHEDULED", Fit::Whole),
        ("AGENT", Fit::Middle(6)),
        ("TARGET", Fit::Middle(12)),
        ("#", Fit::Number),
        ("OUTCOME", Fit::End(12)),
        ("TOTAL", Fit::Number),
        ("HTTP", Fit::Number),
        ("BY", Fit::End(4)),
    ]);
    for m in measurements {
        table.row([
            (Tone::Plain, screen.moment(m.scheduled_us)),
            (Tone::Plain, m.agent.clone()),
            (Tone::Plain, m.target.clone()),
            (Tone::Plain, (u64::from(m.attempt) + 1).to_string()),
            (words::outcome_tone(m.outcome), outcome(m)),
            (Tone::Plain, m.total_us.map_or_else(|| "-".to_owned(), short)),
            (Tone::Plain, m.http_status.map_or_else(|| "-".to_owned(), |status| status.to_string())),
            (Tone::Plain, served(m)),
        ]);
    }
    screen.table(&table)
}

/// The outcome, or what stands behind it when that says more.
fn outcome(m: &Measurement) -> String {
    match Outcome::try_from(m.outcome) {
        Ok(Outcome::Down) => words::fault(m.fault),
        Ok(Outcome::Unmeasured) => format!("({})", words::unmeasured(m.unmeasured)),
        _ => words::outcome(m.outcome),
    }
}

fn served(m: &Measurement) -> String {
    match (&m.served_region, &m.served_zone) {
        (Some(region), Some(zone)) => format!("{region}/{zone}"),
        (Some(region), None) => region.clone(),
        _ => "-".to_owned(),
    }
}

/// Four digits: `0.82ms`, `12.3ms`, `1250ms`.
fn short(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{:02}ms", us / 1000, us % 1000 / 10),
        10_000..1_000_000 => format!("{}.{}ms", us / 1000, us % 1000 / 100),
        _ => format!("{}ms", us / 1000),
    }
}
