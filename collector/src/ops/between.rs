//! What came in between a revision and the one before?

use uitwijk_proto::v1::{Arrivals, Since};

use super::exit::OpsError;
use super::screen::{Screen, Tone};
use super::table::{Fit, Table};
use super::words;

pub(crate) fn show(screen: &mut Screen<'_>, since: &Since) -> Result<(), OpsError> {
    screen.line(Tone::Plain, "")?;
    screen.line(Tone::Title, "Came in between:")?;
    let before = [words::need(since.need_before), words::cause(since.cause_before)].join(": ");
    let executed = words::or_dash(&words::execution(since.execution_before)).to_owned();
    let decided = screen.moment(since.decided_us);
    screen.sentence("  - ", &format!("before it was {before}, {executed}, decided {decided}"))?;
    let judged = since.judged_to_slot.saturating_sub(since.judged_from_slot);
    if judged > 0 {
        screen.sentence("  - ", &format!("judged for the first time: slots {}+{judged}", since.judged_from_slot))?;
    }
    arrivals(screen, since)?;
    cells(screen, since)
}

fn arrivals(screen: &mut Screen<'_>, since: &Since) -> Result<(), OpsError> {
    let mut table = Table::new(&[
        ("  FROM", Fit::Middle(10)),
        ("BOOT", Fit::Whole),
        ("SEQUENCES", Fit::End(9)),
        ("CHANGED", Fit::Number),
        ("LATE", Fit::Number),
        ("ARRIVED", Fit::Whole),
    ]);
    for a in &since.arrivals {
        let boot = if a.boot == 0 { "-".to_owned() } else { format!("{:016x}", a.boot) };
        table.row([
            (Tone::Plain, format!("  {}", a.agent)),
            (Tone::Plain, boot),
            (Tone::Plain, ranges(a)),
            (Tone::Plain, a.changed.to_string()),
            (Tone::Plain, a.late.to_string()),
            (Tone::Plain, screen.moment(a.last_us)),
        ]);
    }
    if !table.is_empty() {
        screen.table(&table)?;
    }
    if since.arrivals_more > 0 {
        screen.sentence("  - ", &format!("and {} measurements of others", since.arrivals_more))?;
    }
    Ok(())
}

fn ranges(a: &Arrivals) -> String {
    let mut all: Vec<String> = a.ranges.iter().map(|r| format!("{}-{}", r.from, r.to)).collect();
    all.extend((a.ranges_more > 0).then(|| format!("+{}", a.ranges_more)));
    all.join(" ")
}

fn cells(screen: &mut Screen<'_>, since: &Since) -> Result<(), OpsError> {
    let mut table = Table::new(&[
        ("  SEEN BY", Fit::Middle(10)),
        ("TARGET", Fit::Middle(16)),
        ("SLOTS", Fit::Whole),
        ("BEFORE", Fit::Whole),
        ("AFTER", Fit::Whole),
    ]);
    for c in &since.cells {
        table.row([
            (Tone::Plain, format!("  {}", c.agent)),
            (Tone::Plain, c.target.clone()),
            (Tone::Plain, format!("{}+{}", c.from_slot, c.to_slot.saturating_sub(c.from_slot))),
            (Tone::Plain, words::seen(c.before)),
            (Tone::Plain, words::seen(c.after)),
        ]);
    }
    if !table.is_empty() {
        screen.table(&table)?;
    }
    if since.cells_more > 0 {
        screen.sentence("  - ", &format!("and {} more cells that changed late", since.cells_more))?;
    }
    Ok(())
}
