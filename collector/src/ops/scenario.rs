//! Which plan and which stream belong to a scenario?

use std::io::Read;
use std::path::Path;

use uitwijk_scenario::{Scenario, find};

use super::args::{ScenarioArgs, ToFile};
use super::exit::{Answer, OpsError};
use super::screen::Screen;
use super::stream_out::StreamOut;

/// Bytes of the largest file of scenarios.
const FILE_MAX: u64 = 64 << 20;
/// Warnings that are told one by one.
const WARNINGS_MAX: usize = 10;

/// Prints the plan of the fleet that watches a scenario.
pub(crate) fn plan(screen: &mut Screen<'_>, which: &ScenarioArgs) -> Result<Answer, OpsError> {
    let plan = uitwijk_scenario::plan(&read(screen, which)?);
    if screen.json {
        screen.raw(&plan.to_canonical_json())?;
        screen.raw("\n")?;
    } else {
        screen.raw(&plan.render_yaml())?;
    }
    Ok(Answer::Yes)
}

/// Plays a scenario into a stream.
pub(crate) fn simulate(
    screen: &mut Screen<'_>,
    which: &ScenarioArgs,
    seed: u64,
    to: &ToFile,
) -> Result<Answer, OpsError> {
    let scenario = read(screen, which)?;
    let mut out = StreamOut::open(screen, to)?;
    for record in &uitwijk_scenario::simulate(&scenario, seed) {
        out.record(record)?;
    }
    out.finish()?;
    Ok(Answer::Yes)
}

/// The scenario that is meant; what is wrong elsewhere in its file is told and does no harm.
fn read(screen: &mut Screen<'_>, which: &ScenarioArgs) -> Result<Scenario, OpsError> {
    let name = which.file.display();
    let text = text(&which.file).map_err(|error| OpsError::Usage(format!("{name}: {error}")))?;
    let found = find(&text, &which.id).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.0.iter().map(|mistake| format!("{name}: {mistake}")).collect();
        OpsError::Usage(lines.join("\nuitwijk: "))
    })?;
    for warning in found.warnings.iter().take(WARNINGS_MAX) {
        screen.note(&format!("{name}: {warning}"))?;
    }
    let more = found.warnings.len().saturating_sub(WARNINGS_MAX);
    if more > 0 {
        screen.note(&format!("{name}: {more} more of these"))?;
    }
    Ok(found.scenario)
}

fn text(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let input: Box<dyn Read> =
        if file == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(file)?) };
    input.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        let reason = format!("more than {FILE_MAX} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
    }
    Ok(text)
}
