//! Do pages, put together, say what a plain list says?

use proptest::prelude::*;
use uitwijk_model::{Measurement, ServiceId, WallTime};

use super::sealing::{remove_covered, seal_all};
use super::{EVER, in_memory, stored, write};
use crate::store::{Filter, Store, StoredBatch, StoredRecord};
use crate::testing::{NOW, agent_id, row, slot_now};

const TARGETS: [&str; 4] = ["exchange/default@NL", "exchange/default@IE", "exchange-2/default@NL", "control:a"];
const AGENTS: [&str; 3] = ["ie-1", "nl-1", "nl-2"];

/// Batches of rows within a minute, of any agent; keys are made unique by the attempt.
fn batches() -> impl Strategy<Value = Vec<(usize, Vec<Measurement>)>> {
    let cell = (0usize..TARGETS.len(), 0i64..6, 0i64..4_000_000);
    let batch = (0usize..AGENTS.len(), 0i64..30, prop::collection::vec(cell, 1..20));
    prop::collection::vec(batch, 0..12).prop_map(|batches| {
        let mut attempt = 0;
        let mut made = Vec::new();
        for (agent, minute, cells) in batches {
            let mut rows = Vec::new();
            for (target, slot, after_us) in cells {
                let mut m = row(TARGETS[target], slot_now() - 200 + minute * 3 + slot, attempt, 1);
                attempt = attempt.wrapping_add(1);
                m.scheduled = WallTime::from_micros(m.scheduled.as_micros() + after_us / 1_000_000 * 1_000_000);
                rows.push(m);
            }
            made.push((agent, rows));
        }
        made
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    (prop::option::of(0usize..2), prop::option::of(0usize..4), prop::option::of(0usize..3), any::<bool>()).prop_map(
        |(service, target, agent, nl)| Filter {
            service: service.map(|i| ServiceId::new(["exchange", "exchange-2"][i]).unwrap()),
            target: target.map(|i| TARGETS[i].into()),
            agent: agent.map(|i| agent_id(AGENTS[i])),
            vantage_region: nl.then(|| uitwijk_model::Region::new("NL").unwrap()),
            vantage_zone: None,
        },
    )
}

fn all_pages(
    store: &Store,
    filter: &Filter,
    (from, to): (WallTime, WallTime),
    size: usize,
) -> Result<Vec<StoredRecord>, TestCaseError> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let page = store.query(filter, from, to, &token, size).unwrap();
        prop_assert!(page.rows.len() <= size);
        prop_assert_eq!(page.damaged, 0);
        rows.extend(page.rows);
        match page.next_page_token {
            Some(next) => token = next,
            None => break,
        }
    }
    prop_assert!(rows.is_sorted_by_key(key));
    Ok(rows)
}

fn key(r: &StoredRecord) -> (WallTime, String, String, u8) {
    let m = &r.record.measurement;
    (m.scheduled, r.record.agent.to_string(), m.target.to_string(), m.attempt)
}

fn expected(batches: &[(usize, Vec<Measurement>)], filter: &Filter, from: WallTime, to: WallTime) -> Vec<Measurement> {
    let takes = |agent: &str, m: &Measurement| {
        let service = m.target.as_str().split_once('/').map_or("", |(service, _)| service);
        from <= m.scheduled
            && m.scheduled < to
            && filter.service.as_ref().is_none_or(|s| s.as_str() == service)
            && filter.target.as_ref().is_none_or(|t| t == m.target.as_str())
            && filter.agent.as_ref().is_none_or(|a| a.as_str() == agent)
            && (filter.vantage_region.is_none() || agent.starts_with("nl"))
    };
    let mut rows: Vec<(&str, &Measurement)> =
        batches.iter().flat_map(|(agent, rows)| rows.iter().map(|m| (AGENTS[*agent], m))).collect();
    rows.retain(|(agent, m)| takes(agent, m));
    rows.sort_by_key(|(agent, m)| (m.scheduled, *agent, m.target.clone(), m.attempt));
    rows.into_iter().map(|(_, m)| m.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_the_list_cut_up(
        batches in batches(), filter in filters(), size in 1usize..40, from in 0i64..120, length in 0i64..200,
    ) {
        let (_, store) = in_memory();
        let records: Vec<StoredBatch> =
            batches.iter().zip(1..).map(|((agent, rows), serial)| stored(AGENTS[*agent], serial, rows)).collect();
        write(&store, &records);
        let start = NOW.as_micros() - 2_000_000_000;
        let from = WallTime::from_micros(start + from * 10_000_000);
        let to = WallTime::from_micros(from.as_micros() + length * 10_000_000);
        let hot = all_pages(&store, &filter, (from, to), size)?;
        let rows: Vec<Measurement> = hot.iter().map(|r| r.record.measurement.clone()).collect();
        prop_assert_eq!(rows, expected(&batches, &filter, from, to));
        // Sealed in small files, and before hot records are removed as well as after.
        seal_all(&store, 7);
        prop_assert_eq!(&all_pages(&store, &filter, (from, to), size)?, &hot);
        remove_covered(&store);
        prop_assert_eq!(store.hot().disk_bytes(), 0);
        prop_assert_eq!(&all_pages(&store, &filter, (from, to), size)?, &hot);
    }
}

#[test]
fn a_foreign_page_token_is_refused() {
    let (_, store) = in_memory();
    let error = store.query(&Filter::default(), EVER.0, EVER.1, "next please", 10).unwrap_err();
    assert_eq!(
        error.to_string(),
        "page_token \"next please\" is not one that this collector gave out: leave it empty for the first page"
    );
}

#[test]
fn a_record_that_begins_at_the_end_of_a_page_may_still_belong_to_it() {
    let (_, store) = in_memory();
    let rows = |targets: &[&str]| targets.iter().map(|t| row(t, slot_now(), 0, 1)).collect::<Vec<_>>();
    write(&store, &[stored("nl-1", 1, &rows(&["b", "c"])), stored("nl-1", 2, &rows(&["a"]))]);
    let page = store.query(&Filter::default(), EVER.0, EVER.1, "", 1).unwrap();
    assert_eq!(page.rows[0].record.measurement.target.as_str(), "a");
}
