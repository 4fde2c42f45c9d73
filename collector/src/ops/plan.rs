//! Is a plan good, and what does it say when everything is filled in?

use std::path::Path;

use serde_json::json;
use uitwijk_model::plan::ProbeKind;
use uitwijk_model::plan::read::{self, Mistakes, PLAN_BYTES_MAX};
use uitwijk_model::{PartnerId, Plan};
use uitwijk_proto::v1::WatchPlanRequest;

use super::connect::Collector;
use super::exit::{Answer, OpsError};
use super::screen::{Screen, Tone};
use super::table::{Fit, Table};

pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Says that a file is a good plan, or everything that is wrong in it.
pub(crate) fn check(screen: &mut Screen<'_>, file: &Path, env: Env<'_>) -> Result<Answer, OpsError> {
    let plan = match parse(file, env)? {
        Ok(plan) => plan,
        Err(mistakes) => return tell(screen, file, &mistakes),
    };
    let version = plan.version();
    if screen.json {
        screen.object(&json!({
            "file": file,
            "good": true,
            "name": plan.name,
            "revision": plan.revision,
            "version": version.as_str(),
            "targets": plan.targets().len(),
        }))?;
    } else {
        let text = format!("{}: good; {}", file.display(), summary(&plan));
        screen.line(Tone::Good, &text)?;
    }
    Ok(Answer::Yes)
}

/// The file as a plan; the outer error is about the file, the inner one about what is in it.
pub(crate) fn parse(file: &Path, env: Env<'_>) -> Result<Result<Plan, Mistakes>, OpsError> {
    let cannot = |reason: String| OpsError::Usage(format!("{}: {reason}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| cannot(error.to_string()))?.len();
    if size > PLAN_BYTES_MAX as u64 {
        return Err(cannot(format!("{size} bytes, a plan has at most {PLAN_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| cannot(error.to_string()))?;
    Ok(read::read_plan(&text, env))
}

/// One line each, in the form that editors and compilers share: `FILE:LINE:COLUMN: text`.
pub(crate) fn tell(screen: &mut Screen<'_>, file: &Path, mistakes: &Mistakes) -> Result<Answer, OpsError> {
    for mistake in &mistakes.0 {
        if screen.json {
            screen.object(&json!({
                "file": file,
                "line": mistake.line,
                "column": mistake.column,
                "key": mistake.key,
                "message": mistake.message,
            }))?;
            continue;
        }
        let key = if mistake.key.is_empty() { String::new() } else { format!("{}: ", mistake.key) };
        let place = format!("{}:{}:{}", file.display(), mistake.line, mistake.column);
        screen.line(Tone::Plain, &format!("{place}: {key}{}", mistake.message))?;
    }
    screen.note(&format!("{}: {}", file.display(), count(mistakes.0.len(), "mistake")))?;
    Ok(Answer::No)
}

fn summary(plan: &Plan) -> String {
    format!(
        "{} revision {} ({}): {}, {}, {}, a slot of {}",
        plan.name,
        plan.revision,
        plan.version(),
        count(plan.services.len(), "service"),
        count(plan.agents.len(), "agent"),
        count(plan.targets().len(), "target"),
        plan.slot.millis(),
    )
}

pub(crate) fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Shows the plan of a file.
pub(crate) fn show_file(screen: &mut Screen<'_>, file: &Path, env: Env<'_>) -> Result<Answer, OpsError> {
    match parse(file, env)? {
        Ok(plan) => show(screen, &plan),
        Err(mistakes) => tell(screen, file, &mistakes),
    }
}

/// Shows the plan that the collector works by.
pub(crate) async fn show_current(screen: &mut Screen<'_>, collector: &Collector) -> Result<Answer, OpsError> {
    show(screen, &current(collector).await?)
}

/// The plan that the collector works by.
pub(crate) async fn current(collector: &Collector) -> Result<Plan, OpsError> {
    let request = collector.request(WatchPlanRequest { known_version: String::new() });
    let mut stream = collector.answer(collector.fleet().watch_plan(request)).await?;
    let update = stream.message().await.map_err(|status| collector.failed(&status))?;
    let update = update.ok_or_else(|| OpsError::NotFound("the collector has no plan yet".to_owned()))?;
    std::str::from_utf8(&update.plan_json)
        .map_err(|error| error.to_string())
        .and_then(|json| Plan::from_canonical_json(json).map_err(|error| error.to_string()))
        .map_err(|reason| OpsError::Failed(format!("the collector's plan cannot be read by this version: {reason}")))
}

fn show(screen: &mut Screen<'_>, plan: &Plan) -> Result<Answer, OpsError> {
    if screen.json {
        screen.raw(&plan.to_canonical_json())?;
        screen.raw("\n")?;
        return Ok(Answer::Yes);
    }
    screen.sentence("", &summary(plan))?;
    services(screen, plan)?;
    agents(screen, plan)?;
    windows(screen, plan)?;
    targets(screen, plan)?;
    Ok(Answer::Yes)
}

fn services(screen: &mut Screen<'_>, plan: &Plan) -> Result<(), OpsError> {
    let mut table = Table::new(&[
        ("SERVICE", Fit::Middle(12)),
        ("CLASS", Fit::Whole),
        ("OBJECTIVE", Fit::Number),
        ("ACTIVE", Fit::End(6)),
        ("ENDPOINTS", Fit::Number),
        ("DEPENDS ON", Fit::End(10)),
    ]);
    for (name, service) in &plan.services {
        let chain: Vec<&str> = service.chain.iter().map(PartnerId::as_str).collect();
        table.row([
            (Tone::Plain, name.to_string()),
            (Tone::Plain, service.class.label().to_owned()),
            (Tone::Plain, service.objective.to_string()),
            (Tone::Plain, service.active_region.to_string()),
            (Tone::Plain, service.endpoints.len().to_string()),
            (Tone::Plain, super::words::or_dash(&chain.join(", "))),
        ]);
    }
    section(screen, &table)
}

fn agents(screen: &mut Screen<'_>, plan: &Plan) -> Result<(), OpsError> {
    let mut table = Table::new(&[("AGENT", Fit::Middle(12)), ("PLACE", Fit::End(12))]);
    for (name, vantage) in &plan.agents {
        table.row([(Tone::Plain, name.to_string()), (Tone::Plain, vantage.to_string())]);
    }
    section(screen, &table)
}

fn windows(screen: &mut Screen<'_>, plan: &Plan) -> Result<(), OpsError> {
    let mut table =
        Table::new(&[("WINDOW", Fit::Whole), ("FROM", Fit::Whole), ("TO", Fit::Whole), ("REASON", Fit::End(10))]);
    for window in &plan.windows {
        table.row([
            (Tone::Plain, window.kind.label().to_owned()),
            (Tone::Plain, screen.moment(window.from.as_micros())),
            (Tone::Plain, screen.moment(window.to.as_micros())),
            (Tone::Plain, window.reason.clone()),
        ]);
    }
    section(screen, &table)
}

fn targets(screen: &mut Screen<'_>, plan: &Plan) -> Result<(), OpsError> {
    let mut table = Table::new(&[
        ("TARGET", Fit::Middle(20)),
        ("KIND", Fit::Whole),
        ("PROBE", Fit::Whole),
        ("TIMEOUT", Fit::Number),
        ("AT", Fit::Middle(16)),
    ]);
    for target in plan.targets() {
        table.row([
            (Tone::Plain, target.id.to_string()),
            (Tone::Plain, target.kind.label().to_owned()),
            (Tone::Plain, target.probe.kind.label().to_owned()),
            (Tone::Plain, target.probe.timeout.to_string()),
            (Tone::Plain, place(&target.probe.kind)),
        ]);
    }
    section(screen, &table)
}

fn place(kind: &ProbeKind) -> String {
    match kind {
        ProbeKind::Http(http) => http.url.clone(),
        ProbeKind::Tcp(tcp) => tcp.address.clone(),
        ProbeKind::Dns(dns) => dns.name.clone(),
        ProbeKind::Tls(tls) => tls.address.clone(),
        ProbeKind::Grpc(grpc) => grpc.url.clone(),
    }
}

fn section(screen: &mut Screen<'_>, table: &Table) -> Result<(), OpsError> {
    if table.is_empty() {
        return Ok(());
    }
    screen.line(Tone::Plain, "")?;
    screen.table(table)
}

/// Prints the JSON Schema.
pub(crate) fn schema(screen: &mut Screen<'_>) -> Result<Answer, OpsError> {
    let schema = read::schema();
    let text = if screen.json { schema.to_string() } else { format!("{schema:#}") };
    screen.raw(&text)?;
    screen.raw("\n")?;
    Ok(Answer::Yes)
}
