//! How are labels and policies asked for on the command line?

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::builder::PossibleValuesParser;
use uitwijk_judge::{Cause, Execution, Need};

use super::args::{Page, Range};

fn needs() -> PossibleValuesParser {
    Need::ALL.iter().map(|need| need.label()).collect::<Vec<_>>().into()
}

fn causes() -> PossibleValuesParser {
    Cause::ALL.iter().map(|cause| cause.label()).collect::<Vec<_>>().into()
}

fn executions() -> PossibleValuesParser {
    Execution::ALL.iter().map(|execution| execution.label()).collect::<Vec<_>>().into()
}

/// What somebody has to say.
#[derive(Debug, ClapArgs)]
pub(crate) struct Label {
    /// Such as exchange/2026-03-02T08:15:00Z
    #[arg(required_unless_present = "drill", conflicts_with = "drill")]
    pub(crate) episode: Option<String>,
    /// What the need was
    #[arg(long, required_unless_present = "drill", conflicts_with = "drill", value_parser = needs())]
    pub(crate) need: Option<String>,
    /// Why, as in verdicts: region_down, path_fault, …
    #[arg(long, conflicts_with = "drill", value_parser = causes(), hide_possible_values = true)]
    pub(crate) cause: Option<String>,
    /// Whether it was done
    #[arg(long, conflicts_with = "drill", value_name = "EXECUTION", value_parser = executions())]
    pub(crate) executed: Option<String>,
    /// In your own words
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Instead: users of this service were moved on purpose
    #[arg(long, value_name = "SERVICE", requires = "from", requires = "to")]
    pub(crate) drill: Option<String>,
    /// Start of the drill
    #[arg(long, value_name = "MOMENT", requires = "drill")]
    pub(crate) from: Option<String>,
    /// End of the drill
    #[arg(long, value_name = "MOMENT", requires = "drill")]
    pub(crate) to: Option<String>,
}

/// Which labels are listed.
#[derive(Debug, ClapArgs)]
pub(crate) struct Labels {
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) range: Range,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// What is judged anew.
#[derive(Debug, ClapArgs)]
pub(crate) struct Backtest {
    /// The policy to try: keys of `policy` in a plan, YAML; the rest is as in force
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) range: Range,
}

/// What is compared.
#[derive(Debug, ClapArgs)]
pub(crate) struct Compare {
    /// A shadow policy of the plan in force
    pub(crate) shadow: String,
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) range: Range,
}
