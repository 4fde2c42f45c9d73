//! How does a plan come from its file?

use std::path::Path;

use uitwijk_model::Plan;
use uitwijk_model::plan::read::read_plan;

use super::StartError;

/// The longest plan that is read: some 30,000 targets.
const PLAN_BYTES_MAX: u64 = 16 << 20;

/// Reads and checks a plan; `${NAME}` in it is taken from the environment.
///
/// # Errors
/// All mistakes of the plan, or why the file cannot be read.
pub fn load_plan(path: &Path) -> Result<Plan, StartError> {
    let unreadable = |why: String| StartError::PlanFile { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
    if size > PLAN_BYTES_MAX {
        return Err(unreadable(format!("{size} bytes are too many, at most {PLAN_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
    read_plan(&text, &|name| std::env::var(name).ok())
        .map_err(|mistakes| StartError::Plan { path: path.to_owned(), mistakes })
}
