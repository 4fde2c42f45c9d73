//! What do people say of episodes, and when were users moved on purpose?

use serde_json::{Value, json};
use uitwijk_proto::v1;
use uitwijk_proto::v1::add_label_request::Subject;

use super::args::Range;
use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::policy_args::{Label, Labels};
use super::screen::{Screen, Tone};
use super::table::{Fit, Table};
use super::{json as told, paging, words};

/// Says what is to be said.
pub(crate) async fn add(screen: &mut Screen<'_>, collector: &Collector, label: &Label) -> Result<Answer, OpsError> {
    let number = |word: &Option<String>, of: fn(&str) -> i32| word.as_deref().map_or(0, of);
    let message = v1::AddLabelRequest {
        subject: Some(subject(screen, label)?),
        need: number(&label.need, words::need_number),
        cause: number(&label.cause, words::cause_number),
        execution: number(&label.executed, words::execution_number),
        note: label.note.clone().unwrap_or_default(),
    };
    let request = collector.request(message);
    let answer = collector.answer(collector.labels().add(request)).await?;
    let added = answer.label.ok_or_else(|| OpsError::Failed("the collector's answer has no label in it".to_owned()))?;
    if screen.json {
        screen.object(&object(&added))?;
    } else {
        let text = format!("{}: {}, by {} (entry {})", added.subject, says(&added), added.author, added.entry);
        screen.sentence("", &text)?;
    }
    Ok(Answer::Yes)
}

fn subject(screen: &Screen<'_>, label: &Label) -> Result<Subject, OpsError> {
    let Some(service) = &label.drill else { return Ok(Subject::Episode(label.episode.clone().unwrap_or_default())) };
    let range = Range { since: None, from: label.from.clone(), to: label.to.clone() };
    let span = range.span(screen.now(), None)?;
    Ok(Subject::Drill(v1::Drill { service: service.clone(), from_us: span.from_us, to_us: span.to_us }))
}

/// Lists what was said, the latest stretch first.
pub(crate) async fn list(screen: &mut Screen<'_>, collector: &Collector, list: &Labels) -> Result<Answer, OpsError> {
    let span = list.range.span(screen.now(), None)?;
    let fetch = async |page_size, page_token| {
        let request = collector.request(v1::ListLabelsRequest {
            service: list.service.clone().unwrap_or_default(),
            from_us: span.from_us,
            to_us: span.to_us,
            page_size,
            page_token,
        });
        let page = collector.answer(collector.labels().list(request)).await?;
        Ok((page.labels, page.next_page_token))
    };
    let (found, token) = paging::collect(&list.page, fetch).await?;
    show(screen, &found)?;
    paging::more(screen, &token)?;
    Ok(Answer::Yes)
}

fn show(screen: &mut Screen<'_>, labels: &[v1::Label]) -> Result<(), OpsError> {
    if screen.json {
        return labels.iter().try_for_each(|label| screen.object(&object(label)));
    }
    if labels.is_empty() {
        return screen.note("no labels");
    }
    let mut table = Table::new(&[
        ("SUBJECT", Fit::Last(20)),
        ("SAYS", Fit::Whole),
        ("CAUSE", Fit::End(11)),
        ("BY", Fit::End(6)),
        ("NOTE", Fit::End(8)),
    ]);
    for label in labels {
        // What a later label took the place of is there, but says nothing any more.
        let tone = if label.counts { Tone::Plain } else { Tone::Quiet };
        let need = if label.counts { says(label) } else { format!("({})", says(label)) };
        let need_tone = if label.counts && !label.drill { words::need_tone(label.need) } else { tone };
        let cause = if label.cause == 0 { "-".to_owned() } else { words::cause(label.cause) };
        table.row([
            (tone, label.subject.clone()),
            (need_tone, need),
            (tone, cause),
            (tone, label.author.clone()),
            (tone, label.note.clone()),
        ]);
    }
    screen.table(&table)
}

fn says(label: &v1::Label) -> String {
    if label.drill { "drill".to_owned() } else { words::need(label.need) }
}

fn object(label: &v1::Label) -> Value {
    let word = |number: i32, of: fn(i32) -> String| (number != 0).then(|| of(number));
    json!({
        "entry": label.entry,
        "subject": label.subject,
        "drill": label.drill,
        "service": label.service,
        "from": told::moment(label.from_us),
        "to": told::moment_if(label.to_us),
        "need": word(label.need, words::need),
        "cause": word(label.cause, words::cause),
        "execution": word(label.execution, words::execution),
        "note": label.note,
        "author": label.author,
        "labelled": told::moment(label.labelled_us),
        "counts": label.counts,
    })
}
