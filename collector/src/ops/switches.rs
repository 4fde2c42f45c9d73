//! When did somebody move users to another region?

use serde_json::{Value, json};
use uitwijk_proto::v1;

use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::range::moment;
use super::screen::{Screen, Tone};
use super::switch_args::{Switch, Switches};
use super::table::{Fit, Table};
use super::{json as told, paging};

/// Reports a switch.
pub(crate) async fn report(
    screen: &mut Screen<'_>,
    collector: &Collector,
    switch: &Switch,
) -> Result<Answer, OpsError> {
    let request = collector.request(v1::ReportSwitchRequest {
        service: switch.service.clone(),
        from_region: switch.from.clone(),
        to_region: switch.to.clone(),
        at_us: switch.at.as_deref().map_or(Ok(0), |text| moment("--at", text))?,
        reason: switch.reason.clone().unwrap_or_default(),
    });
    let answer = collector.answer(collector.switches().report(request)).await?;
    let (known, judged) = (answer.known, answer.judged);
    let found =
        answer.switch.ok_or_else(|| OpsError::Failed("the collector's answer has no switch in it".to_owned()))?;
    if screen.json {
        let mut object = object(&found);
        (object["known"], object["judged"]) = (known.into(), judged.into());
        screen.object(&object)?;
        return Ok(Answer::Yes);
    }
    let at = screen.moment(found.at_us);
    let v1::Switch { service, from_region: from, to_region: to, author, entry, .. } = &found;
    screen.sentence("", &format!("{service}: {from} to {to} at {at}, by {author} (entry {entry})"))?;
    if known {
        screen.note("it was reported before: nothing has changed")?;
    }
    if !judged {
        screen.note("it lies further back than the horizon: verdicts stand, only backtests take it in")?;
    }
    Ok(Answer::Yes)
}

/// Lists what was reported, the latest switch first.
pub(crate) async fn list(screen: &mut Screen<'_>, collector: &Collector, list: &Switches) -> Result<Answer, OpsError> {
    let span = list.range.span(screen.now(), None)?;
    let fetch = async |page_size, page_token| {
        let request = collector.request(v1::ListSwitchesRequest {
            service: list.service.clone().unwrap_or_default(),
            from_us: span.from_us,
            to_us: span.to_us,
            page_size,
            page_token,
        });
        let page = collector.answer(collector.switches().list(request)).await?;
        Ok((page.switches, page.next_page_token))
    };
    let (found, token) = paging::collect(&list.page, fetch).await?;
    show(screen, &found)?;
    paging::more(screen, &token)?;
    Ok(Answer::Yes)
}

fn show(screen: &mut Screen<'_>, switches: &[v1::Switch]) -> Result<(), OpsError> {
    if screen.json {
        return switches.iter().try_for_each(|switch| screen.object(&object(switch)));
    }
    if switches.is_empty() {
        return screen.note("no switches");
    }
    let mut table = Table::new(&[
        ("AT", Fit::Whole),
        ("SERVICE", Fit::Middle(12)),
        ("FROM", Fit::End(4)),
        ("TO", Fit::End(4)),
        ("BY", Fit::End(6)),
        ("REASON", Fit::End(8)),
    ]);
    for switch in switches {
        let cells = [
            screen.moment(switch.at_us),
            switch.service.clone(),
            switch.from_region.clone(),
            switch.to_region.clone(),
            switch.author.clone(),
            switch.reason.clone(),
        ];
        table.row(cells.map(|text| (Tone::Plain, text)));
    }
    screen.table(&table)
}

fn object(switch: &v1::Switch) -> Value {
    json!({
        "entry": switch.entry,
        "service": switch.service,
        "from": switch.from_region,
        "to": switch.to_region,
        "at": told::moment(switch.at_us),
        "reason": switch.reason,
        "author": switch.author,
        "reported": told::moment(switch.reported_us),
    })
}
