//! How often is the judge right, and how often are the rules that people use today?
//!
//! Worlds are played and judged on all cores; equal arguments give equal answers, to the byte. What counts as right stands in
//! `uitwijk_scenario::score`.

use std::path::Path;

use serde_json::{Value, json};
use uitwijk_model::PolicyOverrides;
use uitwijk_model::plan::read::read_policy;
use uitwijk_replay::{Track, need_word};
use uitwijk_scenario::random::{quiet, random};
use uitwijk_scenario::score::{Contest, Contestant, Tally, Wrong, in_parallel, score_world, wilson};
use uitwijk_scenario::{Scenario, plan, read_file};

use super::exit::{Answer, OpsError};
use super::plan::tell;
use super::policies::{Env, text_of};
use super::score_args::Score;
use super::screen::{Screen, Tone};
use super::table::{Fit, Table};

/// The most seeds of one run.
const SEEDS_MAX: u64 = 100_000;

/// Plays, judges, scores and shows.
pub(crate) fn run(screen: &mut Screen<'_>, args: &Score, env: Env<'_>) -> Result<Answer, OpsError> {
    let worlds = Worlds::of(args)?;
    let first = worlds.one(0).0;
    let who = contestants(&args.rules, &first)?;
    let policy = match &args.policy {
        // The plans of all scenarios have the same policy and the same slots.
        Some(file) => match read_policy(&text_of(file)?, env, &plan(&first)) {
            Ok(overrides) => overrides,
            Err(mistakes) => return tell(screen, file, &mistakes),
        },
        None => PolicyOverrides::default(),
    };
    let contest = worlds.contest(&who, &policy, args.wrong);
    show(screen, &contest, args.random.is_some())?;
    if args.wrong {
        wrong(screen, &contest)?;
    }
    Ok(Answer::Yes)
}

/// What is played.
enum Worlds {
    Labelled(Vec<Scenario>, Vec<u64>),
    Random { many: usize, seed: u64, quiet: bool },
}

impl Worlds {
    fn of(args: &Score) -> Result<Self, OpsError> {
        if let Some(many) = args.random {
            return Ok(Self::Random { many: many as usize, seed: args.seed, quiet: args.quiet });
        }
        let mut all = Vec::new();
        for file in &args.scenarios {
            all.extend(read(file)?);
        }
        if all.is_empty() {
            return Err(OpsError::Usage("--scenarios: there is no scenario in the files".to_owned()));
        }
        Ok(Self::Labelled(all, seeds(&args.seeds)?))
    }

    const fn many(&self) -> usize {
        match self {
            Self::Labelled(all, seeds) => all.len() * seeds.len(),
            Self::Random { many, .. } => *many,
        }
    }

    fn one(&self, n: usize) -> (Scenario, u64) {
        match self {
            Self::Labelled(all, seeds) => (all[n / seeds.len()].clone(), seeds[n % seeds.len()]),
            Self::Random { seed, quiet: true, .. } => (quiet(seed.wrapping_add(n as u64)), seed.wrapping_add(n as u64)),
            Self::Random { seed, .. } => (random(seed.wrapping_add(n as u64)), seed.wrapping_add(n as u64)),
        }
    }

    fn contest(&self, who: &[Contestant], policy: &PolicyOverrides, keep_wrong: bool) -> Contest {
        let judged = who.contains(&Contestant::Judge);
        let play = |n: usize| {
            let (scenario, seed) = self.one(n);
            let mut contest = score_world(&scenario, seed, who, policy);
            contest.wrong.retain(|(who, _, _)| keep_wrong && (*who == Contestant::Judge) == judged);
            contest
        };
        let mut contest = Contest::default();
        for one in in_parallel(self.many(), play) {
            contest.merge(one);
        }
        contest
    }
}

fn read(file: &Path) -> Result<Vec<Scenario>, OpsError> {
    read_file(file).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.0.iter().map(|mistake| format!("{}: {mistake}", file.display())).collect();
        OpsError::Usage(lines.join("\nuitwijk: "))
    })
}

/// `7`, or `1..20`, both ends included.
fn seeds(text: &str) -> Result<Vec<u64>, OpsError> {
    let wrong = || OpsError::Usage(format!("--seeds {text:?} is not allowed: a number, or 1..20 for 1 to 20"));
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last): (u64, u64) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first > last || last - first >= SEEDS_MAX {
        return Err(wrong());
    }
    Ok((first..=last).collect())
}

fn contestants(rules: &str, scenario: &Scenario) -> Result<Vec<Contestant>, OpsError> {
    let ours = [Contestant::Judge, Contestant::JudgeByNeed];
    match rules {
        "all" => Ok(Contestant::all(&plan(scenario))),
        "ours" => Ok(ours.to_vec()),
        names => {
            let mut who = Vec::new();
            for name in names.split(',').map(str::trim) {
                match name {
                    "ours" => who.extend(ours.clone()),
                    name => who.push(Contestant::Peer(
                        name.parse().map_err(|error| OpsError::Usage(format!("--rules: {error}")))?,
                    )),
                }
            }
            Ok(who)
        }
    }
}

type Columns = [(&'static str, Fit); 9];

const SCORES: Columns = [
    ("RULE", Fit::Middle(12)),
    ("TRACK", Fit::Whole),
    ("RIGHT", Fit::Number),
    ("OF", Fit::Number),
    ("%", Fit::Number),
    ("FALSE", Fit::Number),
    ("MISSED", Fit::Number),
    ("TURNS", Fit::Number),
    ("DELAY", Fit::Number),
];

const RATES: Columns = [
    ("RULE", Fit::Middle(12)),
    ("TRACK", Fit::Whole),
    ("FALSE", Fit::Number),
    ("OF", Fit::Number),
    ("% (95 %)", Fit::Number),
    ("UNSAID", Fit::Number),
    ("OF", Fit::Number),
    ("% (95 %)", Fit::Number),
    ("", Fit::Whole),
];

fn scores((who, track): &(Contestant, Track), t: &Tally) -> [String; 9] {
    let delay = match (t.delays.median(), t.delays.max()) {
        (Some(median), Some(max)) => format!("{median}s/{max}s"),
        _ => "-".to_owned(),
    };
    [
        who.to_string(),
        track.as_str().to_owned(),
        t.right.to_string(),
        t.intervals.to_string(),
        percent(t.right, t.intervals),
        minutes(t.false_needed_us),
        minutes(t.missed_us),
        t.changes.to_string(),
        delay,
    ]
}

fn rates((who, track): &(Contestant, Track), t: &Tally) -> [String; 9] {
    [
        who.to_string(),
        track.as_str().to_owned(),
        t.quiet_needed.to_string(),
        t.quiet.to_string(),
        confidence(t.quiet_needed, t.quiet),
        t.needed_unsaid.to_string(),
        t.needed.to_string(),
        confidence(t.needed_unsaid, t.needed),
        String::new(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts of intervals are small")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}", 100.0 * share(part, whole))
}

fn confidence(part: u64, whole: u64) -> String {
    let (low, high) = wilson(part, whole);
    format!("{} ({:.2}-{:.2})", percent(part, whole), 100.0 * low, 100.0 * high)
}

fn minutes(us: i64) -> String {
    format!("{}m", (us + 30_000_000) / 60_000_000)
}

const LEGEND: &str = "FALSE and MISSED are minutes of need that was said where none was, and the other way round; TURNS are \
                      changes of need within an interval; DELAY is from the onset of a hard fault to being told, median/longest.";
const LEGEND_RATES: &str = "FALSE is intervals without need in which need was said, UNSAID is intervals of need in which it was not, \
                            with the 95 % confidence interval of the share.";

fn show(screen: &mut Screen<'_>, contest: &Contest, drawn: bool) -> Result<(), OpsError> {
    if screen.json {
        return contest.tallies.iter().try_for_each(|(key, tally)| screen.object(&object(key, tally)));
    }
    let rows =
        |of: fn(&(Contestant, Track), &Tally) -> [String; 9]| contest.tallies.iter().map(|(k, t)| of(k, t)).collect();
    grid(screen, &SCORES, rows(scores))?;
    screen.sentence("", LEGEND)?;
    if drawn {
        screen.line(Tone::Plain, "")?;
        grid(screen, &RATES, rows(rates))?;
        screen.sentence("", LEGEND_RATES)?;
    }
    Ok(())
}

fn grid(screen: &mut Screen<'_>, columns: &Columns, rows: Vec<[String; 9]>) -> Result<(), OpsError> {
    if screen.markdown {
        let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
        screen.line(Tone::Plain, &line(columns.iter().map(|(title, _)| *title).collect()))?;
        let rule = |fit: &Fit| if *fit == Fit::Number { "---:" } else { "---" };
        screen.line(Tone::Plain, &line(columns.iter().map(|(_, fit)| rule(fit)).collect()))?;
        rows.iter().try_for_each(|row| screen.line(Tone::Plain, &line(row.iter().map(String::as_str).collect())))?;
        return screen.line(Tone::Plain, "");
    }
    let mut table = Table::new(columns);
    for row in rows {
        table.row(row.map(|cell| (Tone::Plain, cell)));
    }
    screen.table(&table)
}

fn object((who, track): &(Contestant, Track), t: &Tally) -> Value {
    let rate = |part, whole| {
        let (low, high) = wilson(part, whole);
        json!({ "count": part, "of": whole, "share": share(part, whole), "low": low, "high": high })
    };
    json!({
        "rule": who.to_string(),
        "track": track.as_str(),
        "right": rate(t.right, t.intervals),
        "false_needed": rate(t.quiet_needed, t.quiet),
        "needed_unsaid": rate(t.needed_unsaid, t.needed),
        "false_needed_s": t.false_needed_us / 1_000_000,
        "missed_s": t.missed_us / 1_000_000,
        "changes": t.changes,
        "hard_faults": t.delays.faults(),
        "hard_faults_told": t.delays.told(),
        "delay_median_s": t.delays.median(),
        "delay_max_s": t.delays.max(),
    })
}

fn wrong(screen: &mut Screen<'_>, contest: &Contest) -> Result<(), OpsError> {
    if !screen.json {
        screen.line(Tone::Plain, "")?;
        screen.line(Tone::Title, &format!("{} wrong", contest.wrong.len()))?;
    }
    for (who, track, w) in &contest.wrong {
        if screen.json {
            screen.object(&wrong_object(who, *track, w))?;
            continue;
        }
        let (need, cause, executed) = w.wanted;
        let place = format!("{} {} {}..{} seed {}", w.scenario, w.service, w.from_s, w.to_s, w.seed);
        let wanted = format!("{} {cause} {executed}", need_word(need));
        screen.sentence("", &format!("{place} {who} {}: wanted {wanted}, said {}", track.as_str(), w.mistake))?;
    }
    Ok(())
}

fn wrong_object(who: &Contestant, track: Track, w: &Wrong) -> Value {
    let (need, cause, executed) = w.wanted;
    json!({
        "wrong": w.scenario,
        "seed": w.seed,
        "service": w.service.as_str(),
        "from_s": w.from_s,
        "to_s": w.to_s,
        "rule": who.to_string(),
        "track": track.as_str(),
        "wanted": { "need": need_word(need), "cause": cause.label(), "executed": executed.label() },
        "said": w.mistake.to_string(),
    })
}
