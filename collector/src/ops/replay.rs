//! What does the judge say about a recorded stream?
//!
//! Segments go to stdout, one JSON object per line unless a table is asked for; what was noticed about the stream goes to
//! stderr before them. The exit code is 0 whatever was judged: a verdict is an answer, not a failure.

use std::fs::File;
use std::io;
use std::path::Path;

use uitwijk_judge::{Execution, Need};
use uitwijk_model::{Plan, ServiceId};
use uitwijk_replay::{Foreign, Notes, Reader, Reading, Replay, ReplaySegment, Tracks, need_word};

use super::args::{ReplayArgs, TrackArg};
use super::exit::{Answer, OpsError};
use super::plan::{Env, count, parse};
use super::screen::{Screen, Tone, length};
use super::switch_file;
use super::table::{Fit, Table};
use super::words::or_dash;

/// Names that are told of each sort that the plan does not know.
const NAMES_MAX: usize = 8;

pub(crate) fn run(screen: &mut Screen<'_>, args: &ReplayArgs, env: Env<'_>) -> Result<Answer, OpsError> {
    let plan = parse(&args.plan, env)?.map_err(|mistakes| {
        let lines = mistakes
            .0
            .iter()
            .map(|m| format!("{}:{}:{}: {}: {}", args.plan.display(), m.line, m.column, m.key, m.message));
        OpsError::Usage(lines.collect::<Vec<_>>().join("\nuitwijk: "))
    })?;
    let services = services(&plan, &args.service)?;
    let (live, settled) = (args.track != TrackArg::Final, args.track != TrackArg::Live);
    let mut judges = Replay::new(&plan, &services, Tracks { live, settled })
        .map_err(|error| OpsError::Usage(format!("{}: {error}", args.plan.display())))?;
    let switches = args.switches.as_deref().map(switch_file::read).transpose()?;
    for heard in switches.iter().flatten() {
        judges.hear(&heard.service, &heard.switch, heard.heard);
    }
    let name = if is_stdin(&args.stream) { "stdin".to_owned() } else { args.stream.display().to_string() };
    let cannot = |error: &dyn std::fmt::Display| OpsError::Usage(format!("{name}: {error}"));
    let mut reader = open(&args.stream, args.skip_bad).map_err(|error| cannot(&error))?;
    while let Some(record) = reader.next() {
        let record = record.map_err(|error| cannot(&error))?;
        judges.feed(&record).map_err(|error| cannot(&format!("line {}: {error}", reader.line())))?;
    }
    tell(screen, &name, reader.notes())?;
    tell_foreign(screen, &name, &args.plan, judges.foreign())?;
    let segments = judges.finish();
    if screen.table_asked {
        tables(screen, &segments)?;
    } else {
        lines(screen, &segments)?;
    }
    Ok(Answer::Yes)
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn open(path: &Path, skip_bad: bool) -> io::Result<Reader> {
    let how = Reading { skip_bad };
    if is_stdin(path) { Reader::new(io::stdin(), how) } else { Reader::new(File::open(path)?, how) }
}

/// The services that are meant: all, or those that were named.
fn services(plan: &Plan, named: &[String]) -> Result<Vec<ServiceId>, OpsError> {
    if named.is_empty() {
        return Ok(plan.services.keys().cloned().collect());
    }
    let known = || plan.services.keys().map(ServiceId::as_str).collect::<Vec<_>>().join(", ");
    let one = |name: &String| {
        let found = plan.services.keys().find(|s| s.as_str() == name).cloned();
        found.ok_or_else(|| OpsError::Usage(format!("--service {name:?} is not in the plan: it has {}", known())))
    };
    named.iter().map(one).collect()
}

/// What was noticed about the lines.
fn tell(screen: &mut Screen<'_>, name: &str, notes: &Notes) -> Result<(), OpsError> {
    if !notes.unknown.is_empty() {
        let keys: Vec<&str> = notes.unknown.iter().map(String::as_str).collect();
        screen.note(&format!("{name}: keys that are not known were left aside: {}", keys.join(", ")))?;
    }
    if let Some((line, error)) = &notes.first_bad {
        let bad = usize::try_from(notes.bad).unwrap_or(usize::MAX);
        screen.note(&format!("{name}: {} skipped, the first is line {line}: {error}", count(bad, "bad line")))?;
    }
    if let Some(line) = notes.first_unordered {
        let n = usize::try_from(notes.unordered).unwrap_or(usize::MAX);
        screen.note(&format!("{name}: {} not in order of arrival, the first is line {line}", count(n, "line")))?;
    }
    if notes.records == 0 {
        screen.note(&format!("{name}: has no records"))?;
    }
    Ok(())
}

/// What the plan does not know.
fn tell_foreign(screen: &mut Screen<'_>, name: &str, plan: &Path, foreign: &Foreign) -> Result<(), OpsError> {
    let sorts = [("agents", &foreign.agents), ("targets", &foreign.targets)];
    for (sort, names) in sorts.into_iter().filter(|(_, names)| !names.is_empty()) {
        let told: Vec<String> = names
            .iter()
            .take(NAMES_MAX)
            .map(|(name, n)| format!("{name} ({})", count(usize::try_from(*n).unwrap_or(usize::MAX), "record")))
            .collect();
        let more = if names.len() > NAMES_MAX { ", and others" } else { "" };
        let plan = plan.display();
        screen.note(&format!("{name}: {sort} that {plan} does not have were left aside: {}{more}", told.join(", ")))?;
    }
    Ok(())
}

fn lines(screen: &mut Screen<'_>, segments: &[ReplaySegment]) -> Result<(), OpsError> {
    for segment in segments {
        serde_json::to_writer(screen.bytes(), segment).map_err(io::Error::from)?;
        screen.raw("\n")?;
    }
    Ok(())
}

/// One table for each service and track.
fn tables(screen: &mut Screen<'_>, segments: &[ReplaySegment]) -> Result<(), OpsError> {
    let of_one = |a: &ReplaySegment, b: &ReplaySegment| (a.track, &a.service) == (b.track, &b.service);
    for (i, part) in segments.chunk_by(of_one).enumerate() {
        if i > 0 {
            screen.line(Tone::Plain, "")?;
        }
        screen.line(Tone::Title, &format!("{}, {}", part[0].service, part[0].track.as_str()))?;
        let mut table = Table::new(&[
            ("FROM", Fit::Whole),
            ("LASTED", Fit::Number),
            ("NEED", Fit::Whole),
            ("CAUSE", Fit::End(11)),
            ("DONE", Fit::End(8)),
            ("REV", Fit::Number),
        ]);
        for s in part {
            table.row([
                (Tone::Plain, screen.moment(s.from.as_micros())),
                (Tone::Plain, length(s.to.micros_since(s.from).max(0).unsigned_abs())),
                (need_tone(s.need), need_word(s.need).to_ascii_lowercase()),
                (Tone::Plain, s.cause.label().to_owned()),
                (done_tone(s.executed), or_dash(s.executed.label())),
                (Tone::Plain, if s.revision == 0 { "-".to_owned() } else { s.revision.to_string() }),
            ]);
        }
        screen.table(&table)?;
    }
    Ok(())
}

const fn need_tone(need: Need) -> Tone {
    match need {
        Need::NotNeeded => Tone::Good,
        Need::Needed => Tone::Bad,
        Need::Futile | Need::Inconclusive => Tone::Warning,
    }
}

const fn done_tone(executed: Execution) -> Tone {
    match executed {
        Execution::Executed => Tone::Good,
        Execution::Missed => Tone::Bad,
        Execution::Unnecessary => Tone::Warning,
        Execution::None => Tone::Quiet,
    }
}
