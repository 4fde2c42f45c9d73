//! How is the tool called?

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use uitwijk_model::Millis;

use super::{policy_args, switch_args};

const AFTER: &str = "\
Exit codes:
  0  done
  1  the answer is no, such as a plan with mistakes
  2  arguments or files that cannot be used
  3  the collector cannot be reached
  4  the collector does not allow it, or a certificate was refused
  5  there is no such thing
  6  the collector failed, or answered something that cannot be used

Answers go to stdout, all else to stderr. With -o json every answer is one JSON
object on one line. Names in [UPPER_CASE] are variables that may stand in for an
option.";

/// Was a failover needed? Ask the collector of Uitwijk.
#[derive(Debug, Parser)]
#[command(name = "uitwijk", version, term_width = 80, after_help = AFTER, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) show: Show,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which collector is asked, and who asks.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Which collector")]
pub(crate) struct Reach {
    /// Its address, https://HOST:PORT; of ledger, may be repeated
    /// [UITWIJK_COLLECTOR]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) collector: Vec<String>,
    /// Authorities to believe, PEM [UITWIJK_TLS_CA]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Own certificate, PEM [UITWIJK_TLS_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of the own certificate, PEM [UITWIJK_TLS_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// How long an answer may take
    #[arg(long, global = true, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: Millis,
}

impl Reach {
    /// Fills in from the environment what the arguments left out.
    pub(crate) fn or_from(self, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let file = |given: Option<PathBuf>, name: &str| given.or_else(|| set(name).map(PathBuf::from));
        let collector =
            if self.collector.is_empty() { set("UITWIJK_COLLECTOR").into_iter().collect() } else { self.collector };
        Self {
            collector,
            tls_ca: file(self.tls_ca, "UITWIJK_TLS_CA"),
            tls_cert: file(self.tls_cert, "UITWIJK_TLS_CERT"),
            tls_key: file(self.tls_key, "UITWIJK_TLS_KEY"),
            timeout: self.timeout,
        }
    }

    /// The same way to each of the collectors.
    pub(crate) fn each(&self) -> Vec<Self> {
        self.collector.iter().map(|url| Self { collector: vec![url.clone()], ..self.clone() }).collect()
    }
}

/// How answers look.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "How answers look")]
pub(crate) struct Show {
    /// table, json or, of score, markdown [default: table; of replay: json]
    #[arg(short, long, global = true, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) output: Option<Output>,
    /// auto (a terminal, no NO_COLOR), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: Color,
    /// Times in the zone of this machine instead of UTC
    #[arg(long, global = true)]
    pub(crate) local: bool,
    /// Cut nothing off, however wide it gets
    #[arg(long, global = true)]
    pub(crate) wide: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    #[value(alias = "jsonl")]
    Json,
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a plan, or show the one in force
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Who measures: contact, clock, backlog and books of the agents
    Agents {
        /// Only this one, with its books per start
        name: Option<String>,
    },
    /// Do the numbers of every start of every agent add up, and is everything that
    /// was started in the store once?
    Ledger(Box<LedgerArgs>),
    /// What was judged
    #[command(subcommand)]
    Verdicts(VerdictsCommand),
    /// Why: the verdict on an episode in words, with its evidence
    Explain {
        /// Such as exchange/2026-03-02T08:15:00Z
        episode: String,
        /// An earlier revision than the latest
        #[arg(long, value_name = "N")]
        revision: Option<u32>,
        #[command(flatten)]
        known: Known,
        /// Language of the explanation
        #[arg(long, value_name = "LANGUAGE", default_value = "en")]
        language: Language,
    },
    /// What a service was judged to be, stretch by stretch
    Timeline {
        /// The service
        service: String,
        #[command(flatten)]
        range: Range,
        #[command(flatten)]
        known: Known,
    },
    /// What was measured, attempt by attempt
    Measurements(Box<MeasurementsArgs>),
    /// Judge a stream of measurements again, as it was judged live and as it is
    /// judged afterwards
    Replay(ReplayArgs),
    /// Play a scenario into the stream that a fleet would have delivered
    Simulate {
        #[command(flatten)]
        scenario: ScenarioArgs,
        /// Luck of the world; equal seeds give equal streams
        #[arg(long, value_name = "N", default_value = "1")]
        seed: u64,
        #[command(flatten)]
        to: ToFile,
    },
    /// Play labelled scenarios or random worlds, and score the judge beside the
    /// rules that people use today
    Score(Box<super::score_args::Score>),
    /// Say what the need of an episode was, or that there was a drill
    Label(policy_args::Label),
    /// What was said of episodes, and the drills
    Labels(policy_args::Labels),
    /// Judge stored measurements anew by another policy, and compare
    Backtest(policy_args::Backtest),
    /// Compare a shadow policy of the plan with what was published
    Compare(policy_args::Compare),
    /// Report that users were moved to another region
    Switch(switch_args::Switch),
    /// The switches that were reported
    Switches(switch_args::Switches),
    /// Check the chain of a verdict log
    #[command(subcommand)]
    Audit(switch_args::AuditCommand),
    /// Private authority and certificates, for trials
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Check a plan file; every mistake is told, with its line
    Check {
        /// The plan, YAML
        file: PathBuf,
    },
    /// Show a plan with its defaults filled in: that of a file, or the one in force
    Show {
        /// The plan, YAML; the collector is asked when it is left out
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of plans, for editors
    Schema,
    /// Print the plan of the fleet that watches a scenario, as YAML
    FromScenario(ScenarioArgs),
}

/// One scenario of a file.
#[derive(Debug, ClapArgs)]
pub(crate) struct ScenarioArgs {
    /// Scenarios, one JSON object per line; - is stdin
    pub(crate) file: PathBuf,
    /// Which of them
    #[arg(long)]
    pub(crate) id: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LedgerArgs {
    /// Only this agent
    pub(crate) agent: Option<String>,
    /// What agents recorded by record.file, to compare with the store row by row
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) started: Vec<PathBuf>,
    /// What a start recorded so short before its end may have died with it; agents
    /// promise 250ms, a busy disk takes longer
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub(crate) unsynced: Millis,
}

/// Where a stream goes.
#[derive(Debug, ClapArgs)]
pub(crate) struct ToFile {
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Pack it with zstd
    #[arg(long)]
    pub(crate) zstd: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReplayArgs {
    /// The plan that it is judged by, YAML
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: PathBuf,
    /// The stream, JSON lines, plain, gzip or zstd; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) stream: PathBuf,
    /// Switches that were reported, as `switches -o json` gives them
    #[arg(long, value_name = "FILE")]
    pub(crate) switches: Option<PathBuf>,
    /// live (what was said at the time), final or both
    #[arg(long, value_name = "TRACK", default_value = "both", hide_possible_values = true)]
    pub(crate) track: TrackArg,
    /// Only this service; may be repeated
    #[arg(long)]
    pub(crate) service: Vec<String>,
    /// Count lines that are no records and go on
    #[arg(long)]
    pub(crate) skip_bad: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrackArg {
    Live,
    Final,
    Both,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct MeasurementsArgs {
    #[command(flatten)]
    pub(crate) query: Query,
    #[command(subcommand)]
    pub(crate) command: Option<MeasurementsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MeasurementsCommand {
    /// Write all of them as a stream that can be replayed
    Export {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        to: ToFile,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    En,
    Nl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VerdictsCommand {
    /// Episodes, newest first, with the latest verdict on each
    List(List),
    /// One episode: verdict, findings, observations, revisions
    Show {
        /// Such as exchange/2026-03-02T08:15:00Z
        episode: String,
        /// An earlier revision than the latest
        #[arg(long, value_name = "N")]
        revision: Option<u32>,
        #[command(flatten)]
        known: Known,
    },
    /// Open episodes, then each new revision as it is published
    Watch {
        /// Only this service
        #[arg(long)]
        service: Option<String>,
        /// End after so many revisions
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Also healthy episodes with findings, such as an unnecessary switch
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) known: Known,
    #[command(flatten)]
    pub(crate) range: Range,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// When it was known.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Known {
    /// As it was known at this moment, such as 2026-03-02T08:20Z
    #[arg(long, value_name = "MOMENT")]
    pub(crate) as_of: Option<String>,
}

/// A stretch of time.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Range {
    /// The last so long, such as 15m, 1h or 7d
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    pub(crate) since: Option<Millis>,
    /// From this moment on, such as 2026-03-02T08:00Z
    #[arg(long, value_name = "MOMENT")]
    pub(crate) from: Option<String>,
    /// Up to this moment
    #[arg(long, value_name = "MOMENT")]
    pub(crate) to: Option<String>,
}

/// A part of a long answer.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Page {
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Go on where an answer before stopped
    #[arg(long, value_name = "TOKEN")]
    pub(crate) page_token: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Query {
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// Which measurements.
#[derive(Debug, ClapArgs)]
pub(crate) struct Filter {
    /// Only targets of this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Only this target, such as exchange/default@NL
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Only as this agent saw it
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only as seen from this region
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Only as seen from this zone
    #[arg(long, requires = "region")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) range: Range,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PkiCommand {
    /// Make an authority: ca.pem and ca-key.pem
    Init {
        /// Directory, made if need be
        #[arg(long, default_value = "pki")]
        dir: PathBuf,
        /// Name of the authority
        #[arg(long, default_value = "Uitwijk trial")]
        name: String,
        /// How long it lasts
        #[arg(long, value_name = "TIME", default_value = "3650d")]
        lasting: Millis,
    },
    /// Make a certificate and its key: NAME.pem and NAME-key.pem
    Issue {
        /// What the holder may do
        role: PkiRole,
        /// Name of the holder, such as nl-1
        name: String,
        /// Region where it stands; for agents and collectors
        #[arg(long, required_if_eq_any = [("role", "agent"), ("role", "collector")])]
        region: Option<String>,
        /// Zone where it stands; for agents
        #[arg(long, required_if_eq("role", "agent"))]
        zone: Option<String>,
        /// Host name or address that a collector is reached by; may be repeated
        #[arg(long, value_name = "HOST", required_if_eq("role", "collector"))]
        host: Vec<String>,
        /// Directory of the authority, where the new files go too
        #[arg(long, default_value = "pki")]
        dir: PathBuf,
        /// How long it lasts
        #[arg(long, value_name = "TIME", default_value = "90d")]
        lasting: Millis,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PkiRole {
    Agent,
    Collector,
    Viewer,
    Operator,
}
