//! What is said when, slot by slot? Small tables that can be read as a story.
//!
//! `U` up, `S` slow, `D` down, `.` nothing arrived. One column is ten slots of 1 s. Rows that are not listed are up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::plans;
use uitwijk_judge::{Evidence, Sample, Topology, judge};
use uitwijk_model::{
    AgentId, Fault, Millis, Outcome, Plan, ServedBy, ServiceId, Slot, SlotLength, TargetId, TargetKind, WallTime,
};

const FIRST: i64 = 1_772_438_400;

fn plan() -> Plan {
    let mut plan = plans::two_services(&["NL", "IE"]);
    plan.slot = SlotLength::new(Millis::from_secs(1)).unwrap();
    plan.policy = plan.policy.scaled(1, 10);
    plan
}

/// The rows of a table: who (`nl-1`, or `all`), what (`NL`, `IE`, `public`, `idp`, `ctl`, or `all`), and the columns.
fn rows(table: &str) -> Vec<(String, String, Vec<char>)> {
    let lines = table.lines().map(str::trim).filter(|l| l.contains(" sees "));
    lines
        .map(|line| {
            let (who, rest) = line.split_once(" sees ").unwrap();
            let mut words = rest.split_whitespace();
            let what = words.next().unwrap().to_owned();
            (who.trim().to_owned(), what, words.map(|w| w.chars().next().unwrap()).collect())
        })
        .collect()
}

fn names(what: &str, target: &TargetKind) -> bool {
    match target {
        TargetKind::Regional { region, .. } => region.as_str() == what,
        TargetKind::Global { .. } => what == "public",
        TargetKind::Chain { partner } => partner.as_str() == what,
        TargetKind::Control { .. } => what == "ctl",
        TargetKind::Zonal { .. } => false,
    }
}

fn sample(agent: &AgentId, target: &TargetId, kind: &TargetKind, slot: i64, seen: char) -> Option<Sample> {
    let outcome = match seen {
        'U' => Outcome::Up,
        'S' => Outcome::Slow,
        'D' => Outcome::Down(Fault::ConnectRefused),
        _ => return None,
    };
    let region = match kind {
        TargetKind::Regional { region, .. } => Some(region.clone()),
        TargetKind::Global { .. } => Some(plans::region("NL")),
        _ => None,
    };
    let at = WallTime::from_millis((FIRST + slot) * 1000);
    Some(Sample {
        agent: agent.clone(),
        target: target.clone(),
        slot: Slot(FIRST + slot),
        attempt: 0,
        started: at,
        arrived: at.plus(Millis(500)),
        outcome,
        total: None,
        served: region.map(|region| ServedBy { region, zone: None }),
        clock_offset_us: None,
    })
}

/// What is said of `exchange` after each table, one line per stretch, times in slots.
fn check(table: &str, wanted: &str) {
    let plan = plan();
    let topology = Topology::of(&plan, &ServiceId::new("exchange").unwrap()).unwrap();
    let mut evidence = Evidence::new(&topology);
    let rows = rows(table);
    let columns = rows.iter().map(|(.., c)| c.len()).max().unwrap_or(0);
    for agent in plan.agents.keys() {
        for target in plan.targets() {
            for slot in 0..i64::try_from(columns * 10).unwrap() {
                let column = usize::try_from(slot / 10).unwrap();
                let own = |(who, what, _): &&(String, String, Vec<char>)| {
                    (who == "all" || agent.as_str().starts_with(who.as_str()))
                        && (what == "all" || names(what, &target.kind))
                };
                let seen = rows.iter().find(own).map_or('U', |(.., c)| c[column]);
                if let Some(s) = sample(agent, &target.id, &target.kind, slot, seen) {
                    evidence.add(&topology, &s);
                }
            }
        }
    }
    let end = WallTime::from_millis((FIRST + i64::try_from(columns * 10).unwrap()) * 1000);
    let at = |t: WallTime| t.as_millis() / 1000 - FIRST;
    let told: Vec<String> = judge(&topology, &evidence, end)
        .segments
        .iter()
        .map(|g| format!("{}..{} {} {}", at(g.from), at(g.to), g.cause, g.execution))
        .collect();
    let wanted: Vec<&str> = wanted.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(told, wanted, "{table}");
}

#[test]
fn everyone_sees_nl_dark() {
    check(
        "
                        0   10  20  30  40  50  60  70
        all sees NL     U   U   D   D   D   U   U   U
        all sees public U   U   D   D   D   U   U   U
        ",
        "
        0..20 healthy none
        20..50 region_down missed
        50..80 healthy none
        ",
    );
}

#[test]
fn ten_slots_are_a_blip_and_twenty_are_not() {
    check(
        "
                        0   10  20  30  40  50  60  70  80  90  100
        all sees NL     U   D   U   U   U   U   U   D   D   U   U
        all sees public U   D   U   U   U   U   U   D   D   U   U
        ",
        "
        0..10 healthy none
        10..20 transient none
        20..70 healthy none
        70..90 region_down missed
        90..110 healthy none
        ",
    );
}

#[test]
fn silence_is_neither_health_nor_failure() {
    check(
        "
                    0   10  20  30  40
        all sees all U  U   .   .   U
        ",
        "
        0..20 healthy none
        20..40 no_data none
        40..41 insufficient_evidence none
        41..50 healthy none
        ",
    );
}

#[test]
fn one_vantage_that_fails_at_everything_has_no_vote() {
    check(
        "
                      0   10  20  30  40  50
        nl-1 sees all U   D   D   D   U   U
        ",
        "
        0..11 healthy none
        11..44 vantage_fault none
        44..60 healthy none
        ",
    );
}

#[test]
fn two_vantages_of_the_other_region_are_enough() {
    check(
        "
                        0   10  20  30  40  50  60
        nl sees all     .   .   .   .   .   .   .
        ie-3 sees all   .   .   .   .   .   .   .
        ie sees NL      U   U   D   D   D   U   U
        ie sees public  U   U   D   D   D   U   U
        ",
        "
        0..20 vantage_fault none
        20..50 region_down missed
        50..70 vantage_fault none
        ",
    );
}

#[test]
fn one_vantage_alone_cannot_say() {
    check(
        "
                        0   10  20  30
        nl sees all     .   .   .   .
        ie-2 sees all   .   .   .   .
        ie-3 sees all   .   .   .   .
        ie sees public  U   U   D   D
        ",
        "0..40 insufficient_evidence none",
    );
}

#[test]
fn both_regions_dark_is_futile() {
    check(
        "
                        0   10  20  30  40  50
        all sees NL     U   D   D   D   U   U
        all sees IE     U   D   D   D   U   U
        all sees public U   D   D   D   U   U
        ",
        "
        0..10 healthy none
        10..40 global_fault none
        40..60 healthy none
        ",
    );
}

#[test]
fn the_partner_took_both_down() {
    check(
        "
                        0   10  20  30  40  50
        all sees NL     U   D   D   D   U   U
        all sees IE     U   D   D   D   U   U
        all sees public U   D   D   D   U   U
        all sees idp    U   D   D   D   U   U
        ",
        "
        0..10 healthy none
        10..40 chain_partner none
        40..60 healthy none
        ",
    );
}

#[test]
fn a_partner_out_of_reach_from_one_region_is_that_regions_fault() {
    check(
        "
                        0   10  20  30  40  50
        all sees NL     U   D   D   D   U   U
        all sees public U   D   D   D   U   U
        all sees idp    U   D   D   D   U   U
        ",
        "
        0..10 healthy none
        10..40 region_down missed
        40..60 healthy none
        ",
    );
}
