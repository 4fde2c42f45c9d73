//! Stories of the schedule: what happens at which second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uitwijk_model::{
    AgentId, Clock, Elapsed, Fault, Measurement, Millis, Observer, Outcome, Sequence, Slot, SlotLength, TargetId,
    Unmeasured, WallTime,
};

use super::turn::unmeasured;
use super::{Attempts, Recorder, Ring, Runner, RunnerOptions, Step, Turn, Work};

/// 2026-03-02T08:00:00Z.
const MORNING: WallTime = WallTime::from_millis(1_772_438_400_000);

fn agent() -> AgentId {
    AgentId::new("nl-1").unwrap()
}

fn secs(s: u64) -> SlotLength {
    SlotLength::new(Millis::from_secs(s)).unwrap()
}

fn id(name: &str) -> TargetId {
    TargetId::from_wire(name)
}

/// A ring whose targets were set at `now`.
fn ring(names: &[&str], missed_max: u32, now: WallTime) -> Ring {
    let mut ring = Ring::new(agent(), secs(10), missed_max);
    ring.set_targets(secs(10), names.iter().map(|n| id(n)), now);
    ring
}

/// Every step that is due at this moment.
fn steps(ring: &mut Ring, now: WallTime, elapsed: Millis) -> Vec<Step> {
    ring.tell_time(now, Elapsed::from_micros(elapsed.0 * 1000));
    std::iter::from_fn(|| match ring.step(now) {
        Step::Wait(_) | Step::Idle => None,
        step => Some(step),
    })
    .collect()
}

/// Runs the ring every 50 ms for so long and gives the turns in order.
fn taken(ring: &mut Ring, from: WallTime, span: Millis) -> Vec<Turn> {
    let at = |i: u64| (from.plus(Millis(i * 50)), Millis(i * 50));
    (0..=span.0 / 50)
        .flat_map(|i| steps(ring, at(i).0, at(i).1))
        .map(|step| match step {
            Step::Take(turn) => turn,
            other => panic!("unexpected {other:?}"),
        })
        .collect()
}

fn misses(steps: &[Step], reason: Unmeasured) -> usize {
    steps.iter().filter(|step| matches!(step, Step::Miss(_, r) if *r == reason)).count()
}

fn takes(steps: &[Step]) -> usize {
    steps.iter().filter(|step| matches!(step, Step::Take(_))).count()
}

#[test]
fn each_target_has_one_turn_in_each_slot_at_the_same_place() {
    let mut ring = ring(&["a", "b", "c"], 30, MORNING);
    let turns = taken(&mut ring, MORNING, Millis(59_950));
    let mut by_target: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for turn in &turns {
        assert_eq!(secs(10).slot_of(turn.scheduled), turn.slot);
        by_target.entry(turn.target.clone()).or_default().push(turn);
    }
    for turns in by_target.values() {
        assert_eq!(turns.len(), 6, "{turns:?}");
        for pair in turns.windows(2) {
            assert_eq!(pair[1].slot, pair[0].slot.plus(1));
            assert_eq!(pair[1].scheduled.micros_since(pair[0].scheduled), 10_000_000);
        }
    }
}

#[test]
fn two_agents_name_slots_alike_but_probe_at_other_moments() {
    let mut other = Ring::new(AgentId::new("ie-2").unwrap(), secs(10), 30);
    other.set_targets(secs(10), [id("a")], MORNING);
    let (ours, theirs) = (taken(&mut ring(&["a"], 30, MORNING), MORNING, Millis::from_secs(9)), {
        taken(&mut other, MORNING, Millis::from_secs(9))
    });
    assert_eq!(ours[0].slot, theirs[0].slot);
    assert_ne!(ours[0].scheduled, theirs[0].scheduled);
}

#[test]
fn after_a_pause_the_turns_in_it_are_missed_and_there_is_no_burst() {
    let names: Vec<_> = (0..100).map(|i| format!("t{i}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut ring = ring(&names, 30, MORNING);
    ring.tell_time(MORNING, Elapsed::from_micros(0));
    let minute = Millis::from_secs(60);
    let steps = steps(&mut ring, MORNING.plus(minute), minute);
    assert_eq!(takes(&steps) + misses(&steps, Unmeasured::Missed), 600);
    // Only those due within the last second are still on time, a tenth of a slot.
    assert!((1..=25).contains(&takes(&steps)), "{}", takes(&steps));
}

#[test]
fn after_a_long_pause_only_the_newest_slots_are_written_down() {
    let mut ring = ring(&["a", "b"], 3, MORNING);
    ring.tell_time(MORNING, Elapsed::from_micros(0));
    let day = Millis::from_secs(86_400);
    let steps = steps(&mut ring, MORNING.plus(day), day);
    let Step::Silent { turns, .. } = steps[0] else { panic!("{steps:?}") };
    assert_eq!(turns + steps.len() as u64 - 1, 2 * 8640);
    let written = misses(&steps, Unmeasured::Missed) + takes(&steps);
    assert!((6..=8).contains(&written), "{written}");
}

#[test]
fn a_clock_that_jumps_forward_leaves_slots_that_never_came() {
    let mut ring = ring(&["a", "b"], 30, MORNING);
    ring.tell_time(MORNING, Elapsed::from_micros(0));
    let steps = steps(&mut ring, MORNING.plus(Millis::from_secs(60)), Millis(20));
    assert_eq!(misses(&steps, Unmeasured::ClockStep) + takes(&steps), 12);
    assert_eq!(misses(&steps, Unmeasured::Missed), 0);
}

#[test]
fn a_clock_that_goes_back_a_little_repeats_no_turn() {
    let mut ring = ring(&["a", "b", "c"], 30, MORNING);
    let before = taken(&mut ring, MORNING, Millis::from_secs(20));
    let back = MORNING.plus(Millis::from_secs(13));
    let after = taken(&mut ring, back, Millis::from_secs(20));
    let mut keys: Vec<_> = before.iter().chain(&after).map(|t| (t.target.clone(), t.slot)).collect();
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[test]
fn a_clock_that_goes_back_a_lot_does_not_silence_the_agent() {
    let mut ring = ring(&["a"], 30, MORNING);
    let _ = taken(&mut ring, MORNING, Millis::from_secs(20));
    let earlier = MORNING.minus(Millis::from_secs(3600));
    assert!(matches!(steps(&mut ring, earlier, Millis(20_100))[..], [Step::WentBack { .. }]));
    assert_eq!(taken(&mut ring, earlier, Millis::from_secs(29)).len(), 3);
}

#[test]
fn a_change_of_plan_keeps_the_turns_of_targets_that_stay() {
    let mut ring = ring(&["a", "b", "gone"], 30, MORNING);
    let mut turns = Vec::new();
    for second in 0..=60u64 {
        let now = MORNING.plus(Millis::from_secs(second));
        // A new plan every second, at any place of the ring.
        let extra = format!("new-{second}");
        ring.set_targets(secs(10), ["a", "b", extra.as_str()].map(id), now);
        turns.extend(steps(&mut ring, now, Millis::from_secs(second)));
    }
    for name in ["a", "b"] {
        let slots: Vec<_> = turns
            .iter()
            .filter_map(|s| match s {
                Step::Take(t) if t.target.as_str() == name => Some(t.slot),
                _ => None,
            })
            .collect();
        let first = secs(10).slot_of(MORNING);
        let all: Vec<_> = (0..6).map(|i| first.plus(i)).collect();
        assert_eq!(slots, all, "{name}");
    }
}

#[test]
fn another_slot_length_goes_on_where_the_old_one_was() {
    let mut ring = ring(&["a", "b"], 30, MORNING);
    let before = taken(&mut ring, MORNING, Millis(19_950));
    let now = MORNING.plus(Millis(19_950));
    ring.set_targets(secs(1), ["a", "b"].map(id), now);
    let after = steps(&mut ring, now, Millis(19_950));
    assert_eq!(before.len(), 4);
    assert!(after.iter().all(|s| matches!(s, Step::Take(t) if t.slot.0 > 1_772_438_400)), "{after:?}");
}

// The runner, in paused time.

/// Wall time that follows tokio's clock, with steps.
#[derive(Debug)]
struct PausedClock {
    start: Instant,
    step_us: AtomicI64,
}

impl Clock for PausedClock {
    fn wall(&self) -> WallTime {
        let us = i64::try_from(self.start.elapsed().as_micros()).unwrap() + self.step_us.load(Ordering::Relaxed);
        WallTime::from_micros(MORNING.as_micros() + us)
    }

    fn elapsed(&self) -> Elapsed {
        self.start.elapsed().into()
    }
}

/// A probe that takes so long and then finds what the attempt's number says.
struct Script {
    takes: Duration,
    outcomes: Vec<Outcome>,
    clock: Arc<PausedClock>,
    panics: bool,
}

impl Attempts for Script {
    fn attempt(self: Arc<Self>, turn: Turn, attempt: u8) -> BoxFuture<'static, Measurement> {
        async move {
            let started = self.clock.wall();
            assert!(!self.panics, "as the script says");
            tokio::time::sleep(self.takes).await;
            let outcome = self.outcomes[usize::from(attempt).min(self.outcomes.len() - 1)];
            let blank = unmeasured(&turn, attempt, Unmeasured::Missed, started, Observer::default());
            Measurement { outcome, ..blank }
        }
        .boxed()
    }

    fn retries(&self) -> u8 {
        u8::try_from(self.outcomes.len() - 1).unwrap()
    }

    fn timeout(&self) -> Millis {
        Millis(1000)
    }
}

#[derive(Clone, Default)]
struct Rows(Arc<Mutex<Vec<Measurement>>>);

impl Recorder for Rows {
    async fn record(&mut self, rows: Vec<Measurement>) -> Sequence {
        let mut all = self.0.lock().unwrap();
        all.extend(rows);
        all.len() as u64 + 1
    }
}

impl Rows {
    fn of(&self, target: &str) -> Vec<(i64, u8, &'static str, &'static str)> {
        let all = self.0.lock().unwrap();
        let first = secs(10).slot_of(MORNING).0;
        all.iter()
            .filter(|m| m.target.as_str() == target)
            .map(|m| (m.slot.0 - first, m.attempt, m.outcome.label(), m.outcome.reason()))
            .collect()
    }
}

struct Stage {
    rows: Rows,
    clock: Arc<PausedClock>,
    stop: CancellationToken,
    work: watch::Sender<Work>,
    complete: watch::Receiver<super::Complete>,
    runner: tokio::task::JoinHandle<Rows>,
}

type Cast = [(&'static str, u64, &'static [Outcome])];

fn work(cast: &Cast, clock: &Arc<PausedClock>) -> Work {
    let script = |(name, takes_ms, outcomes): &(&str, u64, &[Outcome])| {
        let (takes, outcomes) = (Duration::from_millis(*takes_ms), outcomes.to_vec());
        let script = Script { takes, outcomes, clock: clock.clone(), panics: *name == "panics" };
        (id(name), Arc::new(script) as Arc<dyn Attempts>)
    };
    Work { slot: secs(10), targets: Arc::new(cast.iter().map(script).collect()) }
}

fn stage(cast: &Cast, in_flight_max: u32, grace: Duration) -> Stage {
    let clock = Arc::new(PausedClock { start: Instant::now(), step_us: AtomicI64::new(0) });
    let options = RunnerOptions {
        agent: agent(),
        in_flight_max,
        missed_slots_max: 30,
        grace,
        clock: clock.clone(),
        observer: Arc::new(Observer::default),
        metrics: Arc::default(),
    };
    let (sender, changes) = watch::channel(work(cast, &clock));
    let (rows, stop) = (Rows::default(), CancellationToken::new());
    let (runner, complete) = Runner::new(options, changes, rows.clone());
    let runner = tokio::spawn(runner.run(stop.clone()));
    Stage { rows, clock, stop, work: sender, complete, runner }
}

const UP: Outcome = Outcome::Up;
const REFUSED: Outcome = Outcome::Down(Fault::ConnectRefused);
const GRACE: Duration = Duration::from_secs(10);

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_begin_when_they_are_due() {
    let stage = stage(&[("a", 30, &[UP]), ("b", 30, &[UP])], 10, GRACE);
    after(600).await;
    let all = stage.rows.0.lock().unwrap();
    assert!(all.len() >= 118, "{}", all.len());
    assert!(all.iter().all(|m| m.started.micros_since(m.scheduled) <= 2000), "no drift after ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_tried_again_in_its_slot_and_each_try_is_a_measurement() {
    let stage = stage(&[("a", 30, &[REFUSED, REFUSED, UP])], 10, GRACE);
    after(9).await;
    let refused = ("down", "connect_refused");
    let expected = [(0, 0, refused.0, refused.1), (0, 1, refused.0, refused.1), (0, 2, "up", "")];
    assert_eq!(stage.rows.of("a")[..3], expected);
    let all = stage.rows.0.lock().unwrap();
    assert!(all.iter().all(|m| m.scheduled == all[0].scheduled), "retries belong to the turn that was due");
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_an_overrun_while_the_one_before_runs() {
    let stage = stage(&[("a", 15_000, &[UP])], 10, GRACE);
    after(45).await;
    // A stuck probe is given up after its timeout and a margin, so 15 s never pass.
    let rows = stage.rows.of("a");
    assert!(rows.iter().any(|r| r.3 == "local"), "{rows:?}");
    let slow = self::stage(&[("a", 5_900, &[UP])], 10, GRACE);
    let fast = slow.work.borrow().clone();
    slow.work.send(Work { slot: secs(5), ..fast }).unwrap();
    after(45).await;
    let all = slow.rows.0.lock().unwrap();
    let reasons: Vec<_> = all.iter().map(|m| m.outcome.reason()).collect();
    assert!(reasons.contains(&"overrun") && reasons.contains(&""), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_run_than_allowed() {
    let stage = stage(&[("a", 5_000, &[UP]), ("b", 5_000, &[UP]), ("c", 5_000, &[UP])], 1, GRACE);
    after(40).await;
    let all = stage.rows.0.lock().unwrap();
    assert!(all.iter().any(|m| m.outcome == Outcome::Unmeasured(Unmeasured::Overload)));
    assert!(all.iter().any(|m| m.outcome == UP));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_unmeasured_and_others_go_on() {
    let stage = stage(&[("panics", 0, &[UP]), ("a", 0, &[UP])], 10, GRACE);
    after(20).await;
    assert!(stage.rows.of("panics").iter().all(|r| r.3 == "local"));
    assert_eq!(stage.rows.of("a").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_is_complete_up_to_the_oldest_running_turn() {
    let stage = stage(&[("a", 4_000, &[UP])], 10, GRACE);
    let mut complete = stage.complete.clone();
    let reached = complete.wait_for(|c| c.next_sequence == 2).await.unwrap().through;
    let first = stage.rows.0.lock().unwrap()[0].scheduled;
    assert!(first < reached && reached <= stage.clock.wall());
    // While the second turn runs, time stands still at its due time.
    after(8).await;
    assert_eq!(stage.complete.borrow().through, first.plus(Millis::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_running_attempts_end() {
    let stage = stage(&[("a", 4_000, &[UP])], 10, GRACE);
    after(10).await;
    stage.stop.cancel();
    let rows = stage.runner.await.unwrap().of("a");
    assert!(!rows.is_empty() && rows.iter().all(|r| r.2 == "up"), "{rows:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_marks_attempts_that_outlast_the_grace() {
    let stage = stage(&[("a", 5_500, &[UP])], 10, Duration::from_millis(100));
    let mut complete = stage.complete.clone();
    complete.wait_for(|c| c.next_sequence >= 2).await.unwrap();
    after(6).await;
    stage.stop.cancel();
    let rows = stage.runner.await.unwrap().of("a");
    assert_eq!(rows.last().unwrap().3, "stopped", "{rows:?}");
    assert_eq!(rows.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_plan_reaches_the_running_schedule() {
    let stage = stage(&[("a", 10, &[UP])], 10, GRACE);
    after(10).await;
    stage.work.send(work(&[("a", 10, &[UP]), ("b", 10, &[UP])], &stage.clock)).unwrap();
    after(30).await;
    assert_eq!(stage.rows.of("b").len(), 3);
    let slots: Vec<_> = stage.rows.of("a").iter().map(|r| r.0).collect();
    assert_eq!(slots, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_goes_on_when_nobody_can_change_the_plan() {
    let stage = stage(&[("a", 10, &[UP])], 10, GRACE);
    drop(stage.work);
    after(30).await;
    assert_eq!(stage.rows.of("a").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_the_clock_is_written_down() {
    let stage = stage(&[("a", 10, &[UP])], 10, GRACE);
    after(20).await;
    stage.clock.step_us.store(60_000_000, Ordering::Relaxed);
    after(20).await;
    let rows = stage.rows.of("a");
    assert!(rows.iter().filter(|r| r.3 == "clock_step").count() >= 5, "{rows:?}");
    assert_eq!(rows.last().unwrap().2, "up");
    let slots: Vec<_> = rows.iter().map(|r| Slot(r.0)).collect();
    assert!(slots.windows(2).all(|p| p[1] == p[0].plus(1)), "every slot has its row: {rows:?}");
}
