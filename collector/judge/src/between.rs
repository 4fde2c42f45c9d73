//! How is it told what came in between two revisions?

use std::collections::BTreeMap;

use crate::since::{Arrivals, CellChange, Seen, Since};
use crate::words::{Said, clock, said};

/// Agents that are told one by one.
const AGENTS_MAX: usize = 6;

/// Sentences about everything that came in.
pub(crate) fn between(since: &Since) -> Vec<Said> {
    let (at, before) = (clock(since.decided), since.before);
    let (need, cause, execution) = (before.need, before.cause, before.execution);
    let mut all = vec![said!(
        "Before, decided at {at}, it was {need}, {cause}, {execution}.",
        "Daarvoor, besloten om {at}, was het {need}, {cause}, {execution}."
    )];
    let slots = since.judged_to.0.saturating_sub(since.judged_from.0);
    if slots > 0 {
        all.push(said!(
            "{slots} slots were judged for the first time.",
            "{slots} tijdvakken werden voor het eerst beoordeeld."
        ));
    }
    all.extend(since.arrivals.iter().take(AGENTS_MAX).map(arrivals));
    let others = since.arrivals.iter().skip(AGENTS_MAX).map(|a| a.changed).sum::<u64>() + since.arrivals_more;
    if others > 0 {
        all.push(said!("{others} measurements of other agents.", "{others} metingen van andere meetpunten."));
    }
    all.extend(cells(&since.cells, since.cells_more));
    all
}

fn arrivals(a: &Arrivals) -> Said {
    let mut ranges: Vec<String> = a.ranges.iter().map(|r| format!("{} - {}", r.from, r.to)).collect();
    ranges.extend((a.ranges_more > 0).then(|| format!("+{}", a.ranges_more)));
    let (agent, changed, late, last) = (&a.agent, a.changed, a.late, clock(a.last));
    let numbers = if ranges.is_empty() { String::new() } else { format!(" ({})", ranges.join(", ")) };
    said!(
        "{agent} delivered {changed} measurements that changed something{numbers}, {late} of them late, the last at {last}.",
        "{agent} leverde {changed} metingen die iets veranderden{numbers}, {late} daarvan laat, de laatste om {last}."
    )
}

/// How many cells changed from what to what.
fn cells(cells: &[CellChange], more: u64) -> Option<Said> {
    let mut sums: BTreeMap<(Seen, Seen), u64> = BTreeMap::new();
    for c in cells {
        *sums.entry((c.before, c.after)).or_default() += c.to_slot.0.abs_diff(c.from_slot.0);
    }
    let mut told: Vec<String> =
        sums.iter().map(|((before, after), n)| format!("{n} {} -> {}", before.label(), after.label())).collect();
    told.extend((more > 0).then(|| format!("+{more}")));
    let told = told.join(", ");
    (!told.is_empty()).then(|| {
        said!(
            "Cells that changed after their slot was due: {told}.",
            "Cellen die na hun tijdvak nog veranderden: {told}."
        )
    })
}
