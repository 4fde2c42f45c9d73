//! What was a service judged to be, stretch by stretch?

use uitwijk_model::Millis;
use uitwijk_proto::v1::{TimelineRequest, TimelineResponse};

use super::args::{Known, Range};
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone, length};
use super::table::{Fit, Table};
use super::{json, words};

/// What is shown to who does not say.
const DEFAULT: Millis = Millis::from_secs(24 * 3600);

pub(crate) async fn run(
    screen: &mut Screen<'_>,
    collector: &Collector,
    service: &str,
    range: &Range,
    known: &Known,
) -> Result<Answer, OpsError> {
    let span = range.span(screen.now(), Some(DEFAULT))?;
    let to_us = if span.to_us == 0 { screen.now().as_micros() } else { span.to_us };
    let (service_name, from_us, as_of_us) = (service.to_owned(), span.from_us, known.as_of_us()?);
    let request = collector.request(TimelineRequest { service: service_name, from_us, to_us, as_of_us });
    let answer = collector.answer(collector.verdicts().timeline(request)).await?;
    if screen.json {
        answer.segments.iter().try_for_each(|segment| screen.object(&json::segment(service, segment)))?;
    } else {
        show(screen, service, &answer)?;
    }
    Ok(Answer::Yes)
}

fn show(screen: &mut Screen<'_>, service: &str, answer: &TimelineResponse) -> Result<(), OpsError> {
    if answer.segments.is_empty() {
        return screen.note(&format!("{service} was not judged in that time"));
    }
    let mut table = Table::new(&[
        ("FROM", Fit::Whole),
        ("LASTED", Fit::Number),
        ("NEED", Fit::Whole),
        ("CAUSE", Fit::End(11)),
        ("DONE", Fit::End(8)),
        ("SERVED", Fit::End(6)),
    ]);
    for segment in &answer.segments {
        table.row([
            (Tone::Plain, screen.moment(segment.from_us)),
            (Tone::Plain, length(segment.to_us.saturating_sub(segment.from_us).max(0).unsigned_abs())),
            (words::need_tone(segment.need), words::need(segment.need)),
            (Tone::Plain, words::cause(segment.cause)),
            (words::execution_tone(segment.execution), words::or_dash(&words::execution(segment.execution))),
            (Tone::Plain, words::or_dash(&segment.served_region)),
        ]);
    }
    screen.table(&table)?;
    if answer.watermark_us > 0 {
        let at = screen.moment(answer.watermark_us);
        screen.note(&format!("every record up to {at} is in; later stretches may still change"))?;
    }
    Ok(())
}
