//! How do two policies read side by side on the wire?

use std::collections::{BTreeMap, BTreeSet};

use uitwijk_judge::Need;
use uitwijk_model::{Plan, PolicyOverrides, ServiceId, WallTime};
use uitwijk_proto::v1;

use super::convert;
use crate::policies::{Amount, Changed, Comparison, Confusion, Difference, Judged, Row, Totals};

pub(super) fn comparison(
    c: &Comparison,
    plan: &Plan,
    services: &[ServiceId],
    over: &PolicyOverrides,
) -> v1::Comparison {
    let compared = |service: &ServiceId| v1::ComparedService {
        service: service.to_string(),
        current_policy: plan.policy_of(service).version(),
        other_policy: over.over(plan.policy_of(service)).version(),
    };
    v1::Comparison {
        from_us: c.stretch.from.as_micros(),
        to_us: c.stretch.to.as_micros(),
        plan_version: plan.version().to_string(),
        services: services.iter().map(compared).collect(),
        current: Some(totals(&c.current)),
        other: Some(totals(&c.other)),
        differences: c.differences.iter().map(difference).collect(),
        differences_omitted: c.omitted,
        confusion: confusion(&c.current_confusion, &c.other_confusion),
        measurements: 0,
        damaged_records: 0,
    }
}

fn amount(a: Amount) -> v1::Amount {
    v1::Amount { episodes: a.episodes, ms: a.ms }
}

fn totals(t: &Totals) -> v1::Totals {
    v1::Totals {
        needed: Some(amount(t.needed)),
        missed: Some(amount(t.missed)),
        unnecessary: Some(amount(t.unnecessary)),
        futile: Some(amount(t.futile)),
        inconclusive: Some(amount(t.inconclusive)),
        all: Some(amount(t.all)),
    }
}

fn difference(d: &Difference) -> v1::Difference {
    let either = d.current.as_ref().or(d.other.as_ref());
    v1::Difference {
        service: either.map(|j| j.service.to_string()).unwrap_or_default(),
        current: d.current.as_ref().map(judged),
        other: d.other.as_ref().map(judged),
        changed: d.changed.iter().map(|c: &Changed| c.label().to_owned()).collect(),
    }
}

fn judged(j: &Judged) -> v1::Judged {
    v1::Judged {
        episode: j.episode.to_string(),
        from_us: j.from.as_micros(),
        to_us: j.to.map(WallTime::as_micros),
        need: convert::need(j.need).into(),
        cause: convert::cause(j.cause).into(),
        execution: convert::execution(j.execution).into(),
    }
}

/// Both tables in one: a cell for each pair of label and judgement that either has.
fn confusion(current: &Confusion, other: &Confusion) -> Vec<v1::ConfusionRow> {
    let keys: BTreeSet<(Row, Option<Need>)> = current.0.keys().chain(other.0.keys()).copied().collect();
    let mut rows: BTreeMap<Row, Vec<v1::ConfusionCell>> = BTreeMap::new();
    for key in keys {
        let of = |table: &Confusion| Some(amount(table.0.get(&key).copied().unwrap_or_default()));
        let judged = key.1.map_or(v1::Need::Unspecified, convert::need).into();
        rows.entry(key.0).or_default().push(v1::ConfusionCell { judged, current: of(current), other: of(other) });
    }
    let row = |(label, cells): (Row, Vec<v1::ConfusionCell>)| v1::ConfusionRow {
        label: label.map_or(v1::Need::Unspecified, convert::need).into(),
        drill: label.is_none(),
        cells,
    };
    rows.into_iter().map(row).collect()
}
