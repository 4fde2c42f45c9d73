//! Stories of a judge that is fed by hand, with a clock that is moved by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;
use uitwijk_judge::{Cause, Need, Revision, RevisionKind, Since};
use uitwijk_model::measurement::{Fault, Measurement, Observer, Outcome, Phases, ServedBy};
use uitwijk_model::plan::read::read_plan;
use uitwijk_model::{BootId, Elapsed, Region, SystemClock, TargetId, Vantage};

use super::bench::Bench;
use super::pace::Back;
use super::*;
use crate::store::AcceptedRows;

const PLAN: &str = include_str!("../../tests/support/plan.yaml");
const T0: WallTime = WallTime::from_millis(1_772_438_400_000);

fn plan() -> Arc<Plan> {
    static READ: LazyLock<Arc<Plan>> = LazyLock::new(|| Arc::new(read_plan(PLAN, &|_| None).unwrap()));
    READ.clone()
}

fn at(seconds: u64) -> WallTime {
    T0.plus(Millis::from_secs(seconds))
}

#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn wall(&self) -> WallTime {
        WallTime::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Elapsed {
        SystemClock.elapsed()
    }
}

/// A judge with a directory, and the agents that feed it.
struct Court {
    dir: Arc<TempDir>,
    clock: Arc<HandClock>,
    judging: Judging,
    ended: Ended,
    inputs: mpsc::Sender<JudgeInput>,
    log: Arc<VerdictLog>,
    metrics: JudgingMetrics,
    health: Health,
}

impl Court {
    /// Opens at a moment; what was stored before is put back.
    fn open(dir: Arc<TempDir>, now: WallTime, stored: &[AcceptedRows]) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(now.as_micros())));
        let log = Arc::new(VerdictLog::open(&dir.path().join("verdicts")).unwrap());
        let (metrics, health) = (JudgingMetrics::default(), Health::default());
        let mut recovering = Recovering::begin(Setup {
            collector: "col-nl".to_owned(),
            plan: plan(),
            log: log.clone(),
            clock: clock.clone(),
            since: now.minus(super::reach(&plan())),
            catch_up_max: Millis::from_secs(60),
            memory_bytes_max: usize::MAX,
            metrics: metrics.clone(),
            health: health.clone(),
            store: None,
            shadows: None,
        })
        .unwrap();
        stored.iter().for_each(|rows| recovering.put_back(&Samples::of(rows)));
        let (inputs, fed) = mpsc::channel(1024);
        let (judging, ended) = recovering.run(fed).unwrap();
        Self { dir, clock, judging, ended, inputs, log, metrics, health }
    }

    fn new() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), T0, &[])
    }

    async fn feed(&self, input: JudgeInput) {
        self.inputs.send(input).await.unwrap();
    }

    /// Moves the clock and lets everything that follows from it happen.
    async fn wait_until(&self, now: WallTime) {
        self.clock.0.fetch_max(now.as_micros(), Ordering::SeqCst);
        self.judging.settle().await;
    }

    /// Every agent delivers one slot when it is over, which is also when the grace of the slot before the last is.
    async fn slot(&self, seconds: u64, nl_is_down: bool) -> Vec<AcceptedRows> {
        let arrived = at(seconds + 10);
        let all: Vec<AcceptedRows> =
            plan().agents.iter().map(|(agent, vantage)| rows(agent, vantage, seconds, arrived, nl_is_down)).collect();
        self.clock.0.fetch_max(arrived.as_micros(), Ordering::SeqCst);
        for rows in &all {
            self.feed(JudgeInput::Rows(Samples::of(rows))).await;
            let (agent, through) = (rows.agent.clone(), at(seconds + 10));
            self.feed(JudgeInput::Frontier { agent, through }).await;
        }
        self.judging.settle().await;
        all
    }

    /// Slots from one moment to another, all good or all with NL down.
    async fn slots(&self, from: u64, to: u64, nl_is_down: bool) -> Vec<AcceptedRows> {
        let mut all = Vec::new();
        for seconds in (from..to).step_by(10) {
            all.extend(self.slot(seconds, nl_is_down).await);
        }
        all
    }

    fn published(&self) -> Vec<Published> {
        let entries = self.log.since(WallTime::from_micros(i64::MIN)).unwrap();
        entries.iter().map(|entry| Published::from_entry(entry).unwrap()).collect()
    }

    /// Ends as a stop does, and hands back the directory.
    async fn close(self) -> Arc<TempDir> {
        let Self { dir, inputs, mut ended, log, judging, .. } = self;
        drop(inputs);
        ended.wait().await.unwrap();
        drop((log, judging));
        dir
    }
}

fn rows(agent: &AgentId, vantage: &Vantage, seconds: u64, arrived: WallTime, nl_is_down: bool) -> AcceptedRows {
    let targets = plan().targets().into_iter().map(|target| target.id);
    let rows = targets.map(|target| {
        let down = nl_is_down && (target.as_str().ends_with("@NL") || target.as_str().ends_with("@public"));
        attempt(target, seconds, down)
    });
    let rows: Vec<Measurement> = rows.collect();
    let sequences = (1..).map(|n| seconds * 100 + n).take(rows.len()).collect();
    let (agent, vantage) = (agent.clone(), vantage.clone());
    AcceptedRows { agent, vantage, arrived, boot: BootId(1), rows, sequences }
}

fn attempt(target: TargetId, seconds: u64, down: bool) -> Measurement {
    let scheduled = at(seconds);
    let region = if target.as_str().ends_with("@IE") { "IE" } else { "NL" };
    let served = ServedBy { region: Region::new(region).unwrap(), zone: None };
    Measurement {
        target,
        slot: plan().slot.slot_of(scheduled),
        attempt: 0,
        scheduled,
        started: scheduled,
        outcome: if down { Outcome::Down(Fault::ConnectRefused) } else { Outcome::Up },
        total: Some(Elapsed::from_micros(100_000)),
        phases: Phases::default(),
        http_status: None,
        served: (!down).then_some(served),
        hops: Vec::new(),
        certificate_expires: None,
        observer: Observer::default(),
    }
}

/// What is told of a publication, without the evidence.
fn line(p: &Published) -> String {
    let r = &p.revision;
    let to = r.to.map_or("open".to_owned(), |to| to.to_string());
    format!("{} r{} {} {} {} {}..{to} decided {}", r.episode, r.revision, r.kind, r.need, r.cause, r.from, r.decided)
}

#[tokio::test]
async fn an_outage_is_published_live_once_it_is_certain_and_ends_final() {
    let court = Court::new();
    let mut watch = court.judging.board().watch();
    assert!(watch.open.is_empty());
    court.slots(0, 600, false).await;
    court.slots(600, 900, true).await;
    court.slots(900, 2400, false).await;
    let of_the_outage = |p: &Published| p.revision.cause == Cause::RegionDown;
    let told: Vec<_> = court.published().into_iter().filter(of_the_outage).map(|p| p.revision).collect();
    let kinds: Vec<_> = told.iter().map(|r| (r.kind, r.to)).collect();
    assert_eq!(kinds.first(), Some(&(RevisionKind::Provisional, None)));
    assert_eq!(kinds.last(), Some(&(RevisionKind::Final, Some(at(900)))));
    assert!(told.iter().all(|r| r.from == at(600) && r.need == Need::Needed));

    // A watcher hears each of them, in order, after it is in the log.
    for expected in court.published() {
        let heard = watch.next().await.unwrap();
        assert_eq!(*heard, expected);
        let entry = court.log.get(heard.revision.episode.as_str(), Some(heard.revision.revision)).unwrap();
        assert!(entry.is_some());
    }
    assert_eq!(court.log.verify().unwrap().entries, court.published().len() as u64);
    court.close().await;
}

#[tokio::test]
async fn what_is_provisional_is_published_within_the_grace() {
    let court = Court::new();
    court.slots(0, 600, false).await;
    court.slots(600, 800, true).await;
    let first = court.published().remove(0);
    // The clock stands still while the judge works, so the delay is nothing at all.
    assert_eq!((first.revision.kind, first.publish_delay_ms), (RevisionKind::Provisional, Some(0)));
    let open = court.judging.board().watch().open;
    assert_eq!(open.len(), 1, "a watcher that joins now hears of the open episode");
    court.close().await;
}

/// Everything that is stored of the story, whoever was there to hear it.
async fn story(court: &Court, from: u64, to: u64) -> Vec<AcceptedRows> {
    let mut stored = Vec::new();
    for seconds in (from..to).step_by(10) {
        stored.extend(court.slot(seconds, (600..1100).contains(&seconds)).await);
    }
    stored
}

#[tokio::test]
async fn a_restart_in_the_middle_changes_nothing_and_repeats_nothing() {
    let whole = Court::new();
    story(&whole, 0, 2400).await;
    let expected = whole.published();
    assert!(expected.len() >= 2);
    whole.close().await;
    // Before the episode is known, while it is open, and after its end.
    for cut in [650, 850, 1250] {
        let court = Court::new();
        let stored = story(&court, 0, cut).await;
        let dir = court.close().await;
        let court = Court::open(dir, at(cut), &stored);
        story(&court, cut, 2400).await;
        // What arrived in the very moment of a decision may have been handed over before it or after it.
        let settled = |r: Revision| Revision { since: r.since.map(|s| Since { arrivals: Vec::new(), ..s }), ..r };
        let revisions = |all: &[Published]| all.iter().map(|p| settled(p.revision.clone())).collect::<Vec<_>>();
        let (found, wanted) = (court.published(), &expected);
        assert_eq!(
            found.iter().map(line).collect::<Vec<_>>(),
            wanted.iter().map(line).collect::<Vec<_>>(),
            "cut at {cut}"
        );
        assert_eq!(revisions(&found), revisions(wanted), "cut at {cut}");
        court.close().await;
    }
}

#[tokio::test]
async fn the_collectors_own_absence_is_not_the_agents_silence() {
    let court = Court::new();
    let stored = court.slots(0, 600, false).await;
    let dir = court.close().await;
    // Away for five minutes in which nothing was wrong.
    let court = Court::open(dir, at(900), &stored);
    court.wait_until(at(930)).await;
    assert_eq!(court.metrics.catching_up.get(), 1);
    for seconds in (600..930).step_by(10) {
        court.slot(seconds, false).await;
    }
    assert_eq!(court.metrics.catching_up.get(), 0, "everybody has delivered");
    court.wait_until(at(960)).await;
    assert_eq!(court.published(), []);
    court.close().await;
}

#[tokio::test]
async fn agents_that_never_come_back_are_not_waited_for_forever() {
    let court = Court::new();
    let stored = court.slots(0, 600, false).await;
    let dir = court.close().await;
    let court = Court::open(dir, at(1200), &stored);
    court.wait_until(at(1259)).await;
    assert_eq!((court.metrics.catching_up.get(), court.published().len()), (1, 0));
    court.wait_until(at(1260)).await;
    assert_eq!(court.metrics.catching_up.get(), 0);
    let first = court.published().remove(0);
    assert_eq!(first.revision.need, Need::Inconclusive, "{}", line(&first));
    assert_eq!(first.publish_delay_ms, None, "it was made up for, not live");
    court.close().await;
}

#[tokio::test]
async fn late_records_revise_what_was_final_without_waiting_for_the_next_slot() {
    let court = Court::new();
    court.slots(0, 600, false).await;
    // Five minutes in which only one agent is heard, the others keep what they have.
    let kept: Vec<AcceptedRows> = {
        let mut kept = Vec::new();
        for seconds in (600..900).step_by(10) {
            for (agent, vantage) in &plan().agents {
                kept.push(rows(agent, vantage, seconds, at(905), true));
            }
        }
        kept
    };
    court.wait_until(at(900)).await;
    let before = court.published();
    for rows in &kept {
        court.feed(JudgeInput::Rows(Samples::of(rows))).await;
    }
    // Two turns: what changes again right after an answer waits for a moment.
    court.wait_until(at(906)).await;
    court.wait_until(at(907)).await;
    let after = court.published();
    assert!(after.len() > before.len(), "nothing is due by then, but much has changed");
    assert!(
        after[before.len()..].iter().any(|p| p.revision.need == Need::Needed),
        "{:#?}",
        after.iter().map(line).collect::<Vec<_>>()
    );
    court.close().await;
}

#[tokio::test]
async fn a_plan_without_the_service_ends_its_judge_and_one_with_it_goes_on_counting() {
    let court = Court::new();
    court.slots(0, 600, false).await;
    court.slots(600, 800, true).await;
    let revisions = court.published().len();
    assert!(revisions > 0);
    let without = read_plan(&PLAN.replace("exchange:", "other:"), &|_| None).unwrap();
    court.feed(JudgeInput::Plan(Arc::new(without))).await;
    court.wait_until(at(830)).await;
    let exchange = ServiceId::new("exchange").unwrap();
    assert_eq!(court.judging.timeline(exchange.clone(), at(0), at(900)).await, None);
    court.feed(JudgeInput::Plan(plan())).await;
    court.slots(830, 1500, true).await;
    assert!(court.judging.timeline(exchange, at(0), at(900)).await.is_some());
    assert_eq!(court.metrics.log_failures.get(), 0);
    court.log.verify().unwrap();
    court.close().await;
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_told_and_a_stop_ends_the_others() {
    let court = Court::new();
    court.slots(0, 600, false).await;
    court.slots(600, 800, true).await;
    let published = Arc::new(court.published().remove(0));
    let mut slow = court.judging.board().watch();
    for _ in 0..1030 {
        court.judging.board().publish(published.clone());
    }
    assert_eq!(slow.next().await.unwrap_err(), WatchError::Behind(6));
    let mut watch = court.judging.board().watch();
    court.close().await;
    assert_eq!(watch.next().await.unwrap_err(), WatchError::Closed);
}

#[tokio::test]
async fn a_revision_that_the_log_refuses_is_told_to_nobody() {
    let court = Court::new();
    court.slots(0, 600, false).await;
    // Somebody else has published the episode: its first revision cannot be ours any more.
    let taken = crate::verdict_log::Publication {
        episode: "exchange/2026-03-02T08:10:00Z".to_owned(),
        service: "exchange".to_owned(),
        revision: 1,
        from: at(600),
        to: Some(at(610)),
        body: serde_json::json!({}),
    };
    court.log.append(at(600), &[taken]).unwrap();
    let mut watch = court.judging.board().watch();
    court.slots(600, 800, true).await;
    assert_eq!(court.metrics.log_failures.get(), 1);
    assert_eq!(watch.next().await.unwrap().revision.revision, 2, "nobody heard of the first");
    court.close().await;
}

#[tokio::test]
async fn a_full_disk_delays_verdicts_and_loses_none() {
    let court = Court::new();
    let mut watch = court.judging.board().watch();
    court.slots(0, 600, false).await;
    court.log.fail(true);
    court.slots(600, 800, true).await;
    assert_eq!(court.published(), []);
    assert_eq!(court.health.missing().len(), 1, "it tells that verdicts are stuck");
    court.log.fail(false);
    court.wait_until(at(815)).await;
    let told = court.published();
    assert!(told.iter().any(|p| p.revision.need == Need::Needed), "{:?}", told.iter().map(line).collect::<Vec<_>>());
    assert!(court.health.is_ready());
    for expected in told {
        assert_eq!(*watch.next().await.unwrap(), expected);
    }
    court.log.verify().unwrap();
    court.close().await;
}

/// One agent's rows of a slot are missing, and come much later, when going back has just taken half a second.
#[test]
fn what_is_hours_late_waits_while_going_back_rests_and_what_is_said_meanwhile_rests_on_it() {
    let mut bench = Bench::new(&plan(), usize::MAX);
    let (late_agent, late_vantage) = plan().agents.iter().next().map(|(a, v)| (a.clone(), v.clone())).unwrap();
    let feed = |bench: &mut Bench, seconds: u64, down: bool, but: Option<&AgentId>| {
        for (agent, vantage) in plan().agents.iter().filter(|(agent, _)| Some(*agent) != but) {
            bench.rows(&Samples::of(&rows(agent, vantage, seconds, at(seconds + 5), down)));
        }
    };
    let late = |bench: &mut Bench, seconds: u64, now: u64| {
        bench.rows(&Samples::of(&rows(&late_agent, &late_vantage, seconds, at(now), false)));
    };
    // How many judges went back to everything, and what was said.
    let ask = |bench: &mut Bench, now: u64, took_ms: u64| {
        let (mut again, mut said) = (0, Vec::new());
        for seat in bench.ready(at(now)) {
            let turn = bench.advance(seat, at(now));
            again += usize::from(turn.back == Back::All);
            bench.took(&turn, Elapsed::from_micros(took_ms * 1000));
            said.extend(turn.revisions);
        }
        bench.rest(at(now));
        (again, said)
    };
    for seconds in (0..7200).step_by(10) {
        let is_missing = !(400..7000).contains(&seconds);
        feed(&mut bench, seconds, false, is_missing.then_some(&late_agent));
        ask(&mut bench, seconds + 10, 0);
    }
    late(&mut bench, 100, 7200);
    let (again, _) = ask(&mut bench, 7205, 500);
    assert!(again > 0, "the first goes back at once");
    // That took half a second for each judge, so the next waits for two hundred times as long. What is a minute late does not.
    let over = 7205 + (100 * again as u64).min(300);
    for now in (7210..over).step_by(10) {
        late(&mut bench, now - 7110, now);
        late(&mut bench, now - 60, now);
        feed(&mut bench, now, false, None);
        assert_eq!(ask(&mut bench, now, 900).0, 0, "at {now}");
    }
    assert!(ask(&mut bench, over + 1, 60_000).0 > 0, "it is over");

    // Now it waits for five minutes, but what is said meanwhile rests on what came in all the same.
    late(&mut bench, 350, over + 2);
    let mut waited = false;
    for seconds in (over.next_multiple_of(10)..over + 250).step_by(10) {
        feed(&mut bench, seconds, true, None);
        let (_, said) = ask(&mut bench, seconds + 15, 0);
        if said.is_empty() {
            waited |= bench.is_behind();
        } else {
            assert!(waited && !bench.is_behind());
            return;
        }
    }
    panic!("an outage of four minutes is told");
}

/// One agent is away for good, the others go on for eight hours.
#[test]
fn what_waits_for_an_agent_that_is_away_keeps_within_its_limit() {
    let run = |bytes_max: usize| {
        let mut bench = Bench::new(&plan(), bytes_max);
        let (mut crowded, mut most) = (0, 0);
        for seconds in (0..8 * 3600).step_by(10) {
            for (n, (agent, vantage)) in plan().agents.iter().enumerate() {
                let is_away = n == 0 && seconds > 0;
                if !is_away {
                    bench.rows(&Samples::of(&rows(agent, vantage, seconds, at(seconds + 5), false)));
                    bench.frontier(agent, at(seconds));
                }
            }
            for seat in bench.ready(at(seconds + 30)) {
                crowded += bench.advance(seat, at(seconds + 30)).crowded;
            }
            bench.rest(at(seconds + 30));
            most = most.max(bench.bytes_waiting());
        }
        (crowded, most)
    };
    let (crowded, all) = run(usize::MAX);
    assert_eq!(crowded, 0);
    let (crowded, most) = run(all / 2);
    assert!(crowded > 0 && most < all / 2 * 5 / 4, "{crowded} times, {most} bytes of {all}");
}
