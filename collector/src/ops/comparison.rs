//! How do two policies look beside each other?

use serde_json::{Value, json};
use uitwijk_proto::v1;

use super::exit::OpsError;
use super::screen::{Screen, Tone, length};
use super::table::{Fit, Table};
use super::{json as told, words};

/// What the policy in force is called beside another.
const IN_FORCE: &str = "in force";

/// Shows a comparison; the other policy has a name.
pub(crate) fn show(screen: &mut Screen<'_>, c: &v1::Comparison, other: &str) -> Result<(), OpsError> {
    if screen.json {
        return screen.object(&object(c));
    }
    let (from, to) = (screen.moment(c.from_us), screen.moment(c.to_us));
    let read = if c.measurements > 0 { format!(", {} measurements", c.measurements) } else { String::new() };
    screen.line(Tone::Title, &format!("{from} to {to}{read}"))?;
    screen.line(Tone::Plain, "")?;
    screen.table(&totals(c, other))?;
    differences(screen, c, other)?;
    if !c.confusion.is_empty() {
        screen.line(Tone::Plain, "")?;
        screen.table(&confusion(c, other))?;
    }
    notes(screen, c)
}

fn notes(screen: &mut Screen<'_>, c: &v1::Comparison) -> Result<(), OpsError> {
    if c.services.iter().all(|s| s.current_policy == s.other_policy) {
        screen.note("both policies are the same, for every service")?;
    }
    if c.differences_omitted > 0 {
        screen.note(&format!("{} more differences are not shown; ask for a shorter time", c.differences_omitted))?;
    }
    if c.damaged_records > 0 {
        screen.note(&format!("{} stored batches could not be read for damage and were left out", c.damaged_records))?;
    }
    Ok(())
}

fn totals(c: &v1::Comparison, other: &str) -> Table {
    let mut table = Table::new(&[
        ("POLICY", Fit::Middle(8)),
        ("NEEDED", Fit::Number),
        ("MISSED", Fit::Number),
        ("UNNECESSARY", Fit::Number),
        ("FUTILE", Fit::Number),
        ("INCONCLUSIVE", Fit::Number),
    ]);
    for (name, totals) in [(IN_FORCE, &c.current), (other, &c.other)] {
        let Some(t) = totals else { continue };
        let bad = |a: Option<v1::Amount>| if a.is_some_and(|a| a.episodes > 0) { Tone::Bad } else { Tone::Plain };
        table.row([
            (Tone::Plain, name.to_owned()),
            (Tone::Plain, amount(t.needed)),
            (bad(t.missed), amount(t.missed)),
            (bad(t.unnecessary), amount(t.unnecessary)),
            (Tone::Plain, amount(t.futile)),
            (Tone::Plain, amount(t.inconclusive)),
        ]);
    }
    table
}

/// Episodes and their time: `2/7m`.
fn amount(amount: Option<v1::Amount>) -> String {
    match amount.unwrap_or_default() {
        v1::Amount { episodes: 0, ms: 0 } => "-".to_owned(),
        v1::Amount { episodes, ms } => format!("{episodes}/{}", length(ms.saturating_mul(1000))),
    }
}

/// Service by service, two lines for each episode: as the policy in force has it, and as the other.
fn differences(screen: &mut Screen<'_>, c: &v1::Comparison, other: &str) -> Result<(), OpsError> {
    if c.differences.is_empty() {
        screen.line(Tone::Plain, "")?;
        screen.line(Tone::Plain, "no episode differs")?;
    }
    for of_service in c.differences.chunk_by(|a, b| a.service == b.service) {
        screen.line(Tone::Plain, "")?;
        screen.line(Tone::Title, &of_service[0].service)?;
        let mut table = Table::new(&[
            ("POLICY", Fit::Middle(8)),
            ("FROM", Fit::Whole),
            ("LASTED", Fit::Number),
            ("NEED", Fit::Whole),
            ("CAUSE", Fit::End(11)),
            ("DONE", Fit::End(8)),
        ]);
        for d in of_service {
            side(screen, &mut table, IN_FORCE, d.current.as_ref(), c.to_us);
            side(screen, &mut table, other, d.other.as_ref(), c.to_us);
        }
        screen.table(&table)?;
    }
    Ok(())
}

fn side(screen: &Screen<'_>, table: &mut Table, policy: &str, judged: Option<&v1::Judged>, end: i64) {
    let Some(j) = judged else { return table.row([(Tone::Plain, policy.to_owned()), (Tone::Quiet, "-".to_owned())]) };
    table.row([
        (Tone::Plain, policy.to_owned()),
        (Tone::Plain, screen.moment(j.from_us)),
        (Tone::Plain, lasted(j, end)),
        (words::need_tone(j.need), words::need(j.need)),
        (Tone::Plain, words::cause(j.cause)),
        (words::execution_tone(j.execution), words::or_dash(&words::execution(j.execution))),
    ]);
}

/// An episode without an end lasted until the end of what was compared at least, and says so by a plus sign.
fn lasted(j: &v1::Judged, end: i64) -> String {
    let until = |to: i64| length(to.saturating_sub(j.from_us).max(0).unsigned_abs());
    j.to_us.map_or_else(|| format!("{}+", until(end)), until)
}

const JUDGED: [v1::Need; 5] =
    [v1::Need::Needed, v1::Need::NotNeeded, v1::Need::Futile, v1::Need::Inconclusive, v1::Need::Unspecified];

fn confusion(c: &v1::Comparison, other: &str) -> Table {
    let mut table = Table::new(&[
        ("LABEL", Fit::Whole),
        ("POLICY", Fit::Middle(8)),
        ("NEEDED", Fit::Number),
        ("NOT NEEDED", Fit::Number),
        ("FUTILE", Fit::Number),
        ("INCONCLUSIVE", Fit::Number),
        ("UNJUDGED", Fit::Number),
    ]);
    for row in &c.confusion {
        let label = if row.drill { "drill".to_owned() } else { words::need(row.label) };
        for (label, name, is_other) in [(label.as_str(), IN_FORCE, false), ("", other, true)] {
            let cell = |judged: v1::Need| {
                let found = row.cells.iter().find(|cell| cell.judged() == judged);
                amount(found.and_then(|cell| if is_other { cell.other } else { cell.current }))
            };
            let right =
                |judged: v1::Need| if !row.drill && judged as i32 == row.label { Tone::Good } else { Tone::Plain };
            let [a, b, d, e, f] = JUDGED.map(|judged| (right(judged), cell(judged)));
            table.row([(Tone::Plain, label.to_owned()), (Tone::Plain, name.to_owned()), a, b, d, e, f]);
        }
    }
    table
}

fn object(c: &v1::Comparison) -> Value {
    let judged = |side: &Option<v1::Judged>| {
        side.as_ref().map(|j| {
            json!({
                "episode": j.episode,
                "from": told::moment(j.from_us),
                "to": told::moment_if(j.to_us),
                "need": words::need(j.need),
                "cause": words::cause(j.cause),
                "execution": words::execution(j.execution),
            })
        })
    };
    let difference = |d: &v1::Difference| json!({ "service": d.service, "current": judged(&d.current), "other": judged(&d.other), "changed": d.changed });
    let policies = |s: &v1::ComparedService| json!({ "service": s.service, "current_policy": s.current_policy, "other_policy": s.other_policy });
    json!({
        "from": told::moment(c.from_us),
        "to": told::moment(c.to_us),
        "plan_version": c.plan_version,
        "services": c.services.iter().map(policies).collect::<Value>(),
        "current": c.current.as_ref().map(totals_object),
        "other": c.other.as_ref().map(totals_object),
        "differences": c.differences.iter().map(difference).collect::<Value>(),
        "differences_omitted": c.differences_omitted,
        "confusion": c.confusion.iter().flat_map(confusion_objects).collect::<Value>(),
        "measurements": c.measurements,
        "damaged_records": c.damaged_records,
    })
}

fn amount_object(amount: Option<v1::Amount>) -> Value {
    let v1::Amount { episodes, ms } = amount.unwrap_or_default();
    json!({ "episodes": episodes, "ms": ms })
}

fn totals_object(t: &v1::Totals) -> Value {
    json!({
        "needed": amount_object(t.needed),
        "missed": amount_object(t.missed),
        "unnecessary": amount_object(t.unnecessary),
        "futile": amount_object(t.futile),
        "inconclusive": amount_object(t.inconclusive),
        "all": amount_object(t.all),
    })
}

/// One object for each cell; `judged` is null where nothing was judged.
fn confusion_objects(row: &v1::ConfusionRow) -> impl Iterator<Item = Value> + '_ {
    row.cells.iter().map(|cell| {
        json!({
            "label": if row.drill { "drill".to_owned() } else { words::need(row.label) },
            "judged": (cell.judged != 0).then(|| words::need(cell.judged)),
            "current": amount_object(cell.current),
            "other": amount_object(cell.other),
        })
    })
}
