//! Stories of shadows that are fed by hand, with a clock that is moved by hand.

use std::ops::Range;

use tempfile::TempDir;
use uitwijk_model::Plan;

use super::feed::Inputs;
use super::*;
use crate::ingest::JudgeInput;
use crate::metrics::{ShadowFailureLabel, ShadowLabel};
use crate::store::Samples;
use crate::testing::outage::{HandClock, at, delivered, plan, store_more, stored};

/// NL is down for two minutes: too short for the real policy, long enough for the eager one.
const OUTAGE: Range<u64> = 600..720;
const SHADOWS: &str =
    "shadow:\n  eager: { hard_duration: 60s }\n  patient: { hard_duration: 900s, soft_duration: 1200s }\n";

struct Stage {
    dir: TempDir,
    clock: Arc<HandClock>,
    plans: Arc<Plans>,
    store: Store,
    serial: u64,
    metrics: ShadowMetrics,
    feed: Feed,
    inputs: Inputs,
    owner: Owner,
    shelf: Shelf,
    /// The log of the real judge.
    real: Arc<VerdictLog>,
}

impl Stage {
    fn new(more: &str) -> Self {
        Self::over(tempfile::tempdir().unwrap(), (*plan(more)).clone(), stored(&[]), 0, 1)
    }

    fn over(dir: TempDir, plan: Plan, store: Store, now: u64, serial: u64) -> Self {
        let (clock, metrics) = (HandClock::at(at(now)), ShadowMetrics::default());
        let plans = Arc::new(Plans::fixed(plan));
        let (feed, inputs) = feed::channel(metrics.clone());
        let shelf = Shelf::new(dir.path().join("shadows"));
        let real = Arc::new(VerdictLog::open(&dir.path().join("verdicts")).unwrap());
        let setup = Setup {
            dir: dir.path().join("shadows"),
            plans: plans.clone(),
            store: store.clone(),
            log: real.clone(),
            clock: clock.clone(),
            catch_up_max: Millis::from_secs(60),
            memory_bytes_max: usize::MAX,
            metrics: metrics.clone(),
        };
        let owner = Owner::new(setup, shelf.clone());
        feed.begin();
        let mut stage = Self { dir, clock, plans, store, serial, metrics, feed, inputs, owner, shelf, real };
        stage.turn();
        stage
    }

    /// Takes what waits, and judges.
    fn turn(&mut self) {
        let mut group = Vec::new();
        while let Ok(input) = self.inputs.queue.try_recv() {
            group.push(input);
        }
        self.owner.take(&mut group);
        self.owner.turn(&self.inputs);
    }

    /// What is measured is stored and offered; shadows that sleep take nothing of it.
    fn deliver(&mut self, seconds: Range<u64>, awake: bool) {
        let plan = self.plans.current().plan.clone();
        for start in seconds.clone().step_by(60) {
            let end = (start + 60).min(seconds.end);
            let rows = delivered(&plan, start..end, &[OUTAGE]);
            store_more(&self.store, self.serial, &rows);
            self.serial += rows.len() as u64;
            self.clock.set(at(end));
            for rows in rows {
                let agent = rows.agent.clone();
                self.feed.offer(JudgeInput::Rows(Samples::of(&rows)));
                self.feed.offer(JudgeInput::Frontier { agent, through: at(end) });
            }
            if awake {
                self.turn();
            }
        }
    }

    fn told(&self, shadow: &str) -> Vec<String> {
        let shadow = ShadowName::new(shadow).unwrap();
        let second = |t: WallTime| t.micros_since(at(0)) / 1_000_000;
        let line = |j: &Judged| {
            let to = j.to.map_or("open".to_owned(), |to| second(to).to_string());
            format!("{}..{to} {} {}", second(j.from), j.cause, j.execution)
        };
        let all = self.shelf.episodes(&shadow, None, Stretch { from: at(0), to: at(100_000) }).unwrap();
        all.iter().map(line).collect()
    }

    fn failures(&self, reason: &'static str) -> u64 {
        self.metrics.failures.get_or_create(&ShadowFailureLabel { reason }).get()
    }

    fn revisions(&self, shadow: &str) -> u64 {
        self.metrics.revisions.get_or_create(&ShadowLabel { shadow: shadow.to_owned() }).get()
    }
}

#[test]
fn each_shadow_says_what_its_policy_says_and_nothing_is_heard_of_it_elsewhere() {
    let mut stage = Stage::new(SHADOWS);
    stage.deliver(0..2400, true);
    assert_eq!(stage.told("eager"), ["600..720 region_down missed"]);
    assert_eq!(stage.told("patient"), ["600..720 transient none"]);
    let bytes = |name: &str| stage.metrics.bytes.get_or_create(&ShadowLabel { shadow: name.to_owned() }).get();
    assert!(bytes("eager") > 1000 && bytes("patient") > 1000);
    assert_eq!(stage.shelf.since(&ShadowName::new("eager").unwrap()).unwrap(), Some(at(0)));
    let log = stage.shelf.open().unwrap();
    log.verify().unwrap();
    let versions: std::collections::BTreeSet<String> = log
        .since(at(0))
        .unwrap()
        .iter()
        .filter_map(|entry| Shadowed::from_entry(entry).unwrap())
        .map(|s| format!("{} {}", s.shadow, s.revision.policy_version))
        .collect();
    let plan = stage.plans.current().plan.clone();
    let service = plan.services.keys().next().unwrap();
    let expected = plan.shadow.keys().map(|s| format!("{s} {}", plan.shadow_policy_of(s, service).unwrap().version()));
    assert_eq!(versions, expected.collect());
}

#[test]
fn a_plan_without_shadows_costs_nothing() {
    let mut stage = Stage::new("");
    stage.deliver(0..900, true);
    assert!(!stage.feed.is_wanted());
    assert!(!stage.dir.path().join("shadows").exists());
    assert!(matches!(stage.shelf.since(&ShadowName::new("eager").unwrap()), Err(ShadowError::NotOpen)));
}

#[test]
fn a_restart_goes_on_where_it_was_and_repeats_nothing() {
    for cut in [660, 780, 1500] {
        let mut stage = Stage::new(SHADOWS);
        stage.deliver(0..cut, true);
        let (first, serial) = (stage.revisions("eager"), stage.serial);
        let Stage { dir, plans, store, shelf, owner, real, .. } = stage;
        shelf.close();
        drop((owner, real));
        let plan = Plan::clone(&plans.current().plan);
        let mut stage = Stage::over(dir, plan, store, cut, serial);
        stage.deliver(cut..2400, true);
        assert_eq!(stage.told("eager"), ["600..720 region_down missed"], "cut at {cut}");
        assert_eq!(stage.failures("log"), 0, "cut at {cut}");
        let log = stage.shelf.open().unwrap();
        let episode = format!("eager/exchange/{}", at(600));
        let numbers: Vec<u32> = log.revisions(&episode).unwrap().iter().map(|entry| entry.revision).collect();
        assert_eq!(numbers, (1..=u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
        assert_eq!(first + stage.revisions("eager"), numbers.len() as u64, "cut at {cut}");
        // Since when it is judged by is still the first start.
        assert_eq!(stage.shelf.since(&ShadowName::new("eager").unwrap()).unwrap(), Some(at(0)));
    }
}

#[test]
fn what_did_not_fit_the_queue_is_read_from_the_store() {
    let mut stage = Stage::new(SHADOWS);
    stage.deliver(0..600, true);
    // The shadows sleep while the real judge goes on, and it does not wait for them.
    let agent = uitwijk_model::AgentId::new("nl-1").unwrap();
    for _ in 0..1000 {
        stage.feed.offer(JudgeInput::Frontier { agent: agent.clone(), through: at(1) });
    }
    assert!(stage.metrics.missed.get() > 0);
    stage.deliver(600..900, false);
    assert_eq!((stage.failures("behind"), stage.told("eager").len()), (0, 0));
    stage.deliver(900..2400, true);
    assert_eq!(stage.failures("behind"), 1);
    assert_eq!(stage.told("eager"), ["600..720 region_down missed"]);
    assert_eq!(stage.told("patient"), ["600..720 transient none"]);
}

#[test]
fn a_panic_ends_one_shadow_for_a_minute_and_nothing_else() {
    let mut stage = Stage::new(SHADOWS);
    stage.deliver(0..600, true);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    stage.owner.each(|member| assert_ne!(member.shadow.as_str(), "eager"));
    std::panic::set_hook(hook);
    assert_eq!(stage.failures("panic"), 1);
    stage.deliver(600..2400, true);
    assert_eq!(stage.told("eager"), ["600..720 region_down missed"]);
    assert_eq!(stage.told("patient"), ["600..720 transient none"]);
}

#[test]
fn a_full_disk_delays_what_shadows_say_and_loses_nothing() {
    let mut stage = Stage::new(SHADOWS);
    stage.deliver(0..600, true);
    let log = stage.shelf.open().unwrap();
    log.fail(true);
    stage.deliver(600..1500, true);
    assert!(stage.failures("log") > 0);
    assert_eq!(stage.told("eager"), [""; 0]);
    log.fail(false);
    stage.deliver(1500..2400, true);
    assert_eq!(stage.told("eager"), ["600..720 region_down missed"]);
    log.verify().unwrap();
}

#[test]
fn a_new_plan_brings_shadows_and_takes_them_away() {
    let mut stage = Stage::new("");
    stage.deliver(0..1200, true);
    let with = |revision: u64, more: &str| {
        let mut plan = (*plan(more)).clone();
        plan.revision = revision;
        plan
    };
    let adopt = |stage: &mut Stage, plan: Plan| {
        stage.plans.adopt(plan).unwrap();
        stage.feed.offer(JudgeInput::Plan(stage.plans.current().plan.clone()));
        stage.turn();
    };
    adopt(&mut stage, with(2, SHADOWS));
    stage.deliver(1200..2400, true);
    // It judges what the store has of the time before, too.
    assert_eq!(stage.told("eager"), ["600..720 region_down missed"]);
    assert_eq!(stage.shelf.since(&ShadowName::new("eager").unwrap()).unwrap(), Some(at(1200)));
    adopt(&mut stage, with(3, ""));
    assert!(!stage.feed.is_wanted());
    assert_eq!(stage.told("eager").len(), 1, "what was said stays");
    let since = |stage: &Stage| stage.shelf.since(&ShadowName::new("eager").unwrap()).unwrap();
    assert_eq!(since(&stage), None);
    // A shadow that comes back was not judged by in between.
    stage.deliver(2400..3000, true);
    adopt(&mut stage, with(4, SHADOWS));
    assert_eq!(since(&stage), Some(at(3000)));
}
